"""What every source has: named columns, and records in their order."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("validation", "valid", "val", "validate", "dev", "development"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}
"""What data sets call their splits, in lower case -> index into `SPLITS`."""
OWN_SPLIT = "(split)"
"""The last column of a table whose rows come in splits of their own: the name of each row's split.
Data sets of the Hub have it, and workbooks whose sheets are splits; others have no such column."""

_LOOKED_AT = 50
"""Rows."""
_HEAVY = 2000
"""Characters of the average cell."""
_LONGEST_WORD = 40
"""Characters of a text for each of its words: texts have 6, 768 numbers have no word."""
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Malformed:
    """A record that cannot be read."""

    reason: str
    """Of rejected.csv and the report; the same for every record of its kind."""
    detail: str
    """Its line or row, and how it begins."""


Record = tuple[str, ...] | Malformed


class Table(Protocol):
    """A source that can be read several times, each time from its beginning."""

    @property
    def columns(self) -> list[str]:
        """Names in the source's order."""

    @property
    def notes(self) -> list[str]:
        """What a user should know about how it was read; one sentence each."""

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        """The cells of these columns for each record, as text; missing ones are empty."""


def light_columns(table: Table) -> list[str]:
    """The named columns that may hold texts, genres, titles or ids, judged by the first rows.

    Embeddings, pictures and the like are much longer than any of these, and without words. They are
    left out, so that no more than a few of their cells are ever in memory.
    """
    named = [column for column in table.columns if column]
    rows = itertools.islice(table.records(named), _LOOKED_AT)
    cells = zip(*(row for row in rows if not isinstance(row, Malformed)), strict=True)
    heavy = {column for column, texts in zip(named, cells, strict=False) if _is_heavy(texts)}
    return [column for column in named if column not in heavy]


def _is_heavy(cells: Sequence[str]) -> bool:
    """Whether cells are long, and mostly numbers, or letters without spaces as pictures are."""
    length = sum(map(len, cells))
    if length <= _HEAVY * len(cells):
        return False
    words = sum(len(_WORD.findall(cell)) for cell in cells)
    if all(map(str.isascii, cells)):  # other scripts have no spaces
        words = min(words, sum(len(cell.split()) for cell in cells))
    return words * _LONGEST_WORD < length


def as_text(value: Any) -> str:
    """A cell as text: lists and objects become JSON, bytes are UTF-8, a missing value is empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return as_text(value.tolist())
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    return str(value)
