"""Text of a film: cleaning, placeholders, and title + plot as one text.

The same functions serve preparation and use, so that a model meets the text it was trained on.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ftfy
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from movie_genres.texts.placeholders import LONGEST, is_missing, is_placeholder

MIN_WORDS = 3
"""A plot of fewer words holds nothing that a model could use."""

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_URL = re.compile(r"https?://\S+")
_WIKI_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_WIKI_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_WIKI_REMNANT = re.compile(r"\[\[|\]\]|\{\{[Pp]lot\|?|\{\{|\}\}")
_FOOTNOTE = re.compile(r"\[(?:\d{1,3}|citation needed|note \d+)\]", re.IGNORECASE)
_INSIDE_WORDS = re.compile("\u00ad(?:\\s*\n\\s*)?|[\u200c-\u200f\u202a-\u202e\u2060-\u2064]")
"""Soft hyphens, joiners and marks of direction: without a width, and no end of a word."""
_BETWEEN_WORDS = re.compile("[\u200b\u2028\u2029\ufeff]")
_MORE_LINK = re.compile(r"See full (?:summary|synopsis)\s*(?:»|>>)?\s*$")
_EMPTY_BRACKETS = re.compile(r"\(\s*[,;]?\s*\)")
_SPACE_BEFORE_MARK = re.compile(r"\s+([,.;:!?])(?=\s|$)")
_WHITESPACE = re.compile(r"\s+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""A character of Thai, Lao, Burmese, Khmer, Japanese or Chinese, which write no spaces."""
_STRING = r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"'
_LIST_OF_STRINGS = re.compile(rf"\[\s*(?:{_STRING})(?:[\s,]+(?:{_STRING}))*[\s,]*\]", re.DOTALL)
_PASSES = 8  # what one pass uncovers ("&amp;amp;lt;", brackets in brackets) the next removes

# In order: entities are resolved before these, since an escaped tag ("&lt;i&gt;") is a tag as well.
RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("HTML tags", lambda text: _TAG.sub(" ", text)),
    ("links", lambda text: _URL.sub(" ", text)),
    ("wiki templates", lambda text: _WIKI_TEMPLATE.sub(" ", text)),
    ("wiki links", lambda text: _WIKI_LINK.sub(r"\1", text)),
    ("footnote marks", lambda text: _FOOTNOTE.sub("", text)),
    ("wiki remnants", lambda text: _WIKI_REMNANT.sub("", text)),
    ("invisible characters", lambda text: _BETWEEN_WORDS.sub(" ", _INSIDE_WORDS.sub("", text))),
    ("'See full summary'", lambda text: _MORE_LINK.sub("", text)),
    ("empty brackets", lambda text: _EMPTY_BRACKETS.sub(" ", text)),
    ("whitespace", lambda text: _SPACE_BEFORE_MARK.sub(r"\1", _WHITESPACE.sub(" ", text))),
)

# Most texts need no cleaning: printable ASCII and a few accents, without the characters at which a
# rule's match begins. Arrow recognises them a column at a time, a hundred times faster than the
# rules are applied.
_ACCENTED = "ßàáâäåæçèéêëìíîïñòóôöøùúûüý"
_SUSPICIOUS = r" [ ,.;:!?]|http|\([),; ]|See full"
# Between ASCII characters such a letter is no mojibake, which has two others in a row.
_MAYBE_UNCLEAN = re.compile(
    rf"[^ -~{_ACCENTED}]|[{_ACCENTED}][^ -~]|[&<\[\]{{}}]|^ | $|{_SUSPICIOUS}"
)
"""Matches every text that cleaning can change, and few others; in Arrow too."""
_MAYBE_A_RULE = re.compile(
    rf"[<\[\]{{}}]|\s(?<! )|\(\s|{_INSIDE_WORDS.pattern}|{_BETWEEN_WORDS.pattern}|{_SUSPICIOUS}"
)
"""Matches every text that a rule can change, and few others."""


def clean_text(text: str) -> str:
    """Plain text in one line: no mojibake, entities, tags, wiki remnants, links or odd whitespace.

    Cleaning what is clean changes nothing.
    """
    return clean_and_list_rules(text)[0]


