"""Text of a film: cleaning, placeholders, and title + plot as one text.

The same functions serve preparation and use, so that a model meets the text it was trained on.
"""

from __future__ import annotations

import re

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
_EMPTY_BRACKETS = re.compile(r"\(\s*[,;]?\s*\)")
_BLANK_BEFORE_SIGN = re.compile(r"\s+([,.;:!?])(?=\s|$)")
_BLANKS = re.compile(r"\s+")
_PASSES = 8  # what one pass uncovers ("&amp;amp;lt;", brackets in brackets) the next removes

# Whole texts that databases show where there is no plot.
_PLACEHOLDERS = frozenset(
    (
        "add a plot",
        "coming soon",
        "n/a",
        "no description available",
        "no overview",
        "no overview available",
        "no overview found",
        "no plot available",
        "none",
        "null",
        "plot under wraps",
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
    for _ in range(_PASSES):
        cleaned = _clean_once(text)
        if cleaned == text:
            break
        text = cleaned
    return text


def _clean_once(text: str) -> str:
    # Entities first: an escaped tag ("&lt;i&gt;") is a tag as well.
    text = ftfy.fix_text(text, unescape_html=True)
    text = _TAG.sub(" ", text)
    text = _URL.sub(" ", text)
    text = _WIKI_TEMPLATE.sub(" ", text)
    text = _WIKI_LINK.sub(r"\1", text)
    text = _FOOTNOTE.sub("", text)
    text = _WIKI_REMNANT.sub("", text)
    text = _INVISIBLE.sub(" ", text)
    text = _EMPTY_BRACKETS.sub(" ", text)
    text = _BLANK_BEFORE_SIGN.sub(r"\1", _BLANKS.sub(" ", text))
    return _BLANKS.sub(" ", text).strip()


def plot_defect(plot: str) -> str | None:
    """Why a cleaned plot cannot be used: the reason for the report, or None if it can."""
    if not plot:
        return "no plot"
    if plot.casefold().rstrip(".! ") in _PLACEHOLDERS:
        return "placeholder instead of a plot"
    if len(plot.split()) < MIN_WORDS:
        return f"plot of fewer than {MIN_WORDS} words"
    return None


def compose_text(title: str | None, plot: str) -> str:
    """`"{title}. {plot}"`, what the model reads; the plot alone where there is no title.

    Both are expected clean (`clean_text`).
    """
    return f"{title}. {plot}" if title else plot
