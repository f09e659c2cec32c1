"""Which rows are one film: seen from outside, in the splits, genres and report of a folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import made_up_films, prepare, write_csv

import prepare_dataset

NAMES = ["Ilsa", "Rick", "Sam", "Ugarte", "Laszlo", "Annina", "Renault", "Carl", "Sascha", "Yvonne"]
Row = dict[str, Any]


def names_of(number: int) -> tuple[str, str, str]:
    """Three words that no other film has."""
    return tuple(f"{NAMES[(number + i) % 10]}{'abcdefghij'[i]}{number}" for i in range(3))  # type: ignore[return-value]


def plot_of(number: int) -> str:
    """A plot of 20 words, of which three are the film's own."""
    a, b, c = names_of(number)
    return (
        f"The keeper {a} meets the stranger {b} at night and they both leave the town of {c} "
        "before the war is over"
    )


def retold(number: int) -> str:
    """The same film in other words."""
    a, b, c = names_of(number)
    return f"Rain falls on {c}; an old debt, a bell. {b} waits for somebody called {a}, and sings."


def numbered(count: int) -> list[Row]:
    genres = ["Comedy", "Drama", "Horror|Comedy"]
    return [
        {"id": str(100 + n), "title": f"Film {names_of(n)[0]}", "year": 1950 + n % 60,
         "overview": plot_of(n), "genres": genres[n % 3]}
        for n in range(count)
    ]  # fmt: skip


def splits_of(folder: Path, column: str = "title") -> dict[str, set[str]]:
    """The splits in which each title stands."""
    found: dict[str, set[str]] = {}
    for path in (folder / "data").iterdir():
        for value in pd.read_parquet(path)[column]:
            found.setdefault(value, set()).add(path.name.split("-")[0])
    return found


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def prepared(tmp_path: Path, *sources: list[Row]) -> Path:
    paths = [write_csv(tmp_path / f"{n}.csv", rows) for n, rows in enumerate(sources)]
    names = ["--source", *map(str, paths), "--output-dir", str(tmp_path / "out")]
    assert prepare_dataset.main([*names, "--min-genre-count", "5", "--num-proc", "1"]) == 0
    report = report_of(tmp_path / "out")
    assert report["read"] == sum(map(len, sources))
    assert report["read"] == report["kept"] + sum(report["rejected"].values())
    return tmp_path / "out"


def in_several(folder: Path) -> set[str]:
    return {title for title, splits in splits_of(folder).items() if len(splits) > 1}


@pytest.mark.parametrize("name", ["imdbID", "movieId", "Const", "show_id"])
def test_rows_with_one_id_are_one_film_whatever_the_column_is_called(
    tmp_path: Path, name: str
) -> None:
    first = [{name: row.pop("id"), **row} for row in numbered(60)]
    again = [
        row | {name: f"{row[name]}.0", "overview": f"Nothing alike: rain and debt, {n} bells."}
        for n, row in enumerate(first)
    ]
    for row in first + again:
        row["year"] = ""
    assert not in_several(prepared(tmp_path, first + again))


def test_an_id_column_can_be_named(tmp_path: Path) -> None:
    genres = ["War", "Drama"]
    rows = [{"code": f"x{n % 60}", "overview": plot_of(n), "genres": genres[n % 2]}
            for n in range(120)]  # fmt: skip
    source = write_csv(tmp_path / "films.csv", rows)
    prepare(source, tmp_path / "out", "--id-column", "code")
    assert {len(splits) for splits in splits_of(tmp_path / "out", "id").values()} == {1}
    assert report_of(tmp_path / "out")["duplicates"]["groups_of_several_rows"] == 60


def test_an_imdb_id_is_the_same_film_in_every_source(tmp_path: Path) -> None:
    first = [{"imdbId": f"01147{n:02}", "overview": plot_of(n), "genres": "War|Drama" if n % 2 else
              "Drama"} for n in range(60)]  # fmt: skip
    second = [{"tconst": f"tt01147{n:02}", "overview": f"Rain, {n} bells and debt", "genres": "War"}
              for n in range(60)]  # fmt: skip
    folder = prepared(tmp_path, first, second)
    assert report_of(folder)["duplicates"]["groups_across_sources"] == 60


def test_a_number_of_another_source_is_one_film_only_with_the_title(tmp_path: Path) -> None:
    first, second = numbered(60), numbered(120)[60:]
    for row, other in zip(first, second, strict=True):
        other["id"] = row["id"]
    for row in second[:20]:
        row |= {"title": next(r["title"] for r in first if r["id"] == row["id"]), "year": 2020}
    folder = prepared(tmp_path, first, second)
    assert report_of(folder)["duplicates"]["groups_across_sources"] == 20


def test_a_stub_makes_no_film_of_many_and_shares_no_genres(tmp_path: Path) -> None:
    rows = numbered(100)
    for row in rows[:40]:
        row["overview"] = "Mexican feature film."
    folder = prepared(tmp_path, rows)
    kept = pd.concat(pd.read_parquet(path) for path in (folder / "data").iterdir())
    genres = dict(zip(kept["title"], kept["genres"], strict=True))
    assert all(sorted(genres[r["title"]]) == sorted(r["genres"].split("|")) for r in rows)
    assert len({min(splits) for t, splits in splits_of(folder).items()
                if t in {r["title"] for r in rows[:40]}}) > 1  # fmt: skip
    assert report_of(folder)["duplicates"]["groups_of_several_rows"] == 0


def test_a_long_stub_is_one_by_its_many_titles(tmp_path: Path) -> None:
    rows = numbered(100)
    for row in rows[:5]:
        row["overview"] = plot_of(0)
    for row in rows[10:12]:
        row["overview"] = plot_of(10)
    report = report_of(prepared(tmp_path, rows))
    assert report["duplicates"]["rows_in_such_groups"] == 2
    assert report["duplicates"]["plots_with_different_genres"] == 1