def as_text(value: Any) -> str:
    """A title or a plot as one text: a list is joined, a missing value is empty.

    Args:
        value: A text or a list of texts; a cell with a list as JSON, Python or NumPy writes it
            (`["A man waits.", "He leaves."]`) is a list too; `nan`, `N/A`, `None`, `\\N` and the
            like are missing values.
    """
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(as_text, value)))
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    text = str(value)
    if text[:64].lstrip()[:1] == "[":
        text = _joined(text)
    return "" if is_missing(text) else text


def _joined(text: str) -> str:
    """The strings of a written list, with blanks between them; any other text as it is."""
    listed = text.strip()
    try:
        strings = json.loads(listed)
    except (ValueError, RecursionError):
        if not _LIST_OF_STRINGS.fullmatch(listed):
            return text
        # Each by itself: in NumPy's ['a' 'b'] Python would join two strings to one word.
        strings = [ast.literal_eval(string) for string in re.findall(_STRING, listed, re.DOTALL)]
    if not isinstance(strings, list) or not all(isinstance(s, str | None) for s in strings):
        return text
    return " ".join(filter(None, map(as_text, strings)))


def clean_texts(texts: Sequence[str], rules: Counter[str]) -> list[str]:
    """`clean_text` of each text; the rules that changed one are counted in `rules`."""
    cleaned = list(texts)
    for row in _maybe_unclean(cleaned):
        cleaned[row], applied = clean_and_list_rules(cleaned[row])
        rules.update(applied)
    return cleaned


def _maybe_unclean(texts: list[str]) -> Iterable[int]:
    """Numbers of the texts that a rule may match; no rule can match the others."""
    try:
        column = pa.array(texts, pa.string())
    except UnicodeEncodeError:  # half a character, which only Python's texts can hold
        return range(len(texts))
    return np.flatnonzero(pc.match_substring_regex(column, _MAYBE_UNCLEAN.pattern)).tolist()


def clean_and_list_rules(text: str) -> tuple[str, list[str]]:
    """The clean text, and the names of the rules that changed it, sorted."""
    applied: set[str] = set()
    for _ in range(_PASSES):
        if not _MAYBE_UNCLEAN.search(text):
            break
        text, before = _clean_once(text, applied), text
        if text == before:
            break
    return text, sorted(applied)


def _clean_once(text: str, applied: set[str]) -> str:
    fixed = ftfy.fix_text(text, unescape_html=True)
    if fixed != text:
        applied.update(_repairs(text))
    text = fixed
    if not _MAYBE_A_RULE.search(text):
        return text.strip()
    for name, rule in RULES:
        changed = rule(text)
        if changed != text:
            applied.add(name)
        text = changed
    return _WHITESPACE.sub(" ", text).strip()


def _repairs(text: str) -> set[str]:
    """What ftfy repaired in a text that it changed."""
    unescaped = html.unescape(text)
    found = {"HTML entities"} if unescaped != text else set()
    if ftfy.fix_encoding(unescaped) != unescaped:
        found.add("mojibake")
    return found or {"typographic characters"}


def plot_defect(plot: str, min_words: int = MIN_WORDS) -> str | None:
    """Why a clean plot cannot be used: the reason for the report, or None if it can."""
    if not plot:
        return "no plot"
    if is_placeholder(plot):
        return "placeholder instead of a plot"
    # Most plots have their words in their first characters, so that not all of it is read.
    if len(plot.split(" ", min_words - 1)) < min_words and count_words(plot) < min_words:
        return f"plot of fewer than {min_words} words"
    return None


def says_nothing(cell: str) -> bool:
    """Whether a raw cell of plots holds none: it is empty, a missing value or a placeholder."""
    short = cell.strip()[: LONGEST + 1]
    return not short or (len(short) <= LONGEST and is_no_plot(clean_text(as_text(short))))


def is_no_plot(plot: str) -> bool:
    """Whether a clean plot says nothing: no genre is predicted from a title alone."""
    return not plot or is_placeholder(plot)


def count_words(text: str) -> int:
    """Words of a clean text; in scripts without spaces, two characters count as a word."""
    if not text:
        return 0
    if text.isascii():
        return text.count(" ") + 1
    unspaced = len(_UNSPACED.findall(text))
    return (
        len(_UNSPACED.sub(" ", text).split()) + (unspaced + 1) // 2
        if unspaced
        else (text.count(" ") + 1)
    )


def compose_text(title: str | None, plot: str) -> str:
    """`"{title}. {plot}"`, what the model reads; the plot alone if there is no title.

    Both are expected clean (`clean_text`).
    """
    return f"{title}. {plot}" if title else plot
