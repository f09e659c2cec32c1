"""--train-source: more films to train on, and nothing else changed."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from conftest import further_films, made_up_films, prepare, write_csv

from movie_genres.errors import InputError
from movie_genres.preparation.loading import load_prepared
from movie_genres.preparation.train_only import (
    IN_SOURCE,
    MAYBE_HELD_OUT,
    OTHER_GENRES,
    RETELLS_HELD_OUT,
)

COLUMNS = ["id", "title", "text", "genres", "labels"]


def rows(folder: Path, split: str) -> list[dict]:
    table = pd.read_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")[COLUMNS]
    return table.map(lambda cell: cell if isinstance(cell, str) else list(cell)).to_dict("records")


def test_films_of_a_train_source_are_added_to_train_and_change_nothing_else(tmp_path: Path) -> None:
    main = write_csv(tmp_path / "main.csv", made_up_films(120))
    assert prepare(main, tmp_path / "alone") == 0
    held_out = rows(tmp_path / "alone", "test")[0]
    trained = rows(tmp_path / "alone", "train")[0]
    more = further_films(120)  # 60, of which these six are not added:
    more[0] |= {"title": held_out["title"]}
    more[1] |= {"id": held_out["id"]}
    more[2] |= {"overview": trained["text"].split(". ", 1)[1], "genres": "Western"}
    more[3] |= {"overview": held_out["text"].split(". ", 1)[1].upper()}
    more[4] |= {"overview": more[5]["overview"]}
    more[6] |= {"genres": "Documentary"}
    more[7] |= {"genres": "Documentary|Horror"}
    other = write_csv(tmp_path / "more.csv", more)
    assert prepare(main, tmp_path / "merged", "--train-source", str(other)) == 0
    alone, merged = load_prepared(tmp_path / "alone"), load_prepared(tmp_path / "merged")
    assert merged.labels == alone.labels
    for split in ("validation", "test"):
        assert rows(tmp_path / "merged", split) == rows(tmp_path / "alone", split)
    n_train = len(alone.splits["train"])
    assert rows(tmp_path / "merged", "train")[:n_train] == rows(tmp_path / "alone", "train")
    added = rows(tmp_path / "merged", "train")[n_train:]
    assert {row["title"] for row in added} == {
        film["title"] for number, film in enumerate(more) if number not in (0, 1, 2, 3, 5, 6)
    }
    assert next(row for row in added if row["title"] == more[7]["title"])["genres"] == ["Horror"]
    with (tmp_path / "merged" / "rejected.csv").open(newline="") as file:
        assert Counter(row["reason"] for row in csv.DictReader(file)) == {
            MAYBE_HELD_OUT: 2, IN_SOURCE: 2, OTHER_GENRES: 1, "repeats an earlier row": 1
        }  # fmt: skip
    assert merged.report["train_only"] == 54
    assert merged.report["read"] == merged.report["kept"] + 6 == 180
    assert "for training only" in (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")


def test_genres_that_a_train_source_never_uses_can_be_unknown_for_its_films(tmp_path: Path) -> None:
    main = write_csv(tmp_path / "main.csv", made_up_films(120))
    more = [film for film in further_films(120) if "Western" not in film["genres"]]
    other = write_csv(tmp_path / "more.csv", more)
    flags = ["--train-source", str(other), "--absent-genres", "unknown"]
    assert prepare(main, tmp_path / "merged", *flags) == 0
    prepared = load_prepared(tmp_path / "merged")
    western = prepared.y("train")[:, prepared.labels.index("Western")]
    from_main = [source == "main.csv" for source in prepared.splits["train"]["source"]]
    assert [value == value for value in western] == from_main


def test_a_held_out_film_under_another_id_and_title_is_not_trained_on(tmp_path: Path) -> None:
    films = made_up_films(120)
    more = further_films(120)
    for film in (*films, *more):
        del film["title"]
    told = "Two sisters inherit a lighthouse and find letters that an admiral hid behind its lamp."
    retold = (
        "In Brittany, two sisters inherit a lighthouse from an aunt whom they never met. One night "
        "they find letters that an admiral hid behind its lamp, and set out to return them."
    )
    films[0] |= {"overview": told, "split": "test"}
    more[0] |= {"overview": retold}
    for number, film in enumerate(films[1:]):
        film["split"] = ("train", "validation", "test")[max(0, number % 12 - 9)]
    main = write_csv(tmp_path / "main.csv", films)
    other = write_csv(tmp_path / "more.csv", more)
    flags = ["--split-column", "split", "--train-source", str(other)]
    assert prepare(main, tmp_path / "merged", *flags) == 0
    report = load_prepared(tmp_path / "merged").report
    assert report["rejected"] == {RETELLS_HELD_OUT: 1}
    assert report["train_only"] == 59


def test_a_train_source_that_brings_nothing_is_refused(tmp_path: Path) -> None:
    main = write_csv(tmp_path / "main.csv", made_up_films(120))
    with pytest.raises(InputError, match="--train-source adds no film.*its plot is in --source"):
        prepare(main, tmp_path / "merged", "--train-source", str(main))
    assert not (tmp_path / "merged").exists()
