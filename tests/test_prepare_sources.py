"""prepare_dataset.py with several sources: one folder, the origin kept, the same film found."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import made_up_films, write_csv
from datasets import Features, List, Value

import prepare_dataset
from movie_genres.errors import InputError
from movie_genres.preparation.loading import load_prepared
from movie_genres.preparation.prepared import parquet_schema


def test_several_sources_become_one_and_keep_their_origin(tmp_path: Path) -> None:
    films = made_up_films(120)
    a = write_csv(tmp_path / "a.csv", films[:80])
    other = [
        {"Name": f["title"], "Plot": f["overview"], "Genre": f["genres"].replace("|", ", ")}
        for f in films[60:]
    ]
    other[0]["Genre"] = "Western"  # film 60 is Comedy in the first file
    other[30]["Name"] = "Renamed"
    other[30]["Plot"] = films[5]["overview"]
    b = write_csv(tmp_path / "b.csv", other)
    folder = tmp_path / "prepared"
    prepare_dataset.main(
        ["--source", str(a), str(b), "--output-dir", str(folder), "--min-genre-count", "5"]
    )
    prepared = load_prepared(folder)
    report = prepared.report
    assert report["read"] == 140
    assert report["rejected"] == {"repeats an earlier row": 20}
    assert [(s["name"], s["read"], s["kept"]) for s in report["sources"]] == [
        ("a.csv", 80, 80), ("b.csv", 60, 40)
    ]  # fmt: skip
    assert report["genre_format"] == "pipe and comma"
    assert report["duplicates"]["groups_across_sources"] == 1
    rows = {
        (row["source"], row["title"]): (split, row["genres"])
        for split, films_of in prepared.splits.items()
        for row in films_of
    }
    assert rows["a.csv", "Film 60"][1] == ["Comedy", "Western"]
    assert rows["a.csv", "Film 5"] == rows["b.csv", "Renamed"]
    with (folder / "rejected.csv").open(newline="") as file:
        assert {row["source"] for row in csv.DictReader(file)} == {"b.csv"}


def test_a_genre_that_a_source_never_uses_can_be_unknown_for_its_films(tmp_path: Path) -> None:
    films = made_up_films(120)
    first = [row for row in films[:60] if "Western" not in row["genres"]]
    second = films[60:]
    for name, rows in (("a", first), ("b", second)):
        write_csv(tmp_path / f"{name}.csv", rows)
    sources = ["--source", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    flags = ["--output-dir", str(tmp_path / "out"), "--min-genre-count", "5"]
    assert prepare_dataset.main([*sources, *flags, "--absent-genres", "unknown"]) == 0
    rows = pd.concat(pd.read_parquet(path) for path in (tmp_path / "out" / "data").iterdir())
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    western = np.array(rows["labels"].tolist())[:, labels.index("Western")]
    from_first = (rows["source"] == "a.csv").to_numpy()
    assert np.isnan(western[from_first]).all()
    assert not np.isnan(western[~from_first]).any()
    others = np.delete(np.array(rows["labels"].tolist()), labels.index("Western"), axis=1)
    assert not np.isnan(others).any()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["unknown_genres"] == {"a.csv": ["Western"], "b.csv": []}
    with pytest.raises(InputError, match="--audit judges known labels only"):
        prepare_dataset.main([*sources, *flags, "--absent-genres", "unknown", "--audit"])
    with pytest.raises(InputError, match="give --source several"):
        prepare_dataset.main([*sources[:2], *flags, "--absent-genres", "unknown"])


def test_a_film_of_two_sources_is_known_by_the_genres_of_both(tmp_path: Path) -> None:
    films = made_up_films(120)
    first = [row for row in films[:60] if "Western" not in row["genres"]]
    # The second source, which has Westerns, repeats the first film and retells another.
    retold = first[1] | {"title": "Retold", "id": "9", "overview": first[1]["overview"].upper()}
    second = [first[0], retold, *films[60:]]
    for name, rows in (("a", first), ("b", second)):
        write_csv(tmp_path / f"{name}.csv", rows)
    prepare_dataset.main(
        ["--source", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--min-genre-count", "5",
         "--output-dir", str(tmp_path / "out"), "--absent-genres", "unknown"]
    )  # fmt: skip
    rows = pd.concat(pd.read_parquet(path) for path in (tmp_path / "out" / "data").iterdir())
    western = json.loads((tmp_path / "out" / "labels.json").read_text()).index("Western")
    known = {
        title: row[western] == 0 for title, row in zip(rows["title"], rows["labels"], strict=True)
        if title in {f["title"] for f in first}
    }  # fmt: skip
    assert {title for title, is_known in known.items() if is_known} == {
        first[0]["title"],
        first[1]["title"],
    }
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        (repeated,) = csv.DictReader(file)
    assert (repeated["source"], repeated["detail"]) == ("b.csv", "row 1 of a.csv")


def test_what_datasets_reads_about_the_columns_is_what_it_would_write() -> None:
    text = Value("string")
    features = {"id": text, "title": text, "text": text, "genres": List(text)}
    features["labels"] = List(Value("float32"))
    assert parquet_schema().equals(Features(features).arrow_schema, check_metadata=True)
    features["source"] = text
    assert parquet_schema("source").equals(Features(features).arrow_schema, check_metadata=True)
