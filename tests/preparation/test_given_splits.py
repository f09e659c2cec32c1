"""Splits that the data brings are kept; what is in several of them leaves train."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import further_films, made_up_films, prepare, write_csv

import prepare_dataset
from movie_genres.errors import InputError
from movie_genres.preparation.given_splits import HELD_OUT_TOO
from movie_genres.preparation.splits import MIN_FILMS, SPLITS
from movie_genres.reading.records import OWN_SPLIT

NAMED = [*["Training"] * 7, "valid", "TEST ", "dev"]
"""Of ten films."""


def with_splits(count: int, column: str = "split") -> list[dict[str, Any]]:
    films = made_up_films(count)
    return [film | {column: NAMED[n % 10]} for n, film in enumerate(films)]


def ids_of(folder: Path) -> dict[str, list[str]]:
    path = "data/{}-00000-of-00001.parquet"
    return {split: list(pd.read_parquet(folder / path.format(split))["id"]) for split in SPLITS}


def given(rows: list[dict[str, Any]], column: str = "split") -> dict[str, list[str]]:
    names = {"training": "train", "valid": "validation", "dev": "validation", "test": "test"}
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row in rows:
        found[names[row[column].strip().lower()]].append(row["id"])
    return found


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["read"] == report["kept"] + sum(report["rejected"].values())
    return report


def test_a_column_of_splits_is_kept(tmp_path: Path) -> None:
    rows = with_splits(120)
    source = write_csv(tmp_path / "films.csv", rows)
    prepare(source, tmp_path / "out", "--split-column", "Split")
    assert ids_of(tmp_path / "out") == given(rows)
    report = report_of(tmp_path / "out")
    assert set(report["splits_from"].values()) == {"from the column 'split' of films.csv"}
    assert report["overlap"] == {
        "train and validation": 0, "train and test": 0, "validation and test": 0,
        "removed from train": 0,
    }  # fmt: skip
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "test: from the column 'split' of films.csv" in card
    assert "80 %" not in card


def test_a_column_of_splits_that_is_not_kept_is_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(write_csv(tmp_path / "films.csv", with_splits(60)), tmp_path / "out")
    assert "names of splits, which were not kept: --split-column split" in capsys.readouterr().out
    assert set(report_of(tmp_path / "out")["splits_from"].values()) == {"drawn"}


@pytest.mark.parametrize("name", ["holdout", ""])
def test_another_word_than_a_split_is_refused_by_name(tmp_path: Path, name: str) -> None:
    rows = with_splits(60)
    rows[7]["split"] = name
    rows[8] |= {"split": "a row without a plot", "overview": ""}
    source = write_csv(tmp_path / "films.csv", rows)
    with pytest.raises(InputError, match=rf"films.csv, row 8: the column 'split' says '{name}'"):
        prepare(source, tmp_path / "out", "--split-column", "split")
    assert not (tmp_path / "out").exists()


def test_a_file_for_each_split_is_kept(tmp_path: Path) -> None:
    rows = with_splits(120)
    paths = {}
    for split, ids in given(rows).items():
        part = [{k: r[k] for k in r if k != "split"} for r in rows if r["id"] in ids]
        paths[split] = write_csv(tmp_path / f"{split}.csv", part)
    others = ["--validation-source", str(paths["validation"]), "--test-source", str(paths["test"])]
    prepare(paths["train"], tmp_path / "out", *others)
    assert ids_of(tmp_path / "out") == given(rows)
    assert report_of(tmp_path / "out")["splits_from"] == {
        split: f"from the source {split}.csv" for split in SPLITS
    }


def test_a_table_s_own_splits_are_kept_on_request(tmp_path: Path) -> None:
    rows = with_splits(120, OWN_SPLIT)
    source = write_csv(tmp_path / "films.csv", rows)
    prepare(source, tmp_path / "out", "--keep-splits")
    assert ids_of(tmp_path / "out") == given(rows, OWN_SPLIT)
    origins = report_of(tmp_path / "out")["splits_from"].values()
    assert set(origins) == {"from the splits of films.csv"}
    without = write_csv(tmp_path / "plain.csv", made_up_films(60))
    with pytest.raises(InputError, match="--keep-splits: plain.csv has no splits of its own"):
        prepare(without, tmp_path / "none", "--keep-splits")
    both = ["--source", str(source), str(without), "--keep-splits"]
    with pytest.raises(InputError, match="--keep-splits: plain.csv has no splits of its own"):
        prepare_dataset.main([*both, "--output-dir", str(tmp_path / "none")])


def test_only_one_flag_says_where_the_splits_are(films_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--split-column and --keep-splits say where the splits"):
        prepare(films_csv, tmp_path / "out", "--split-column", "id", "--keep-splits")


def test_overlaps_leave_train_alone_and_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = with_splits(120)
    by_split = {split: [r for r in rows if r["id"] in ids] for split, ids in given(rows).items()}
    train, validation, test = by_split.values()
    test[0]["overview"] = train[0]["overview"].upper() + " again"  # nearly the same plot
    test[1]["id"] = train[1]["id"]
    test[2] |= {"title": train[2]["title"], "overview": train[2]["overview"], "genres": "Western"}
    validation[0]["overview"] = train[3]["overview"]
    validation[1] |= {"title": test[3]["title"], "overview": test[3]["overview"]}
    source = write_csv(tmp_path / "films.csv", rows)
    prepare(source, tmp_path / "out", "--split-column", "split")
    report = report_of(tmp_path / "out")
    assert report["overlap"] == {
        "train and validation": 1, "train and test": 3, "validation and test": 1,
        "removed from train": 4,
    }  # fmt: skip
    assert report["rejected"] == {HELD_OUT_TOO: 4}
    found = ids_of(tmp_path / "out")
    assert found["train"] == [row["id"] for row in train[4:]]
    assert found["validation"] == [row["id"] for row in validation]
    assert found["test"] == [row["id"] for row in test]
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        assert {row["reason"] for row in csv.DictReader(file)} == {HELD_OUT_TOO}
    # What is held out keeps its own genres, whatever train says of the same film.
    held_out = pd.read_parquet(tmp_path / "out" / "data" / "test-00000-of-00001.parquet")
    assert list(held_out["genres"][2]) == ["Western"]
    printed = capsys.readouterr().out
    assert "4 row(s) were removed from train" in printed
    assert "1 film(s) are in validation and in test" in printed


@pytest.mark.parametrize("absent", ["valid", "test"])
def test_a_split_that_the_data_lacks_is_drawn_from_train(
    tmp_path: Path, absent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"valid": "test", "test": "valid"}
    rows = [film | {"split": "train" if n % 5 else names[absent]}
            for n, film in enumerate(made_up_films(150))]  # fmt: skip
    for first, second in zip(rows[1:60:5], rows[61:120:5], strict=True):
        second["id"] = first["id"]  # films of two rows stay in one split
    source = write_csv(tmp_path / "films.csv", rows)
    prepare(source, tmp_path / "out", "--split-column", "split")
    drawn = "validation" if absent == "valid" else "test"
    kept = "test" if absent == "valid" else "validation"
    found = ids_of(tmp_path / "out")
    assert found[kept] == [row["id"] for row in rows[::5]]
    assert 8 <= len(found[drawn]) <= 16
    assert not set(found[drawn]) & set(found["train"])
    assert report_of(tmp_path / "out")["splits_from"][drawn] == "drawn from train, 10% of it"
    assert f"the data has no {drawn} split: it was drawn from train" in capsys.readouterr().out


def test_a_split_without_usable_films_is_refused(tmp_path: Path) -> None:
    rows = with_splits(120)
    for row in rows:
        row["genres"] = "" if row["split"] == "TEST " else row["genres"]
    source = write_csv(tmp_path / "films.csv", rows)
    with pytest.raises(InputError, match=r"the test split \(from the column 'split' of films.csv"):
        prepare(source, tmp_path / "out", "--split-column", "split")
    for row in rows:
        row["split"] = row["split"].lower().replace("training", "test")
    source = write_csv(tmp_path / "films.csv", rows)
    with pytest.raises(InputError, match="no usable row is of the train split"):
        prepare(source, tmp_path / "out", "--split-column", "split")


def test_further_films_to_train_on_come_beside_given_splits(tmp_path: Path) -> None:
    rows, further = with_splits(120), further_films(120)
    source = write_csv(tmp_path / "films.csv", rows)
    known = [{k: row[k] for k in row if k != "split"} for row in rows[100:]]
    other = write_csv(tmp_path / "more.csv", known + further)
    flags = ["--split-column", "split", "--train-source", str(other)]
    prepare(source, tmp_path / "out", *flags)
    found, expected = ids_of(tmp_path / "out"), given(rows)
    assert found["validation"] == expected["validation"]
    assert found["test"] == expected["test"]
    assert found["train"] == expected["train"] + [film["id"] for film in further]


@pytest.mark.parametrize("count", [10, 12, 14, MIN_FILMS - 1])
def test_too_few_films_for_splits_are_refused_with_the_number_needed(
    tmp_path: Path, count: int
) -> None:
    source = write_csv(tmp_path / "films.csv", made_up_films(count))
    match = f"distinct films: {count}; three splits need {MIN_FILMS}"
    with pytest.raises(InputError, match=match):
        prepare(source, tmp_path / "out", "--min-genre-count", "1")
    assert not (tmp_path / "out").exists()


def test_from_the_number_needed_on_every_split_can_be_judged_by(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "films.csv", made_up_films(MIN_FILMS))
    for seed in ("0", "1", "2"):
        arguments = ["--source", str(source), "--output-dir", str(tmp_path / "out")]
        more = ["--min-genre-count", "1", "--seed", seed]
        assert prepare_dataset.main([*arguments, *more]) == 0
        assert min(map(len, ids_of(tmp_path / "out").values())) >= 2
