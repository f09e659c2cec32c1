"""Genres from the file to the prepared folder: several columns, spellings, notes, --strict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import made_up_films, prepare, write_csv

from movie_genres.errors import InputError

FILMS = made_up_films(60)
GENRES = ("Comedy", "Horror", "Western")
COUNTS = {name: sum(name in film["genres"] for film in FILMS) for name in GENRES}


def written(tmp_path: Path, *cells: dict[str, str]) -> Path:
    kept = [{k: v for k, v in film.items() if k != "genres"} for film in FILMS]
    return write_csv(tmp_path / "films.csv", [f | c for f, c in zip(kept, cells, strict=True)])


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_columns_of_0_and_1_are_prepared_and_named_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [{g: str(int(g in film["genres"])) for g in GENRES} for film in FILMS]
    source = written(tmp_path, *cells)
    for more in ([], ["--genre-column", *GENRES]):
        prepare(source, tmp_path / "out", *more)
        assert report_of(tmp_path / "out")["genres"]["kept"] == COUNTS
        shown = capsys.readouterr().out
        assert "genres (literal) from '3 columns of 0 and 1: Comedy ... Western'" in shown


def test_spellings_that_differ_in_case_and_whitespace_become_the_commonest_one(
    tmp_path: Path,
) -> None:
    spell = (
        str.upper,
        str.title,
        str.title,
        str.lower,
        lambda name: name.title().replace(" ", "  "),
    )
    cells = [
        {"genres": "|".join(spell[n % 5](f"odd {g}") for g in film["genres"].split("|"))}
        for n, film in enumerate(FILMS[:1] + FILMS)
    ][1:]
    prepare(written(tmp_path, *cells), tmp_path / "out")
    genres = report_of(tmp_path / "out")["genres"]
    assert {name.casefold(): count for name, count in genres["kept"].items()} == {
        f"odd {name}".casefold(): count for name, count in COUNTS.items()
    }
    assert "Odd Comedy" in genres["kept"]
    assert set(genres["unlisted"]) == set(genres["kept"])


def test_labels_that_were_split_are_noted_with_the_flag_that_keeps_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sage = [film["genres"].replace("Western", "Sage") for film in FILMS]
    cells = [{"genres": g.replace("|", " " if n % 10 == 3 else ", ")} for n, g in enumerate(sage)]
    source = written(tmp_path, *cells)
    prepare(source, tmp_path / "out")
    genres = report_of(tmp_path / "out")["genres"]
    assert genres["kept"] == {name.replace("Western", "Sage"): n for name, n in COUNTS.items()}
    assert genres["split"] == {"Comedy Sage": 6}
    note = "read as these: 'Comedy Sage' (6); --known-genres 'Comedy Sage' keeps such a one whole"
    assert note in capsys.readouterr().out
    prepare(source, tmp_path / "out", "--known-genres", "Comedy Sage")
    assert report_of(tmp_path / "out")["genres"]["kept"]["Comedy Sage"] == 6


def test_strict_stops_at_genres_of_another_format_and_not_at_another_separator(
    tmp_path: Path,
) -> None:
    cells = [{"genres": film["genres"]} for film in FILMS]
    cells[7] = {"genres": "Comedy, Western"}
    prepare(written(tmp_path, *cells), tmp_path / "out", "--strict")
    assert report_of(tmp_path / "out")["kept"] == 60
    cells[9] = {"genres": "['Comedy', 'Western']"}
    source = written(tmp_path, *cells)
    with pytest.raises(
        InputError, match="--strict: films.csv, row 10: genres not readable as pipe"
    ):
        prepare(source, tmp_path / "out", "--strict")
    prepare(source, tmp_path / "out")
    assert report_of(tmp_path / "out")["rejected"] == {"genres not readable as pipe": 1}


def test_one_set_of_genres_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all have the same genres: Horror; a model needs films"):
        prepare(written(tmp_path, *[{"genres": "Horror"}] * 60), tmp_path / "out")


def test_a_fuller_column_and_the_source_s_name_are_in_the_notes(tmp_path: Path) -> None:
    cells = [{"genre": f["genres"].split("|")[0], "all genres": f["genres"]} for f in FILMS]
    prepare(written(tmp_path, *cells), tmp_path / "out")
    report = report_of(tmp_path / "out")
    assert report["genres"]["kept"] == COUNTS
    assert report["notes"][0].startswith("films.csv: genres were read from 'all genres', which")
