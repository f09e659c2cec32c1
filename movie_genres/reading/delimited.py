"""CSV, TSV and ` ::: `-separated files. A broken record is reported, and does not end reading."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from movie_genres.errors import InputError
from movie_genres.reading.encodings import Encoding
from movie_genres.reading.records import Malformed, Record

TRIPLE_COLON = " ::: "
_TRIPLE_COLON_NAMES = {
    3: ["id", "title", "description"],
    4: ["id", "title", "genre", "description"],
}
_HEAD_BYTES = 2**16
_HEAD_ROWS = 200
_PADDED_SHARE = 0.2
"""Share of the first rows. If more of them are shorter than the header, the writer leaves out empty
cells at the end of a row, and they are added; otherwise a short row is a broken record."""
_LONGEST_FIELD = 2**24
"""Characters."""
_SEP_LINE = re.compile("sep=(.)")
"""A first line that names the separator for Excel."""
_LONGEST_NAME = 12
"""Words of a column's name. If a cell of the first line has more, the file has no header."""
_BARE_CR = re.compile(r"\r(?!\n)")
_QUOTED_FIELD = re.compile(r'(?:^|\t)"[^\t]*"(?:\t|\r?\n|$)')


class DelimitedTable:
    """A CSV or TSV file with a header.

    Args:
        path: The file.
        encoding: As `choose_encoding` gives it.

    Raises:
        InputError: If the file is empty, or two columns have one name.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        self.notes = list(encoding.notes)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode(encoding.name, errors="replace")
        # Where lines end with LF, a bare CR is part of a text; only in files without any LF (very
        # old Macs) does it end a line.
        self._newline = "\n" if "\n" in head or "\r" not in head else "\r"
        first = next((line for line in head.split(self._newline) if line.strip()), "")
        named = _SEP_LINE.fullmatch(first.strip("\r\ufeff"))
        self._skip = 1 if named else 0
        self._delimiter = named[1] if named else max(",;\t|", key=first.count)
        quoted = self._delimiter != "\t" or _QUOTED_FIELD.search(head)
        self._dialect: dict[str, Any] = {
            "delimiter": self._delimiter,
            "quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        }
        self.columns: list[str] = []
        header, lengths = self._head()
        if '\\"' in head and any(length != len(header) for length in lengths):
            # Quotation marks inside fields may be written as MySQL does, not doubled.
            self._dialect["escapechar"] = "\\"
            if any(length != len(header) for length in self._head()[1]):
                del self._dialect["escapechar"]
        self.columns = [name.strip() for name in header]
        check_names(path, self.columns)
        width = len(header)
        short = sum(length < width for length in lengths)
        self._pads = bool(lengths) and short > _PADDED_SHARE * len(lengths)
        if self._pads:
            self.notes.append(
                f"{short} of the first {len(lengths)} rows have fewer fields than the header: the "
                "missing ones are taken as empty"
            )

    def _head(self) -> tuple[list[str], list[int]]:
        """The header, and how many fields each of the first rows has."""
        rows = self._rows()
        header = next((row for row, _ in rows if isinstance(row, list)), None)
        if header is None:
            raise InputError(f"{self.path} is empty")
        first = next((cell for cell in header if len(cell.split()) > _LONGEST_NAME), None)
        if first is not None:
            raise InputError(
                f"{self.path} has no header: its first line holds {first[:40]!r}...; add a line "
                "that names the columns"
            )
        read = (row for row, _ in itertools.islice(rows, _HEAD_ROWS))
        return header, [len(row) for row in read if isinstance(row, list)]

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        width = len(self.columns)
        pick = picker([self.columns.index(column) for column in columns])
        rows = self._rows()
        next(row for row, _ in rows if isinstance(row, list))  # the header
        for row, line in rows:
            if isinstance(row, Malformed):
                yield row
            elif len(row) == width or (len(row) > width and not any(row[width:])):
                yield pick(row)
            elif len(row) > width:
                yield _defect("more fields than the header", row, line)
            elif self._pads:
                yield pick([*row, *[""] * (width - len(row))])
            else:
                yield _defect("fewer fields than the header", row, line)

    def _rows(self) -> Iterator[tuple[list[str] | Malformed, int]]:
        """Rows and the line on which each begins (1 = the first of the file)."""
        csv.field_size_limit(_LONGEST_FIELD)
        with self.encoding.open(self.path, self._newline) as file:
            for _ in range(self._skip):
                next(file)
            lines = _Lines(file, self._is_record)
            reader = csv.reader(iter(lines), **self._dialect)
            start = 1 + self._skip
            while True:
                try:
                    row = next(reader, None)
                except csv.Error as error:
                    if "field larger" in str(error):
                        raise InputError(
                            f"{self.path}: a quotation mark in line {start} is never closed"
                        ) from None
                    yield Malformed("not well-formed CSV", f"line {start}: {error}"), start
                    row = []
                if row is None:
                    return
                if lines.ended:
                    detail = f"line {start}: the file ends inside a quoted field"
                    yield Malformed("truncated inside quotes", detail), start
                    return
                if row:
                    yield row, start
                start = reader.line_num + 1 + self._skip

    def _is_record(self, line: str) -> bool:
        """Whether a part of a line is a whole record."""
        row = next(csv.reader([line], **self._dialect), [])
        return 1 < len(self.columns) == len(row) and line.count('"') % 2 == 0


class _Lines:
    """Lines of a file, and whether its end was reached.

    A bare CR inside a line that ends with LF is whitespace of a text, unless the parts before and
    after it are whole records: then some lines of the file end with CR.
    """

    def __init__(self, file: Iterator[str], is_record: Callable[[str], bool]) -> None:
        self.file = file
        self.is_record = is_record
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            if line.find("\r", 0, -2) >= 0 and line[-1] == "\n":
                parts = _BARE_CR.split(line)
                whole = all(map(self.is_record, parts))
                yield from (part.rstrip() + "\n" for part in parts) if whole else [" ".join(parts)]
            else:
                yield line
        # The reader takes a further line only where a record is incomplete, or at the end.
        self.ended = True


class TripleColonTable:
    """A file of `ID ::: TITLE ::: GENRE ::: DESCRIPTION` lines, as IMDb dumps are shared."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        self.notes = list(encoding.notes)
        with encoding.open(path) as file:
            head = [line for line in itertools.islice(file, _HEAD_ROWS) if line.strip()]
        widths = [line.count(TRIPLE_COLON) + 1 for line in head]
        width = max(set(widths), key=widths.count)
        cells = [cell.strip().casefold() for cell in head[0].split(TRIPLE_COLON)]
        self._has_header = cells[0] == "id"
        names = cells if self._has_header else _TRIPLE_COLON_NAMES.get(width)
        if names is None:
            raise InputError(
                f"{path} has {width} fields separated by ':::'; expected are ID ::: TITLE ::: "
                "GENRE ::: DESCRIPTION and the same without GENRE"
            )
        self.columns = names

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        pick = picker([self.columns.index(column) for column in columns])
        width = len(self.columns)
        with self.encoding.open(self.path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or (number == 1 and self._has_header):
                    continue
                cells = line.rstrip("\r\n").split(TRIPLE_COLON, width - 1)
                if len(cells) < width:
                    yield _defect("fewer fields than the others", cells, number)
                else:
                    yield pick(cells)


def picker(indices: Sequence[int]) -> itemgetter:
    """Picks these cells of a row, always as a tuple."""
    if len(indices) >= 2:
        return itemgetter(*indices)
    return itemgetter(slice(*(indices[0], indices[0] + 1) if indices else (0, 0)))


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raises: InputError: If two columns have one name."""
    repeated = sorted({name for name in names if name and list(names).count(name) > 1})
    if repeated:
        raise InputError(f"{path} has several columns named {', '.join(repeated)}; rename them")


def _defect(reason: str, row: Sequence[str], line: int) -> Malformed:
    shown = " | ".join(row)
    return Malformed(reason, f"line {line}: {shown[:77]}{'...' if len(shown) > 77 else ''}")
