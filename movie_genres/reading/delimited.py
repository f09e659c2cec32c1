"""CSV and TSV files. A broken record is reported, and does not end reading."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from movie_genres.errors import InputError
from movie_genres.reading.encodings import Encoding
from movie_genres.reading.quotes import RowShape
from movie_genres.reading.records import Malformed, Record

SEVERAL_NAMED = "has several columns named"
_HEAD_BYTES = 2**16
_HEAD_ROWS = 200
_SHAPE_LINES = 1000
_SHAPE_CHARACTERS = 2**20
"""Of the first lines, by which rows are known."""
_SHOWN_LINES = 5
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
_QUOTED_FIELD = re.compile(r'(?:^|\t)"[^\t\n]*"(?:\t|\r?$)')
_OPENING_MARK = re.compile(r'(?:^|\t)"')
_DOUBLED_MARK = re.compile(r'(?:^|\t)"[^"\t\n]*""[^\t\n]*"(?:\t|\r?$)', re.MULTILINE)


class DelimitedTable:
    """A CSV or TSV file with a header.

    A record that swallowed rows, because of a quotation mark that should not be there, is read line
    by line: every line of the file is in one record, or in one `Malformed`.

    Args:
        path: The file.
        encoding: As `choose_encoding` gives it.
        strict: Whether a row that can only be read after a repair is `Malformed`.

    Raises:
        InputError: If the file is empty, or has no header.
    """

    def __init__(self, path: Path, encoding: Encoding, *, strict: bool = False) -> None:
        self.path, self.encoding, self.strict = path, encoding, strict
        self._notes = list(encoding.notes)
        self._repaired: list[int] = []
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode(encoding.name, errors="replace")
        # Where lines end with LF, a bare CR is part of a text; only in files without any LF (very
        # old Macs) does it end a line.
        self._newline = "\n" if "\n" in head or "\r" not in head else "\r"
        first = next((line for line in head.split(self._newline) if line.strip()), "")
        named = _SEP_LINE.fullmatch(first.strip("\r\ufeff"))
        self._skip = 1 if named else 0
        self.delimiter = named[1] if named else max(",;\t|", key=first.count)
        self.columns: list[str] = []
        self._shape: RowShape | None = None
        self._pads = False
        self._dialect, self.columns, lengths = self._best_dialect(head)
        self.columns, note = distinct_names(path, self.columns)
        self._notes += [note] if note else []
        width = len(self.columns)
        short = sum(0 < length < width for length in lengths)
        self._pads = not strict and short > _PADDED_SHARE * len(lengths)
        if self._pads:
            self._notes.append(
                f"{short} of the first {len(lengths)} rows have fewer fields than the header: the "
                "missing ones are taken as empty"
            )
        least = min(length for length in lengths if length) if self._pads else width
        self._shape = RowShape.of(self._sample(), self._dialect, width, least)

    @property
    def notes(self) -> list[str]:
        if not self._repaired:
            return self._notes
        shown = ", ".join(map(str, self._repaired[:_SHOWN_LINES]))
        more = ", ..." if len(self._repaired) > _SHOWN_LINES else ""
        return [
            *self._notes,
            f"{self.path.name} has {len(self._repaired):,} line(s) with a stray quotation mark, "
            f"which would have joined rows; each was read on its own: line {shown}{more}",
        ]

    def _best_dialect(self, head: str) -> tuple[dict[str, Any], list[str], list[int]]:
        """How quotation marks are written, so that most of the first rows have all fields.

        Returns:
            Arguments of csv.reader; the header; and how many fields each of the first rows has,
            0 for those that could not be read as they are.
        """
        quoted: dict[str, Any] = {"delimiter": self.delimiter, "quoting": csv.QUOTE_MINIMAL}
        literal = quoted | {"quoting": csv.QUOTE_NONE}
        dialects = [quoted]
        if '\\"' in head:  # as MySQL writes them inside fields, not doubled
            dialects.append(quoted | {"escapechar": "\\"})
        if self.delimiter == "\t" and not _DOUBLED_MARK.search(head):
            # Many TSV files know no quoted fields: marks in titles are just marks.
            lines = head.split(self._newline)
            if not any(_OPENING_MARK.search(line) for line in lines):
                dialects = [literal]
            elif 2 * sum(bool(_QUOTED_FIELD.search(line)) for line in lines) < len(lines):
                dialects.append(literal)
        tried = []
        for self._dialect in dialects:
            header, lengths = self._head()
            bad = sum(length != len(header) for length in lengths) + len(self._repaired)
            if self._dialect is not literal or not bad or len(dialects) == 1:
                tried.append((bad, (self._dialect, header, lengths)))
        return min(tried, key=itemgetter(0))[1]

    def _sample(self) -> list[str]:
        """The first lines after that of the header."""
        with self.encoding.open(self.path, self._newline) as file:
            lines, left = [], _SHAPE_CHARACTERS
            for line in itertools.islice(file, self._skip + 1, self._skip + 1 + _SHAPE_LINES):
                lines.append(line)
                left -= len(line)
                if left < 0:
                    break
            return lines

    def _head(self) -> tuple[list[str], list[int]]:
        """The header, and how many fields each of the first rows has, 0 for broken ones."""
        self._shape, self.columns, self._repaired = None, [], []
        rows = self._rows()
        header, _ = next(rows, ([], 0))
        if isinstance(header, Malformed):
            raise InputError(f"{self.path} has no header that can be read: {header.detail}")
        if not header:
            raise InputError(f"{self.path} is empty")
        first = next((cell for cell in header if len(cell.split()) > _LONGEST_NAME), None)
        if first is not None:
            raise InputError(
                f"{self.path} has no header: its first line holds {first[:40]!r}...; add a line "
                "that names the columns"
            )
        self.columns = [name.strip() for name in header]
        self._shape = RowShape.of(self._sample(), self._dialect, len(header), len(header))
        read = (row for row, _ in itertools.islice(rows, _HEAD_ROWS))
        return self.columns, [0 if isinstance(row, Malformed) else len(row) for row in read]

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        width = len(self.columns)
        pick = picker([self.columns.index(column) for column in columns])
        self._repaired = []
        rows = self._rows()
        next(rows)  # the header
        for row, line in rows:
            if isinstance(row, Malformed):
                yield row
            elif len(row) == width or self._is_padded(row):
                yield pick(row)
            elif len(row) > width:
                yield defect("more fields than the header", row, line)
            elif self._pads:
                yield pick([*row, *[""] * (width - len(row))])
            else:
                yield defect("fewer fields than the header", row, line)

    def _is_padded(self, row: Sequence[str]) -> bool:
        """Whether all fields beyond those of the header are empty."""
        return len(row) > len(self.columns) and not any(row[len(self.columns) :])

    def _rows(self) -> Iterator[tuple[list[str] | Malformed, int]]:
        """Rows and the line on which each begins (1 = the first of the file), the header first."""
        csv.field_size_limit(_LONGEST_FIELD)
        with self.encoding.open(self.path, self._newline) as file:
            for _ in range(self._skip):
                next(file)
            lines = _Lines(file, self._is_record)
            dialect = self._dialect | {"strict": self.strict}
            reader = csv.reader(iter(lines), **dialect)
            start = 1 + self._skip
            while True:
                error = ""
                try:
                    row = next(reader, None)
                except csv.Error as failed:
                    row, error = [], str(failed)
                if row is None:
                    return
                found: list[str] | Malformed = row
                if len(lines.taken) > 1 or lines.ended or error:
                    found, n_lines = self._checked(row, lines, error, start)
                    if n_lines < len(lines.taken):
                        lines.push_back(n_lines)
                        reader = csv.reader(iter(lines), **dialect)
                if found:
                    yield found, start
                start += len(lines.taken)
                lines.taken.clear()

    def _checked(
        self, row: list[str], lines: _Lines, error: str, start: int
    ) -> tuple[list[str] | Malformed, int]:
        """What a record is that has several lines or is broken, and how many of them are its own.

        Args:
            row: As csv.reader gave it.
            lines: Those that were taken for it.
            error: What csv.reader said; empty if nothing.
            start: Number of its first line.
        """
        taken, shape = lines.taken, self._shape
        if shape is None or not (lines.ended or error or self._swallows(row, taken, shape)):
            own = len(taken)
        else:
            own = next((i for i in range(1, len(taken)) if shape.begins_row(taken[i])), len(taken))
        ends_well = taken[0].endswith(("\n", "\r"))
        cells = shape.alone(taken[0]) if shape and own == 1 and ends_well else None
        if own == len(taken) and not error and not lines.ended:
            return row, own
        if cells is not None and not self.strict:
            self._repaired.append(start)
            return cells, own
        if own < len(taken) or cells is not None:
            return defect("a stray quotation mark", [taken[0].rstrip()], start), own
        if lines.ended:
            detail = f"line {start}: the file ends inside a quoted field"
            return Malformed("truncated inside quotes", detail), own
        if "field larger" in error:
            detail = f"the quotation mark in line {start} is never closed"
            return Malformed("a quotation mark that is never closed", detail), own
        return Malformed("not well-formed CSV", f"line {start}: {error}"), own

    def _swallows(self, row: list[str], taken: Sequence[str], shape: RowShape) -> bool:
        """Whether a record of several lines holds rows, or is not well-formed."""
        fits = len(row) == shape.width or self._is_padded(row) or (self._pads and len(row) > 1)
        if fits and shape.is_well_formed(taken):
            return shape.holds_rows(taken)
        return True

    def _is_record(self, line: str) -> bool:
        """Whether a part of a line is a whole record."""
        row = next(csv.reader([line], **self._dialect), [])
        return 1 < len(self.columns) == len(row) and line.count('"') % 2 == 0


class _Lines:
    """Lines of a file, those of the current record, and whether the file's end was reached.

    A bare CR inside a line that ends with LF is whitespace of a text, unless the parts before and
    after it are whole records: then some lines of the file end with CR.
    """

    def __init__(self, file: Iterator[str], is_record: Callable[[str], bool]) -> None:
        self.is_record = is_record
        self.taken: list[str] = []
        self.ended = False
        self._rest = self._split(file)

    def __iter__(self) -> Iterator[str]:
        for line in self._rest:
            self.taken.append(line)
            yield line
        # The reader takes a further line only where a record is incomplete, or at the end.
        self.ended = True

    def push_back(self, n_lines: int) -> None:
        """Take only the first lines of the current record; the others are read again."""
        self._rest = itertools.chain(self.taken[n_lines:], self._rest)
        del self.taken[n_lines:]
        self.ended = False

    def _split(self, file: Iterator[str]) -> Iterator[str]:
        for line in file:
            if line.find("\r", 0, -2) >= 0 and line[-1] == "\n":
                parts = _BARE_CR.split(line)
                whole = all(map(self.is_record, parts))
                yield from (part.rstrip() + "\n" for part in parts) if whole else [" ".join(parts)]
            else:
                yield line


def picker(indices: Sequence[int]) -> itemgetter:
    """Picks these cells of a row, always as a tuple."""
    if len(indices) >= 2:
        return itemgetter(*indices)
    return itemgetter(slice(*(indices[0], indices[0] + 1) if indices else (0, 0)))


def distinct_names(path: Path, names: Sequence[str]) -> tuple[list[str], str | None]:
    """Names of columns, numbered where several have one name, and a note that says so."""
    times = Counter(name for name in names if name)
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} ({seen[name]})" if times[name] > 1 else name)
    repeated = [name for name, count in times.items() if count > 1]
    if not repeated:
        return distinct, None
    numbered = " and ".join(f"{repeated[0]} ({n + 1})" for n in range(times[repeated[0]]))
    return distinct, (
        f"{path.name} {SEVERAL_NAMED} {', '.join(repeated)}: name the one you mean as {numbered}"
    )


def defect(reason: str, row: Sequence[str], line: int) -> Malformed:
    """A row with too few or too many fields, and how it begins."""
    shown = " | ".join(row)
    return Malformed(reason, f"line {line}: {shown[:77]}{'...' if len(shown) > 77 else ''}")
