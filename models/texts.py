"""Sentences that a shop's customers and marketers read: a table is locale -> code -> template.

A topic keeps its table beside the code that finds the reasons; codes are what programs compare, texts are for
people. ``<code>.one`` is the singular, used where ``n`` is 1, and ``<code>.none`` is used where it is 0.
"""

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, str]]
COUNTED: Mapping[object, str] = {0: ".none", 1: ".one"}
DEFAULT = "en"
"""What an unknown locale is answered in; every table has it."""


def language(table: Table, locale: str) -> str:
    """Return the table's key for a locale: ``pt-BR`` and ``pt_BR`` read ``pt``, an unknown one ``en``."""
    for name in (locale, locale.replace("_", "-").split("-")[0].lower()):
        if name in table:
            return name
    return DEFAULT


def say(table: Table, code: str, locale: str = DEFAULT, **words: object) -> str:
    """Fill the template of ``code``; words it does not use are ignored, a code without one is itself."""
    templates = table[language(table, locale)]
    counted = code + COUNTED.get(words.get("n"), "")
    key = counted if counted in templates else code
    return templates.get(key, code).format(**words)
