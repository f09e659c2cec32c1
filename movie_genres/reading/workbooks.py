"""Excel workbooks and those of other programs: one sheet, or the sheets that are splits."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from movie_genres.errors import InputError, one_line
from movie_genres.reading.delimited import distinct_names, picker
from movie_genres.reading.records import OWN_SPLIT, SPLIT_NAMES, Record, as_text

_OLE = b"\xd0\xcf\x11\xe0"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_HEADER_ROWS = 50
"""Rows among which the header is."""


def is_workbook(path: Path) -> bool:
    """Whether a file is one of .xlsx, .xlsb, .ods or .xls, whatever its name."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == _OLE:
        return True
    if magic != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            mimetype = archive.read("mimetype") if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, RuntimeError, KeyError):
        return False
    return any(name.startswith("xl/workbook") for name in names) or b"spreadsheet" in mimetype


class WorkbookTable:
    """A sheet of a workbook, or several that are splits, one after the other.

    The header is the first row that is about as full as those below it. Empty rows are left out.
    Where several sheets are read, the last column, `OWN_SPLIT`, names the sheet of each row.

    Args:
        path: The file.
        sheet: The name of the sheet; None: the only one, or those that are named as splits are.

    Raises:
        InputError: If the file is damaged or encrypted, has no such sheet, or has several.
    """

    def __init__(self, path: Path, sheet: str | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._sheets = self._read(sheet)
        headers = {name: rows[0] for name, rows in self._sheets.items()}
        found: list[str] = []
        for name, header in headers.items():
            distinct, note = distinct_names(path, [_as_seen(cell).strip() for cell in header])
            self._sheets[name][0] = distinct
            self.notes += [note] if note else []
            found += distinct
        self.columns = list(dict.fromkeys(found))
        if len(self._sheets) > 1:
            self.columns.append(OWN_SPLIT)
            self.notes.append(f"the sheets {', '.join(self._sheets)} of {path.name} were read")

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        for name, (header, *rows) in self._sheets.items():
            place = {column: index for index, column in enumerate(header)}
            place |= {OWN_SPLIT: len(header)}
            # A column that this sheet lacks is empty.
            pick = picker([place.get(column, len(header) + 1) for column in columns])
            for row in rows:
                yield pick([*map(_as_seen, row), name, ""])

    def _read(self, sheet: str | None) -> dict[str, list[list[Any]]]:
        """Rows of each sheet that is read, the header first."""
        import python_calamine as calamine  # costs time that only workbooks need

        try:
            with calamine.CalamineWorkbook.from_path(self.path) as workbook:
                kinds = {data.name: data.typ for data in workbook.sheets_metadata}
                names = [n for n, kind in kinds.items() if kind == calamine.SheetTypeEnum.WorkSheet]
                sheets = {
                    name: _rows(workbook.get_sheet_by_name(name).to_python())
                    for name in ([sheet] if sheet in names else names if sheet is None else [])
                }
        except (calamine.CalamineError, OSError) as error:
            raise self._refused(error) from None
        filled = {name: rows for name, rows in sheets.items() if len(rows) > 1}
        return self._chosen(sheet, names, filled)

    def _chosen(
        self, sheet: str | None, names: Sequence[str], filled: dict[str, list[list[Any]]]
    ) -> dict[str, list[list[Any]]]:
        if sheet is not None and sheet not in names:
            raise InputError(
                f"{self.path} has no sheet {sheet!r}: set --sheet to one of: {', '.join(names)}"
            )
        if not filled:
            raise InputError(f"{self.path} is empty: no sheet has a header and rows")
        if len(filled) == 1:
            return filled
        named = {name: SPLIT_NAMES.get(name.strip().casefold()) for name in filled}
        splits = {name: rows for name, rows in filled.items() if named[name] is not None}
        kinds = {named[name] for name in splits}
        if 0 not in kinds or len(kinds) < max(2, len(splits)):
            raise InputError(
                f"{self.path} has several sheets: set --sheet to one of: {', '.join(filled)}"
            )
        others = [name for name in filled if name not in splits]
        if others:
            self.notes.append(
                f"of {self.path.name} other sheets than the splits were not read: "
                f"{', '.join(others)}; --sheet names one"
            )
        return splits

    def _refused(self, error: Exception) -> InputError:
        if _ENCRYPTED in self.path.read_bytes() or "assword" in str(error):
            return InputError(
                f"{self.path} is a workbook that a password protects; save it without one, or as "
                "CSV (UTF-8)"
            )
        return InputError(
            f"{self.path} is a workbook that cannot be read ({one_line(error)}); save it as .xlsx "
            "or as CSV (UTF-8)"
        )


def _rows(rows: list[list[Any]]) -> list[list[Any]]:
    """Header and rows of a sheet; lines above the header and empty rows are left out."""
    filled = [sum(cell != "" for cell in row) for row in rows]
    most = max(filled[:_HEADER_ROWS], default=0)
    begin = next((i for i, count in enumerate(filled) if 2 * count >= most and count), 0)
    return [row for row, count in zip(rows[begin:], filled[begin:], strict=True) if count]


def _as_seen(cell: Any) -> str:
    """A cell as the program shows it: 862, not 862.0; a date without the time of midnight."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return as_text(cell)
