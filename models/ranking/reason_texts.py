"""The sentences of reasons: why a product is shown, in the words a shop would use to its customer."""

import re

from models.texts import Table, say

CODES = (
    "popular", "category", "new", "due", "overdue", "usual", "often", "again",
    "like", "also", "together", "alike", "dearer", "pinned",
)  # fmt: skip
"""Append new ones at the end: scorings store these positions, and one with other positions is refused."""
TEXTS: Table = {
    "en": {
        "popular": "popular right now",
        "category": "popular in {category}, where you buy",
        "new": "new in the shop",
        "due": "due about now: every {n} days",
        "due.one": "due about now: every day",
        "overdue": "overdue: you buy it about every {n} days",
        "overdue.one": "overdue: you buy it about every day",
        "usual": "due about now: usually bought again after {n} days",
        "usual.one": "due about now: usually bought again after a day",
        "often": "you bought it {n} times",
        "again": "you bought it {n} days ago",
        "again.one": "you bought it lately",
        "like": "like {name}, which you bought",
        "variety": "much like one you bought",
        "also": "goes with {name}, which you bought",
        "together": "bought together with {name}",
        "at_once": "often bought together",
        "alike": "people like you also bought it",
        "dearer": "a step up from {name}",
        "better": "a step up",
        "pinned": "picked by the shop",
    },
    "pt": {
        "popular": "entre os mais vendidos agora",
        "category": "muito vendido em {category}, onde você compra",
        "new": "novidade na loja",
        "due": "está na hora: a cada {n} dias",
        "due.one": "está na hora: todo dia",
        "overdue": "já passou da hora: você compra a cada {n} dias",
        "overdue.one": "já passou da hora: você compra todo dia",
        "usual": "está na hora: costuma ser comprado de novo após {n} dias",
        "usual.one": "está na hora: costuma ser comprado de novo após um dia",
        "often": "você já comprou {n} vezes",
        "again": "você comprou há {n} dias",
        "again.one": "você comprou há pouco",
        "like": "parecido com {name}, que você comprou",
        "variety": "bem parecido com um que você comprou",
        "also": "combina com {name}, que você comprou",
        "together": "comprado junto com {name}",
        "at_once": "costumam ser comprados juntos",
        "alike": "pessoas como você também compraram",
        "dearer": "um passo acima de {name}",
        "better": "um passo acima",
        "pinned": "escolha da loja",
    },
}
OF_ANOTHER = ("like", "also", "together", "dearer")
"""Codes whose sentence names another product."""
OF_A_NAMESAKE = {"like": "variety", "together": "at_once", "dearer": "better"}
"""The code used instead if the other product has the very same name."""


def reason_and_text(
    code: str, locale: str, *, number: float, name: str, about: str, category: str | None
) -> tuple[str, str]:
    """Return why ``name`` is shown: a code, and its sentence in a language.

    If the name a sentence needs is missing, another code is used. Products whose names share half of their
    words count as alike, with or without a catalogue.
    """
    kind = _kind(name, category or "", int(number)) if code == "category" else ""
    if code == "category" and not kind:
        code = "popular"
    if code in OF_ANOTHER and not about:
        code = "better" if code == "dearer" else "alike"
    if code == "also" and _alike(name, about):
        code = "like"
    about = about.strip(" ,.;:")
    if about.lower() == name.strip(" ,.;:").lower():
        code = OF_A_NAMESAKE.get(code, code)
    return code, say(TEXTS, code, locale=locale, n=max(round(number), 1), name=about, category=kind)


def _kind(name: str, category: str, above: int) -> str:
    """Return the narrowest category, ``above`` steps up or more, that says more than the product's name."""
    steps = category.split(" > ")
    steps = steps[:1] if above > 1 else steps[: max(len(steps) - above, 1)]
    steps = [step for step in steps if step and step.lower() not in name.lower()]
    return steps[-1] if steps else ""


def _alike(name: str, other: str) -> bool:
    words, others = ({*re.findall(r"\w+", text.lower())} for text in (name, other))
    return 2 * len(words & others) >= len(words | others) > 0
