"""Text of a film: cleaning, placeholders, and title + plot as one text.

The same functions serve preparation and use, so that a model meets the text it was trained on.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import ftfy

MIN_WORDS = 3
"""A plot of fewer words says nothing a model could use."""

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_URL = re.compile(r"https?://\S+")
_WIKI_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_WIKI_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_WIKI_REMNANT = re.compile(r"\[\[|\]\]|\{\{[Pp]lot\|?|\{\{|\}\}")
_FOOTNOTE = re.compile(r"\[(?:\d{1,3}|citation needed|note \d+)\]", re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_MORE_LINK = re.compile(r"See full (?:summary|synopsis)\s*(?:»|>>)?\s*$")
_EMPTY_BRACKETS = re.compile(r"\(\s*[,;]?\s*\)")
_BLANK_BEFORE_SIGN = re.compile(r"\s+([,.;:!?])(?=\s|$)")
_BLANKS = re.compile(r"\s+")
_PASSES = 8  # what one pass uncovers ("&amp;amp;lt;", brackets in brackets) the next removes

# In order: entities are resolved before these, since an escaped tag ("&lt;i&gt;") is a tag as well.
RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("HTML tags", lambda text: _TAG.sub(" ", text)),
    ("links", lambda text: _URL.sub(" ", text)),
    ("wiki templates", lambda text: _WIKI_TEMPLATE.sub(" ", text)),
    ("wiki links", lambda text: _WIKI_LINK.sub(r"\1", text)),
    ("footnote marks", lambda text: _FOOTNOTE.sub("", text)),
    ("wiki remnants", lambda text: _WIKI_REMNANT.sub("", text)),
    ("invisible characters", lambda text: _INVISIBLE.sub(" ", text)),
    ("'See full summary'", lambda text: _MORE_LINK.sub("", text)),
    ("empty brackets", lambda text: _EMPTY_BRACKETS.sub(" ", text)),
    ("blanks", lambda text: _BLANK_BEFORE_SIGN.sub(r"\1", _BLANKS.sub(" ", text))),
)

# Most texts need no cleaning. One of printable ASCII without the signs that begin a rule's match
# is recognised by a few scans in C, which is fifteen times faster than to apply the rules.
_ACCENTED = "ßàáâäåæçèéêëìíîïñòóôöøùúûüý"
_HARMLESS = bytes(sign for sign in range(0x20, 0x7F) if chr(sign) not in "&<[]{}")
_HARMLESS += _ACCENTED.encode("latin-1")
# Between ASCII signs such a letter is no mojibake: that takes two signs beyond ASCII in a row.
_FEW_ACCENTS = re.compile(f"(?:[ -~]|[{_ACCENTED}](?![^ -~]))*+")  # possessive: linear in time
_SUSPICIOUS = re.compile(r" [ ,.;:!?]|http|\([),; ]|See full")
_SIGN_OF_A_RULE = re.compile(
    rf"[<\[\]{{}}]|\s(?<! )|\(\s|{_INVISIBLE.pattern}|{_SUSPICIOUS.pattern}"
)
"""Stands in every text that a rule can change, and in few others."""
_LONGEST_PLACEHOLDER = 60

# Whole texts that databases show where there is no plot.
_PLACEHOLDERS = frozenset(
    (
        "add a plot",
        "add a plot »",
        "coming soon",
        "n/a",
        "no description available",
        "no overview",
        "no overview available",
        "no overview found",
        "no plot available",
        "none",
        "null",
        "plot is unknown",
        "plot kept under wraps",
        "plot under wraps",
        "see full summary",
        "see full synopsis",
        "plot unknown",
        "synopsis not available",
        "tba",
        "tbd",
        "to be announced",
        "unknown",
        "#name?",
    )
)


def clean_text(text: str) -> str:
    """Plain text in one line: no mojibake, entities, tags, wiki remnants, links or odd blanks.

    Cleaning what is clean changes nothing.
    """
    return clean_and_tell(text)[0]


def clean_and_tell(text: str) -> tuple[str, frozenset[str]]:
    """The clean text, and the names of the rules that changed it."""
    if _is_clean(text):
        return text, _NOTHING
    applied: set[str] = set()
    for _ in range(_PASSES):
        cleaned, before = _clean_once(text, applied), text
        text = cleaned
        if cleaned == before or _is_clean(cleaned):
            break
    return text, frozenset(applied)


_NOTHING: frozenset[str] = frozenset()


def _is_clean(text: str) -> bool:
    """Whether no rule can match; False says nothing."""
    return (
        (text.isascii() or bool(_FEW_ACCENTS.fullmatch(text)))
        and not text.encode("latin-1").translate(None, _HARMLESS)
        and text[:1] != " "
        and text[-1:] != " "
        and not _SUSPICIOUS.search(text)
    )


def _clean_once(text: str, applied: set[str]) -> str:
    fixed = ftfy.fix_text(text, unescape_html=True)
    if fixed != text:
        applied.update(_repairs(text))
    text = fixed
    if not _SIGN_OF_A_RULE.search(text):
        return text.strip()
    for name, rule in RULES:
        changed = rule(text)
        if changed != text:
            applied.add(name)
        text = changed
    return _BLANKS.sub(" ", text).strip()


def _repairs(text: str) -> set[str]:
    """What ftfy repaired in a text that it changed."""
    unescaped = html.unescape(text)
    found = {"HTML entities"} if unescaped != text else set()
    if ftfy.fix_encoding(unescaped) != unescaped:
        found.add("mojibake")
    return found or {"typographic signs"}


def plot_defect(plot: str, min_words: int = MIN_WORDS) -> str | None:
    """Why a clean plot cannot be used: the reason for the report, or None if it can."""
    if not plot:
        return "no plot"
    if len(plot) <= _LONGEST_PLACEHOLDER and plot.casefold().rstrip(".! ") in _PLACEHOLDERS:
        return "placeholder instead of a plot"
    if plot.count(" ") + 1 < min_words:
        return f"plot of fewer than {min_words} words"
    return None


def compose_text(title: str | None, plot: str) -> str:
    """`"{title}. {plot}"`, what the model reads; the plot alone where there is no title.

    Both are expected clean (`clean_text`).
    """
    return f"{title}. {plot}" if title else plot
