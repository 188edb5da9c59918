"""Sentences for a shop's customers and marketers, from tables of locale -> code -> template.

Each topic keeps its table beside the code that finds the reasons; codes are for programs, texts for people.
``<code>.one`` is the singular, used if ``n`` is 1, and ``<code>.none`` is used if it is 0.
"""

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, str]]
COUNTED: Mapping[object, str] = {0: ".none", 1: ".one"}
DEFAULT = "en"
"""The language for unknown locales; every table has it."""


def language(table: Table, locale: str) -> str:
    """Return the table's key for a locale: ``pt`` for ``pt-BR`` and ``pt_BR``, ``en`` for an unknown one."""
    for name in (locale, locale.replace("_", "-").split("-")[0].lower()):
        if name in table:
            return name
    return DEFAULT


def say(table: Table, code: str, locale: str = DEFAULT, **words: object) -> str:
    """Fill the template of ``code``; unused words are ignored; a code without a template is itself."""
    templates = table[language(table, locale)]
    counted = code + COUNTED.get(words.get("n"), "")
    key = counted if counted in templates else code
    return templates.get(key, code).format(**words)
