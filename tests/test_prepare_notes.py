"""What prepare_dataset.py reports: the columns it read, losses, and what is odd."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import made_up_films, prepare, write_csv

import prepare_dataset
from movie_genres.preparation.loading import load_prepared


def test_the_columns_that_were_read_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"code": f["id"], "Plot": f["overview"], "Genre": f["genres"]} for f in made_up_films(60)
    ]
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "out")
    columns = "films.csv: plots from 'Plot', genres (pipe) from 'Genre'"
    missing = "films.csv has no column of titles that could be found"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for text in (capsys.readouterr().out, card):
        assert f"{columns}\n" in text
        assert missing in text


def test_rows_of_one_genre_each_are_united_and_reported(tmp_path: Path) -> None:
    films = made_up_films(60)
    rows = [film | {"genres": genre} for film in films for genre in film["genres"].split("|")]
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "out")
    prepared = load_prepared(tmp_path / "out")
    kept = {row["id"]: row["genres"] for split in prepared.splits.values() for row in split}
    assert kept == {film["id"]: film["genres"].split("|") for film in films}
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "29% of the rows repeat the title and plot of an earlier row, which got" in card
    assert "of the rows were rejected" not in card
    assert prepared.report["duplicates"]["plots_with_different_genres"] == 24


def test_genres_that_a_repeated_film_was_given_besides_are_counted_as_conflicts(
    tmp_path: Path,
) -> None:
    films = made_up_films(60)
    films += [films[0] | {"genres": "Western"}]  # the same row again, with another genre
    films += [films[1]]  # and one with the same
    retold = films[2]["overview"].upper() + "!"
    films += [films[2] | {"id": "7", "title": "Again", "overview": retold, "genres": "Horror"}]
    prepare(write_csv(tmp_path / "films.csv", films), tmp_path / "out")
    report = load_prepared(tmp_path / "out").report
    assert report["rejected"] == {"repeats an earlier row": 2}
    assert report["duplicates"]["plots_with_different_genres"] == 2


def test_rejected_csv_shows_what_stood_where_a_plot_should(tmp_path: Path) -> None:
    rows = made_up_films(60)
    rows[3]["overview"] = "Add a Plot"
    rows[4]["overview"] = "Two words"
    rows[5]["genres"] = " "
    rows[6] |= {"overview": "N/A", "genres": "Short Film"}
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "out")
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        details = {row["row"]: row["detail"] for row in csv.DictReader(file)}
    assert details == {"4": "Add a Plot", "5": "Two words", "6": "", "7": "N/A"}


def test_a_carriage_return_in_a_cell_does_not_break_a_line_of_rejected_csv(tmp_path: Path) -> None:
    rows = made_up_films(60)
    rows[3]["genres"] = "Rare\rgenre"
    source = tmp_path / "films.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    prepare(source, tmp_path / "out")
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        assert [row["detail"] for row in csv.DictReader(file)] == ["Rare\rgenre"]


def test_genres_that_are_never_apart_and_pieces_of_labels_are_reported(tmp_path: Path) -> None:
    rows = made_up_films(60)
    for row in rows:
        row["genres"] = row["genres"].replace("|", ", ").replace("Western", "Arts, and Culture")
    source = write_csv(tmp_path / "films.csv", rows)
    prepare(source, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "'Arts' and 'and Culture' always occur together: for a model they are one" in card
    assert "pieces of one that contains the separator: name it with --known-genres" in card
    prepare(source, tmp_path / "out", "--known-genres", "Arts, and Culture")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "always occur together" not in card
    assert load_prepared(tmp_path / "out").labels == ["Arts, and Culture", "Comedy", "Horror"]


def test_a_source_that_adds_nothing_and_a_field_that_was_left_out_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [film | {"tagline": f"A {film['genres']} film"} for film in made_up_films(60)]
    a, b = write_csv(tmp_path / "a.csv", rows), write_csv(tmp_path / "b.csv", rows[:20])
    prepare_dataset.main(
        ["--source", str(a), str(b), "--output-dir", str(tmp_path / "out"), "--text-fields",
         "title", "overview", "tagline", "--drop-leaking-fields", "0.5", "--min-genre-count", "5"]
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "note: b.csv adds no film: see rejected.csv for why" in printed
    left_out = "the field 'tagline' was left out: it names one of the film's own genres in 100%"
    assert left_out in printed


def test_a_genre_that_the_table_does_not_list_is_masked_and_counted_as_a_leak(
    tmp_path: Path,
) -> None:
    rows = made_up_films(60)
    for number, row in enumerate(rows):
        row["genres"] = row["genres"].replace("Horror", "Telenovela")
        row["genres"] += "|Rarity" * (number == 0)
        row["overview"] = f"A telenovela and a rarity: {row['overview']}"
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "out", "--mask-genre-names")
    prepared = load_prepared(tmp_path / "out")
    assert all("A ___ and a rarity" in row["text"] for row in prepared.splits["train"])
    share = sum("Telenovela" in film["genres"] for film in rows) / 60
    assert prepared.report["genre_named_in"]["plot"] == pytest.approx(share, abs=0.03)