def test_equal_stubs_without_titles_share_a_split_but_no_genres(tmp_path: Path) -> None:
    rows = [{k: row[k] for k in ("id", "overview", "genres")} for row in numbered(100)]
    for row in rows[:6]:
        row["overview"] = "Mexican feature film."
    rows.append(rows[0] | {"genres": "Horror"})
    folder = prepared(tmp_path, rows)
    report = report_of(folder)
    assert report["rejected"] == {"repeats an earlier row": 1}
    assert report["duplicates"]["rows_in_such_groups"] == 6
    assert {len(splits) for splits in splits_of(folder, "text").values()} == {1}


def test_a_film_that_two_sources_tell_differently_is_one_by_title_and_year(tmp_path: Path) -> None:
    first = numbered(100)
    unlike = [row | {"id": f"b{n}", "overview": f"Rain on the sea, {n} bells and {n} debts, a song",
                     "title": f"{row['title']} ({row['year']})", "year": ""}
              for n, row in enumerate(first)]  # fmt: skip
    folder = prepared(tmp_path, first, unlike)
    assert report_of(folder)["duplicates"]["groups_across_sources"] == 100
    splits = {title.split(" (")[0]: s for title, s in splits_of(folder).items()}
    for title, found in splits_of(folder).items():
        assert splits[title.split(" (")[0]] == found


@pytest.mark.parametrize("in_one_file", [False, True])
def test_a_retelling_is_the_same_film_without_years(tmp_path: Path, in_one_file: bool) -> None:
    first = numbered(100)
    for row in first:
        row["year"] = ""
    second = [row | {"id": f"b{n}", "overview": retold(n)} for n, row in enumerate(first)]
    sources = [first + second] if in_one_file else [first, second]
    folder = prepared(tmp_path, *sources)
    assert not in_several(folder)
    report = report_of(folder)
    assert report["duplicates"]["pairs_joined_by_title"] == 100
    # Two texts of one film keep the genres that each of them was given.
    assert report["duplicates"]["plots_with_different_genres"] == 0


def test_a_title_alone_joins_nothing_and_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = numbered(100)
    for row in rows[:10]:
        row |= {"title": "The Visitor", "year": ""}
    report = report_of(prepared(tmp_path, rows))
    assert report["duplicates"]["groups_of_several_rows"] == 0
    assert report["duplicates"]["titles_of_several_films"] == 1
    assert report["duplicates"]["such_titles"] == ["The Visitor"]
    assert "1 title(s) are taken for several films each" in capsys.readouterr().out


def test_remakes_stay_separate(tmp_path: Path) -> None:
    first = numbered(60)
    second = [row | {"id": f"b{n}", "year": row["year"] + 20, "overview": retold(n)}
              for n, row in enumerate(first)]  # fmt: skip
    report = report_of(prepared(tmp_path, first, second))
    assert report["duplicates"]["groups_of_several_rows"] == 0
    assert report["duplicates"]["titles_of_several_films"] == 0


def test_a_changed_and_a_truncated_plot_of_one_title_are_one_film(tmp_path: Path) -> None:
    rows = numbered(100)
    for row in rows:
        row["year"] = ""
    changed = [row | {"id": f"c{n}", "overview": row["overview"].replace("stranger", "sailor")
                      .replace("war", "winter")} for n, row in enumerate(rows[:8])]  # fmt: skip
    halves = [row | {"id": f"h{n}", "overview": " ".join(row["overview"].split()[:9])}
              for n, row in enumerate(rows[8:16])]  # fmt: skip
    folder = prepared(tmp_path, rows + changed + halves)
    assert not in_several(folder)
    assert report_of(folder)["duplicates"]["groups_of_several_rows"] == 16


@pytest.mark.parametrize("bridge", [{}, {"genres": ""}, {"genres": "Novelty"}])
def test_a_row_that_was_rejected_still_links_the_films_that_share_its_id_and_plot(
    tmp_path: Path, bridge: Row
) -> None:
    rows = []
    for n in range(0, 90, 3):
        a = numbered(90)[n] | {"title": "", "year": ""}
        b = a | {"id": f"{a['id']}-2"} | bridge
        c = b | {"overview": f"{plot_of(n + 1)}, twice", "genres": "Drama|Comedy"}
        rows += [a, b, c]
    folder = prepared(tmp_path, rows)
    report = report_of(folder)
    assert report["rejected"].popitem()[1] == 30
    assert report["duplicates"]["groups_of_several_rows"] == 30
    splits = splits_of(folder, "id")
    assert all(splits[row["id"]] == splits[f"{row['id']}-2"] for row in rows[::3])


def test_films_that_are_joined_by_nothing_are_split_by_the_seed_alone(tmp_path: Path) -> None:
    films = made_up_films(120)
    for name, more in (("a", {}), ("b", {"year": "1999", "imdb": "", "movieId": "7"})):
        prepare(write_csv(tmp_path / f"{name}.csv", [f | more for f in films]), tmp_path / name)
    assert splits_of(tmp_path / "a") == splits_of(tmp_path / "b")


def test_rejected_csv_names_the_repeated_row_of_a_stub(tmp_path: Path) -> None:
    rows = numbered(60)
    rows[0]["overview"] = rows[1]["overview"] = "Lost film."
    rows += [rows[0] | {"id": "9"}, rows[1] | {"id": "10", "year": 1900}]
    folder = prepared(tmp_path, [row | {"overview": row["overview"] + " Short."} for row in rows])
    with (folder / "rejected.csv").open(newline="") as file:
        assert [(r["row"], r["detail"]) for r in csv.DictReader(file)] == [("61", "row 1")]
