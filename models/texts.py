"""Sentences for a shop's customers and marketers, from tables of locale -> code -> template.

Each topic keeps its table beside the code that finds the reasons; codes are for programs, texts for people.
``<code>.one`` is the singular, used if ``n`` is 1, and ``<code>.none`` is used if it is 0.
"""

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, str]]
COUNTED: Mapping[object, str] = {0: ".none", 1: ".one"}
DEFAULT = "en"
"""The language for unknown locales; every table has it."""
SEPARATORS = {"pt": str.maketrans(",.", ".,")}
"""How a language writes thousands and decimals, if not as English does."""


class Number:
    """A number in a template, written as its language writes it."""

    def __init__(self, value: float, separators: dict[int, int]) -> None:
        self.value, self.separators = value, separators

    def __format__(self, form: str) -> str:
        return format(self.value, form).translate(self.separators)


def language(table: Table, locale: str) -> str:
    """Return the table's key for a locale: ``pt`` for ``pt-BR`` and ``pt_BR``, ``en`` for an unknown one."""
    for name in (locale, locale.replace("_", "-").split("-")[0].lower()):
        if name in table:
            return name
    return DEFAULT


def say(table: Table, code: str, *, locale: str = DEFAULT, **words: object) -> str:
    """Fill the template of ``code``; unused words are ignored; a code without a template is itself."""
    spoken = language(table, locale)
    templates = table[spoken]
    counted = code + COUNTED.get(words.get("n"), "")
    key = counted if counted in templates else code
    if separators := SEPARATORS.get(spoken):
        words = {
            name: Number(word, separators) if isinstance(word, int | float) else word
            for name, word in words.items()
        }
    return templates.get(key, code).format(**words)
