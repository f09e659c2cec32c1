"""Stray quotation marks in delimited files: which lines of a record are rows of their own.

A mark that opens a field and is not meant to makes a reader join all rows up to the next mark. That
record is either not closed as a quoted field is, by a mark before a separator or a line's end, or
has the wrong number of fields, or is by chance closed well and then consists of nothing but rows.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_NEARLY_ALL = 0.95
"""Share of the first rows."""
_CELLS_PER_WORD = 5
"""A column with fewer different words than a fifth of its cells has a vocabulary, as genres do."""
_SWALLOWED = 0.8
"""Share of a well-formed record's lines that must look like rows for it to be several rows."""
_CERTAIN_LINES = 4
"""Lines of which all look like rows: so many are several rows even where cells span lines."""
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class CellShape:
    """What the cells of one column look like."""

    form: str | None
    """`a9` for `tt0012`: where nearly all cells have the same form with a digit."""
    words: frozenset[str] | None
    """Where they use few different ones."""
    filled: bool
    spaced: bool
    """Whether cells are hardly ever empty; whether some begin with a space."""

    @classmethod
    def of(cls, cells: Sequence[str]) -> CellShape:
        forms = Counter(_form(cell) for cell in cells)
        form, times = forms.most_common(1)[0] if forms else ("", 0)
        words = {word for cell in cells for word in _words(cell)}
        rare = (1 - _NEARLY_ALL) * len(cells)
        return cls(
            form if "9" in form and times >= _NEARLY_ALL * len(cells) else None,
            frozenset(words) if len(words) * _CELLS_PER_WORD <= len(cells) else None,
            forms[""] <= rare,
            sum(cell[:1] == " " for cell in cells) > rare,
        )

    @property
    def is_certain(self) -> bool:
        """Whether prose does not fit by chance."""
        return self.form is not None or self.words is not None

    def fits(self, cell: str) -> bool:
        cell = cell.strip('"')
        if not cell.strip():
            return not self.filled
        if self.form is not None and _form(cell) != self.form:
            return False
        if self.words is not None:
            words = _words(cell)
            return 2 * sum(word in self.words for word in words) >= len(words)
        # A comma of prose has a space after it, a separator hardly ever.
        return self.spaced or cell[:1] != " "


@dataclass(frozen=True)
class RowShape:
    """What a line of a file looks like that holds one row."""

    dialect: Mapping[str, Any]
    """Arguments of csv.reader."""
    least: int
    """Fields of the shortest rows."""
    columns: tuple[CellShape, ...]
    multiline: bool
    """Whether quoted cells of the first rows have several lines."""

    @classmethod
    def of(
        cls, lines: Sequence[str], dialect: Mapping[str, Any], width: int, least: int
    ) -> RowShape:
        """The shape of a file's rows, by its first lines without the header."""
        records = list(_well_formed(lines, dialect, width))
        cells = zip(*(cells for cells, _ in records), strict=True) if records else [()] * width
        shape = cls(dialect, least, tuple(map(CellShape.of, cells)), False)
        return replace(shape, multiline=any(shape._has_prose(own) for _, own in records))

    @property
    def width(self) -> int:
        return len(self.columns)

    def is_well_formed(self, lines: Sequence[str]) -> bool:
        """Whether lines are one record whose quoted fields are closed before a separator."""
        try:
            return len(list(csv.reader(lines, **{**self.dialect, "strict": True}))) == 1
        except csv.Error:
            return False

    def holds_rows(self, lines: Sequence[str]) -> bool:
        """Whether a well-formed record consists of rows: both its ends do, and most of the rest.

        Where cells do span lines, a record of few lines is one row in doubt.
        """
        if self.multiline and (
            len(lines) < _CERTAIN_LINES or not any(column.is_certain for column in self.columns)
        ):
            return False
        if not (self._is_row(lines[0]) and self._is_row(lines[-1])):
            return False
        return sum(map(self._is_row, lines[1:])) >= _SWALLOWED * (len(lines) - 1)

    def begins_row(self, line: str) -> bool:
        """Whether a later line of a broken record begins a row; in doubt it does."""
        if not self.multiline:
            return line.count(self.dialect["delimiter"]) + 1 >= self.least
        cells = self._literal(line)
        if self.columns[0].form is not None:
            return len(cells) > 1 and self.columns[0].fits(cells[0])
        return len(cells) == self.width

    def alone(self, line: str) -> list[str] | None:
        """The cells of a line with a stray mark; None where its fields are not certain."""
        quoted = next(csv.reader([line], **self.dialect), [])
        if len(quoted) == self.width:
            return [cell.rstrip("\r\n") for cell in quoted]
        cells = self._literal(line)
        if len(cells) != self.width or any(
            cell[:1] == " " and not column.spaced
            for cell, column in zip(cells, self.columns, strict=True)
        ):
            return None
        return [
            cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
            for cell in cells
        ]

    def _is_row(self, line: str) -> bool:
        cells = self._literal(line)
        if len(cells) > self.width and not self.multiline:
            # Separators inside quoted cells: the first cell decides.
            return self.columns[0].form is not None and self.columns[0].fits(cells[0])
        return len(cells) == self.width and all(
            column.fits(cell) for cell, column in zip(cells, self.columns, strict=True)
        )

    def _has_prose(self, lines: Sequence[str]) -> bool:
        # A line with so few separators is no row.
        return any(line.count(self.dialect["delimiter"]) + 1 < self.least for line in lines[1:])

    def _literal(self, line: str) -> list[str]:
        return line.rstrip("\r\n").split(self.dialect["delimiter"])


def _form(cell: str) -> str:
    """`tt0012` -> `a9`: digits and letters by their kind."""
    return _LETTERS.sub("a", _DIGITS.sub("9", cell.replace('"', "").strip()))


def _words(cell: str) -> list[str]:
    return _LETTERS.findall(cell.casefold())


def _well_formed(
    lines: Sequence[str], dialect: Mapping[str, Any], width: int
) -> Iterator[tuple[list[str], Sequence[str]]]:
    """The well-formed records of lines, and the lines of each."""
    reader = csv.reader(lines, **{**dialect, "strict": True})
    begin = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = []
        if cells is None:
            return
        if len(cells) == width:
            yield cells, lines[begin : reader.line_num]
        begin = reader.line_num
