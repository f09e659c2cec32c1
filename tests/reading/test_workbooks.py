"""Workbooks: numbers as they are seen, the header wherever it is, one sheet or those of splits."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from conftest import made_up_films
from test_sources import TABLE, opened

import prepare_dataset
from movie_genres.errors import InputError
from movie_genres.inference.films import open_films
from movie_genres.reading.records import OWN_SPLIT
from movie_genres.reading.sources import SourceOptions, read_sources
from movie_genres.reading.tables import open_table

FILMS = made_up_films(60)
NAMES = ["id", "title", "overview", "genres"]


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]], above: int = 0) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, 1 + above):
            for column, cell in enumerate(row, 1):
                sheet.cell(number, column, cell)
    book.save(path)
    return path


def film_rows(films: Sequence[Mapping[str, str]] = FILMS) -> list[list[Any]]:
    return [NAMES, *([int(film["id"]), *(film[n] for n in NAMES[1:])] for film in films)]


def test_a_sheet_is_read_as_it_is_seen(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["id", "title", None, "released", "rating", "ok"],
        [862, "Toy", "x", datetime.date(1999, 5, 1), 7.5, True],
        [],
        [863, 1984, None, datetime.datetime(1999, 5, 1, 12, 30), None, False],
        [None, "Short"],
    ]
    path = workbook(tmp_path / "films.xlsx", {"Films": rows}, above=3)
    book = openpyxl.load_workbook(path)
    book["Films"]["B1"] = "All films"  # a heading of the sheet
    book["Films"]["A400"].fill = openpyxl.styles.PatternFill("solid", "FF0000")
    book.create_sheet("Empty")
    book.create_chartsheet("Chart")
    book.save(path)
    table = open_table(path)
    assert table.columns == ["id", "title", "", "released", "rating", "ok"]
    found = list(table.records(["ok", "id", "title", "released", "rating"]))
    assert found[:2] == [
        ("True", "862", "Toy", "1999-05-01", "7.5"),
        ("False", "863", "1984", "1999-05-01 12:30:00", ""),
    ]
    assert found[2:] == [("", "", "Short", "", "")]


def test_a_workbook_goes_through_preparation_and_prediction(tmp_path: Path) -> None:
    path = workbook(tmp_path / "films.xlsx", {"a": film_rows(), "b": film_rows()[:9]})
    arguments = ["--output-dir", str(tmp_path / "out"), "--min-genre-count", "2"]
    with pytest.raises(InputError, match=r"films.xlsx has several sheets: set --sheet to one of"):
        prepare_dataset.main(["--source", str(path), *arguments])
    assert prepare_dataset.main(["--source", str(path), "--sheet", "a", *arguments]) == 0
    assert open_films(path, tmp_path, sheet="b").n_films == 8
    with pytest.raises(InputError, match=r"no sheet 'c': set --sheet to one of: a, b"):
        open_films(path, tmp_path, sheet="c")
    (tmp_path / "films.csv").write_text("overview\nA man waits\n")
    with pytest.raises(InputError, match="is a folder; name one file in it"):
        open_films(tmp_path, tmp_path)
    with pytest.raises(InputError, match="--sheet 'c' is for workbooks"):
        open_films(tmp_path / "films.csv", tmp_path, sheet="c")


@pytest.mark.parametrize("second", ["DEV", "development"])
def test_sheets_that_are_splits_are_read_together_each_row_with_its_own(
    tmp_path: Path, second: str
) -> None:
    swapped = [[row[1], row[0], *row[2:]] for row in film_rows(FILMS[40:50])]
    sheets = {"Training": film_rows(FILMS[:40]), second: swapped, "test": film_rows(FILMS[50:])}
    path = workbook(tmp_path / "films.xlsx", {**sheets, "All of them": film_rows()})
    table = open_table(path)
    assert table.columns == [*NAMES, OWN_SPLIT]
    found = list(table.records(["id", OWN_SPLIT]))
    assert [record[0] for record in found] == [film["id"] for film in FILMS]
    assert [record[1] for record in found] == ["Training"] * 40 + [second] * 10 + ["test"] * 10
    assert "All of them; --sheet names one" in table.notes[0]
    assert open_table(path, sheet=second).columns == ["title", "id", "overview", "genres"]


def test_a_workbook_in_a_zip_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path / "films.xlsx", {"a": film_rows()})
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(path, "films.xlsx")
    (source,) = opened(tmp_path, str(tmp_path / "films.zip"))
    assert len(list(source.records())) == 60


def test_workbooks_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    (tmp_path / "old.xls").write_bytes(ole + bytes(600))
    with pytest.raises(InputError, match=r"old.xls is a workbook that cannot be read .*save it as"):
        opened(tmp_path, str(tmp_path / "old.xls"))
    (tmp_path / "secret.xlsx").write_bytes(ole + bytes(600) + "EncryptedPackage".encode("utf-16le"))
    with pytest.raises(InputError, match=r"secret.xlsx is a workbook that a password protects"):
        opened(tmp_path, str(tmp_path / "secret.xlsx"))
    workbook(tmp_path / "empty.xlsx", {"a": [], "b": [NAMES]})
    with pytest.raises(InputError, match=r"empty.xlsx is empty"):
        opened(tmp_path, str(tmp_path / "empty.xlsx"))
    with zipfile.ZipFile(tmp_path / "text.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("word/document.xml", "")
    with pytest.raises(InputError, match=r"text.docx is an Office document; save its table"):
        opened(tmp_path, str(tmp_path / "text.docx"))


def test_a_workbook_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_genres.reading.archives.ALWAYS_ALLOWED", 2**10)
    monkeypatch.setattr("movie_genres.reading.archives.MOST_EXPANSION", 1)
    path = workbook(tmp_path / "films.xlsx", {"a": film_rows()})
    folder = tmp_path / "expanded"
    folder.mkdir()
    with pytest.raises(InputError, match="expands to more than"):
        read_sources([str(path)], SourceOptions(), TABLE, folder)
