"""prepare_dataset.py from end to end, on hand-written files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import made_up_films, prepare, write_csv
from datasets import load_dataset

import prepare_dataset
from movie_genres.command_line import dashes
from movie_genres.preparation.duplicates import words
from movie_genres.preparation.loading import load_prepared
from movie_genres.preparation.splits import SPLITS


def test_every_row_is_kept_or_rejected_with_a_reason(tmp_path: Path) -> None:
    rows = made_up_films(100)
    rows[3]["overview"] = " "
    rows[4]["overview"] = "No overview found."
    rows[5]["genres"] = ""
    rows[6]["genres"] = "Short Film|Black-and-white"
    rows[7]["genres"] = "Telenovela"
    rows[8] = rows[9] | {"genres": "Horror"}
    folder = tmp_path / "prepared"
    prepare(write_csv(tmp_path / "films.csv", rows), folder)
    report = json.loads((folder / "report.json").read_text())
    assert report["rejected"] == {
        "no plot": 1,
        "placeholder instead of a plot": 1,
        "no genres": 1,
        "no plot genre among its labels": 1,
        "no genre with at least 5 films": 1,
        "repeats an earlier row": 1,
    }
    assert report["read"] == 100 == report["kept"] + sum(report["rejected"].values())
    assert report["genres"]["unlisted"] == {"Telenovela": 1}
    with (folder / "rejected.csv").open(newline="") as file:
        rejected = {int(row["row"]): row["reason"] for row in csv.DictReader(file)}
    assert rejected[4] == "no plot"
    assert rejected[10] == "repeats an earlier row"
    assert sum(report["splits"].values()) == report["kept"]
    kept = {row["id"]: row for split in load_prepared(folder).splits.values() for row in split}
    # The row that was dropped as a repetition left its genre behind.
    assert "Horror" in kept[rows[9]["id"]]["genres"]


def test_the_folder_opens_with_load_dataset_and_has_the_contract_s_features(
    prepared_folder: Path, tmp_path: Path
) -> None:
    splits = load_dataset(str(prepared_folder), cache_dir=str(tmp_path))
    assert set(splits) == set(SPLITS)
    labels = json.loads((prepared_folder / "labels.json").read_text())
    assert labels == ["Comedy", "Horror", "Western"]
    for rows in splits.values():
        assert rows.column_names == ["id", "title", "text", "genres", "labels"]
        for row in rows:
            assert [labels[i] for i in np.flatnonzero(row["labels"])] == row["genres"]
            assert row["text"].startswith(f"{row['title']}. ")


def test_splits_share_neither_an_id_nor_a_text(tmp_path: Path) -> None:
    rows = made_up_films(100)
    for number in range(20):  # remakes: another id and title, the plot of another film
        rows[80 + number]["overview"] = rows[number]["overview"].upper()
    for number in range(20, 25):  # one film in two rows
        rows[number + 5]["id"] = rows[number]["id"]
    folder = tmp_path / "prepared"
    prepare(write_csv(tmp_path / "films.csv", rows), folder)
    prepared = load_prepared(folder)
    assert prepared.report["duplicates"]["groups_of_several_rows"] == 25
    seen: dict[object, str] = {}
    for split, films in prepared.splits.items():
        for film in films:
            for key in (film["id"], tuple(words(film["text"].split(". ", 1)[1]))):
                assert seen.setdefault(key, split) == split


def test_the_same_seed_gives_the_same_files(films_csv: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        prepare(films_csv, tmp_path / name, "--seed", seed)
    prints = [load_prepared(tmp_path / name).fingerprint for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_lists_of_dicts_and_columns_in_capitals_are_read(tmp_path: Path) -> None:
    rows = [
        {
            "Movie Name": film["title"],
            "Plot": film["overview"],
            "GENRE": str([{"id": 1, "name": genre} for genre in film["genres"].split("|")]),
            "Cast": "Ann Lee|Bo Roe",
        }
        for film in made_up_films(60)
    ]
    folder = tmp_path / "prepared"
    prepare(write_csv(tmp_path / "films.csv", rows), folder)
    report = json.loads((folder / "report.json").read_text())
    assert report["genre_format"] == "literal"
    assert report["source"]["columns"] == {
        "id": None, "title": "Movie Name", "plot": "Plot", "raw_genres": "GENRE"
    }  # fmt: skip
    assert report["kept"] == 60


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_json_lines_and_parquet_with_lists_and_numbers_are_read(
    tmp_path: Path, suffix: str
) -> None:
    films = pd.DataFrame(made_up_films(60))
    films["genres"] = [cell.split("|") for cell in films["genres"]]
    films["id"] = films["id"].astype(int)
    films.loc[3, "overview"] = None
    path = tmp_path / f"films{suffix}"
    if suffix == ".jsonl":
        films.to_json(path, orient="records", lines=True)
    else:
        films.to_parquet(path)
    prepare(path, tmp_path / "prepared")
    report = load_prepared(tmp_path / "prepared").report
    assert report["kept"] == 59
    assert report["rejected"] == {"no plot": 1}
    assert set(report["genres"]["kept"]) == {"Comedy", "Horror", "Western"}


def test_missing_ids_do_not_make_one_film_of_many(tmp_path: Path) -> None:
    rows = [film | {"id": "NULL"} for film in made_up_films(60)]
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "prepared")
    report = load_prepared(tmp_path / "prepared").report
    assert report["duplicates"]["groups_of_several_rows"] == 0
    assert 40 < report["splits"]["train"] < 56


@pytest.mark.usefixtures("drawn_figures")
def test_a_genre_with_a_dollar_sign_is_no_formula(tmp_path: Path) -> None:
    rows = made_up_films(60)
    for row in rows:
        row["genres"] = row["genres"].replace("Horror", "Cash $x_{$")
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "prepared")
    assert (tmp_path / "prepared" / "figures" / "genre_counts.png").is_file()


def test_flags_take_underscores_and_values_keep_theirs() -> None:
    assert dashes(["--output_dir=a_b", "--text_column", "my_text"]) == [
        "--output-dir=a_b",
        "--text-column",
        "my_text",
    ]


def test_any_number_of_processes_writes_the_same_files(tmp_path: Path) -> None:
    rows = made_up_films(2100)
    source = write_csv(tmp_path / "films.csv", rows)
    for number in ("1", "2"):
        prepare(source, tmp_path / number, "--num-proc", number)
    for path in sorted((tmp_path / "1").rglob("*.*")):
        if path.suffix != ".png":
            assert (
                path.read_bytes()
                == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()
            )


@pytest.mark.usefixtures("drawn_figures")
def test_the_folder_s_readme_notes_what_is_odd(tmp_path: Path) -> None:
    rows = made_up_films(60)
    for row in rows[:4]:
        row["genres"] += "|Telenovela"
    rows[9]["overview"] = "<b>A man &amp; a dog</b> go home\u200b in the night."
    source = write_csv(tmp_path / "films.csv", rows)
    folder = tmp_path / "prepared"
    prepare_dataset.main(
        ["--source", str(source), str(source), "--output-dir", str(folder),
         "--min-genre-count", "5"]
    )  # fmt: skip
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "the genre 'Telenovela' has 4 films: dropped below --min-genre-count 5" in card
    assert "films.csv and films.csv are the same file" in card
    assert "| HTML tags | 2 |" in card
    figures = {path.name for path in (folder / "figures").iterdir()}
    for name in figures:
        assert f"](figures/{name})" in card
    assert len(figures) == 6


def test_a_note_advises_to_mask_names_unless_they_are_masked(tmp_path: Path) -> None:
    rows = [f | {"overview": f"A {f['genres']} of {f['overview']}"} for f in made_up_films(60)]
    source = write_csv(tmp_path / "films.csv", rows)
    for flags, advised in (([], True), (["--mask-genre-names"], False)):
        prepare(source, tmp_path / "out", *flags)
        card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
        assert ("--mask-genre-names masks them" in card) == advised
    assert all("A ___" in row["text"] for row in load_prepared(tmp_path / "out").splits["train"])


def test_what_a_killed_preparation_has_left_is_removed_by_the_next(
    films_csv: Path, tmp_path: Path
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".out-{gone.pid}-abc_1"
    others = [tmp_path / f".out-{os.getppid()}-abc_1", tmp_path / f".out2-{gone.pid}-abc_1"]
    for folder in (left, *others):
        folder.mkdir()
        (folder / "half").touch()
    assert prepare(films_csv, tmp_path / "out") == 0
    assert not left.exists()
    assert all(folder.exists() for folder in others)
