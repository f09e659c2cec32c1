"""A plot as its sentences, or the one sentence that it is as its clauses."""

from __future__ import annotations

import re

_END = re.compile(
    r"[.!?…]+[\"'”’)\]»]*(?=\s)"
    r"|[。！？｡।۔؟]+[」』）”’\"')]*"  # Chinese, Japanese, Hindi, Urdu, Arabic: no blank is needed
)
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\s[–—-](?=\s)|—|[、，；]")
_OPENING = "\"'“‘(«¿¡["
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:(?:Dr|Drs|Mr|Mrs|Ms|Mx|Prof|Rev|Fr|Sr|Jr|St|Lt|Sgt|Cpl|Pvt|Capt|Cmdr|Col|"
    r"Gen|Maj|Adm|Gov|Sen|Rep|Hon|Pres|Mme|Mlle|vs|v|etc|e\.g|i\.e|cf|approx|ca)"
    r"|[A-Z](?:\.[A-Z])*)\.$"
)
"""At the end of a text: a full stop that ends no sentence; an initial too."""
_NUMBER = re.compile(r"(?:^|\s)(?:No|Nos|Vol|Pt|Ch)\.$")
"""Likewise, if a number follows."""
_FEWEST_WORDS = 3
"""Of a clause; shorter ones belong to the one before."""


def sentences_of(text: str) -> list[str]:
    """The sentences of a clean text, which joined by blanks are the text again.

    Where no blank separates them (Chinese, Japanese) they are joined without.
    """
    return _split(text, [m.end() for m in _END.finditer(text) if _ends_sentence(text, m)])


def parts_of(text: str) -> list[str]:
    """The sentences of a text; of a text of one sentence its clauses."""
    sentences = sentences_of(text)
    if len(sentences) > 1:
        return sentences
    ends, start = [], 0
    for match in _CLAUSE_END.finditer(text):
        unspaced = not match.group()[0].isascii() and match.group() != "—"
        long = len(text[start : match.end()].split()) >= _FEWEST_WORDS or unspaced
        if long and (unspaced or len(text[match.end() :].split()) >= _FEWEST_WORDS):
            ends.append(match.end())
            start = match.end()
    return _split(text, ends)


def without(text: str, part: str, start: int) -> str:
    """The text without a part of it that begins at `start`."""
    return f"{text[:start].rstrip()} {text[start + len(part) :].lstrip()}".strip()


def _ends_sentence(text: str, mark: re.Match[str]) -> bool:
    if mark.group()[0] not in ".!?…":
        # Speech that someone is said to say goes on after its quotation mark.
        quoted = mark.group()[-1] in "」』”"
        return not (quoted and text[mark.end() : mark.end() + 1].isalpha())
    following = text[mark.end() :].lstrip()[:1]
    after = text[mark.end() : mark.end() + 20].lstrip().lstrip(_OPENING)[:1]
    if not following or after.islower():
        return False
    if mark.group() != ".":
        return True
    before = text[max(0, mark.start() - 15) : mark.end()]
    return not (_ABBREVIATION.search(before) or (_NUMBER.search(before) and after.isdigit()))


def _split(text: str, ends: list[int]) -> list[str]:
    starts = [0, *ends]
    pieces = [text[a:b].strip() for a, b in zip(starts, [*ends, len(text)], strict=True)]
    return [piece for piece in pieces if piece]
