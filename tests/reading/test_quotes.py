"""Stray quotation marks: no row vanishes, and text that spans lines stays whole."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from conftest import made_up_films

import prepare_dataset
from movie_genres.errors import InputError
from movie_genres.inference.films import open_films
from movie_genres.reading.records import Malformed
from movie_genres.reading.tables import open_table

FILMS = made_up_films(60)
NAMES = ["id", "title", "overview", "genres"]


def rows_of(path: Path, **options: Any) -> list[Any]:
    table = open_table(path, **options)
    return list(table.records(table.columns))


def written(path: Path, rows: list[list[str]], delimiter: str = ",", **dialect: Any) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n", **dialect).writerows([NAMES, *rows])
    path.write_text(text.getvalue(), newline="")


def marked(path: Path, *marks: tuple[int, str, str]) -> None:
    """In these lines (0 = the header), put the second text in place of the first."""
    lines = path.read_text().split("\n")
    for number, old, new in marks:
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new, 1)
    path.write_text("\n".join(lines), newline="")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "marks",
    [
        [(15, "Film 14", '"Film 14')],
        [(15, "Film 14", '"Film 14'), (45, "Film 44", '"Film 44')],
        [(15, "Film 14", '"Film 14'), (45, "Film 44", 'Film 44"')],
        [(15, "Film 14", '"Film 14'), (16, "Film 15", '"Film 15')],
        [(15, "Film 14", 'Fil"m 14'), (45, "Film 44", 'Film" 44')],
        [(3, "1002", '"1002'), (58, "1057", '1057"')],
        [(59, "Film 58", '"Film 58')],
        [(60, "Film 59", '"Film 59')],
    ],
)
def test_every_row_is_read_whatever_stray_marks_there_are(
    tmp_path: Path, delimiter: str, marks: list[tuple[int, str, str]]
) -> None:
    path = tmp_path / "films.csv"
    rows = [[film["id"], film["title"], film["overview"], "War"] for film in FILMS]
    written(path, rows, delimiter)
    marked(path, *marks)
    read = rows_of(path)
    assert len(read) == 60
    for number, (row, record) in enumerate(zip(rows, read, strict=True), 1):
        if number not in [line for line, _, _ in marks]:
            assert record == tuple(row)
        else:
            assert isinstance(record, tuple)
            assert record[1].replace('"', "") == row[1]
            assert record[2:] == tuple(row[2:])


def test_the_lines_with_stray_marks_are_named_and_strict_stops_at_them(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    written(path, [[f["id"], f["title"], f["overview"], "War"] for f in FILMS])
    marked(path, (15, "Film 14", '"Film 14'), (45, "Film 44", '"Film 44'))
    table = open_table(path)
    list(table.records(["id"]))
    list(table.records(["id"]))  # a second reading does not count them again
    (note,) = table.notes
    assert "films.csv has 2 line(s) with a stray quotation mark" in note
    assert note.endswith("line 16, 46")
    arguments = ["--output-dir", str(tmp_path / "out"), "--min-genre-count", "4", "--strict"]
    with pytest.raises(InputError, match=r"films.csv, row 15: a stray quotation mark \(line 16"):
        prepare_dataset.main(["--source", str(path), *arguments])
    assert not (tmp_path / "out").exists()


def test_read_is_kept_and_rejected_and_the_rows_of_the_file_in_both_commands(
    tmp_path: Path,
) -> None:
    path = tmp_path / "films.csv"
    plots = [f"{film['overview']}, at last" for film in FILMS]  # so plots need quotation marks
    written(
        path, [[f["id"], f["title"], p, f["genres"]] for f, p in zip(FILMS, plots, strict=True)]
    )
    marked(path, (15, "Film 14", '"Film 14'), (30, '"', ""), (31, ",Comedy", ',"Comedy'))
    arguments = ["--output-dir", str(tmp_path / "out"), "--min-genre-count", "2"]
    assert prepare_dataset.main(["--source", str(path), *arguments]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["read"] == 60 == report["kept"] + sum(report["rejected"].values())
    (tmp_path / "expanded").mkdir()
    films = open_films(path, tmp_path / "expanded", skip_broken=True)
    unread = sum(isinstance(record, Malformed) for record in rows_of(path))
    assert films.n_films + unread == 60
    assert 0 < unread <= 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("names", [["id", "overview", "genres"], ["overview", "genres"]])
def test_plots_of_several_lines_stay_whole_whatever_they_hold(
    tmp_path: Path, delimiter: str, names: list[str]
) -> None:
    plots = [
        "One, two\nthree, four",
        f"He reads:\n{delimiter.join(['7', 'a list', 'War'][-len(names) :])}\nand goes",
        f"a{delimiter}b\n\nc{delimiter}d\ne",
        'She says "no",\nand leaves, alone',
        f"Waits{delimiter}",
    ]
    films = [
        {"id": str(n), "overview": plots[n % len(plots)], "genres": ("War", "Drama")[n % 2]}
        for n in range(3000)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, "", "ignore", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(films)
    path = tmp_path / "films.csv"
    path.write_text(text.getvalue(), newline="")
    assert rows_of(path) == [tuple(film[name] for name in names) for film in films]
    assert rows_of(path, strict=True) == rows_of(path)


def test_one_mark_in_a_thousand_rows_costs_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    written(path, [[str(n), f"Film {n}", f"A man waits {n} days", "War"] for n in range(1000)])
    marked(path, (300, "A man", '"A man'))
    assert [record[0] for record in rows_of(path)] == [str(n) for n in range(1000)]


def test_a_mark_that_is_never_closed_in_a_long_file_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movie_genres.reading.delimited._LONGEST_FIELD", 2**17)
    path = tmp_path / "films.csv"
    written(path, [[str(n), f"Film {n}", "A man waits " * 9, "War"] for n in range(20_000)])
    marked(path, (300, "A man", '"A man'))
    table = open_table(path)
    tracemalloc.start()
    n_read = sum(not isinstance(record, Malformed) for record in table.records(table.columns))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_read == 20_000
    assert peak < 2**20  # the file has 2.7 MB


def test_a_tsv_with_one_quoted_title_is_no_quoted_tsv(tmp_path: Path) -> None:
    path = tmp_path / "films.tsv"
    rows = [[f["id"], f["title"], f["overview"], "War"] for f in FILMS]
    written(path, rows, "\t", quoting=csv.QUOTE_NONE, quotechar=None)
    marked(path, (4, "Film 3", '"Film 3"'), (15, "Film 14", '"Film 14'), (45, "Film 44", '"Film'))
    assert [record[0] for record in rows_of(path, strict=True)] == [row[0] for row in rows]
    # If marks are doubled, or cells hold the separator, marks quote.
    rows = [[n, f"T\t{n}", 'He says "no"', "War"] for n, *_ in rows]
    written(path, rows, "\t")
    marked(path, (15, "War", '"War'))
    assert [record[1] for record in rows_of(path)] == [row[1] for row in rows]


def test_a_truncated_plot_of_several_lines_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    written(path, [[f["id"], f["title"], "One, two,\nthree\nfour", "War"] for f in FILMS])
    path.write_text(path.read_text()[: -len('four",War\n')])
    *good, last = rows_of(path)
    assert len(good) == 59
    assert last == Malformed(
        "truncated inside quotes", "line 179: the file ends inside a quoted field"
    )


def test_strict_refuses_rows_that_are_only_read_with_a_repair(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text('id,overview,genres\n1,"A "good" film",War\n2,A dog,War\n')
    assert [record[0] for record in rows_of(path)] == ["1", "2"]
    first, _ = rows_of(path, strict=True)
    assert first == Malformed("a stray quotation mark", 'line 2: 1,"A "good" film",War')
    path.write_text("id,overview,genres,tagline\n1,A man,War\n2,A dog,War\n3,A cat,War,Miaow\n")
    assert rows_of(path)[0] == ("1", "A man", "War", "")
    assert isinstance(rows_of(path, strict=True)[0], Malformed)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_numbers_that_are_missing_do_not_make_a_row_a_broken_one(
    tmp_path: Path, suffix: str
) -> None:
    films = [
        {"imdbRating": "N/A" if n % 20 == 7 else f"{n % 10}.1", "runtime": "" if n % 30 == 1 else n}
        | {"imdbVotes": "N/A" if n % 20 == 3 else f"{n},000", "rating": "" if n % 30 == 2 else 7.5}
        | film
        for n, film in enumerate(made_up_films(200))
    ]
    path = tmp_path / f"films.{suffix}"
    with path.open("w", newline="") as file:
        if suffix == "csv":
            writer = csv.DictWriter(file, list(films[0]))
            writer.writeheader()
            writer.writerows(films)
        else:
            file.writelines(json.dumps(film) + "\n" for film in films)
    arguments = ["--output-dir", str(tmp_path / "out"), "--min-genre-count", "2", "--strict"]
    assert prepare_dataset.main(["--source", str(path), *arguments]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["read"] == 200 == report["kept"]
