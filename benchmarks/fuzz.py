"""Random and damaged inputs through parsing, cleaning and preparation: no crash, nothing is lost.

    python -m benchmarks.fuzz --inputs 200000

The kinds are cells of genres in every format, texts, rows of a file that prepare_dataset.py
prepares (these three are made of pieces that real files hold and of random characters), columns of
genres in random formats whose names are known, files of films into which stray quotation marks were
put, and films written once to three times, with other ids, titles, years or plots, in files without
splits and with splits of their own. Ends with an error at the first input that raises, that is
neither kept nor rejected, that changes when it is cleaned again, that is read as something else
than was written,
or whose film is in two splits.
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import prepare_dataset
from benchmarks.fuzz_genres import fuzz_written_genres
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat
from movie_genres.genres.labels import GenreReader
from movie_genres.reading.records import SPLIT_NAMES, SPLITS, Malformed
from movie_genres.reading.tables import open_table
from movie_genres.texts.text import clean_text

PIECES = [
    *("Drama", "Sci-Fi", "Action/Adventure", "|", ",", ";", "/", "[", "]", "{", "}", "'", '"'),
    *("[{'id': 18, 'name': 'Drama'}]", '{"/m/02l7c8": "Romance Film"}', "\\", "\\u0000", "None"),
    *("&amp;", "&lt;b&gt;", "<i>", "</i>", "[[a|b]]", "{{x}}", "[3]", "http://a.b/c", "Ã©", "â€™"),
    *("\u200b", "\u2028", "\x00", "\r", "\n", "\t", " ", "  ", "é", "日本", "\ud800", "😀"),
    *("See full summary »", "Add a Plot", "#NAME?", "A man waits.", "1e999", "__import__('os')"),
]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Random inputs through parsing and cleaning.")
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    rng = np.random.default_rng(args.seed)
    each = -(-args.inputs // len(args.kinds))
    counts: Counter[str] = Counter()
    for kind in args.kinds:
        counts += KINDS[kind](rng, each)
    print(f"{each * len(args.kinds):,} inputs, no crash, none lost: {dict(counts)}")
    return 0


def made_up(rng: np.random.Generator) -> str:
    pieces = rng.integers(0, len(PIECES) + 1, rng.integers(0, 12)).tolist()
    characters = map(chr, rng.integers(0, 0x3000, len(pieces)))
    return "".join(
        PIECES[piece] if piece < len(PIECES) else character
        for piece, character in zip(pieces, characters, strict=True)
    )


def fuzz_genres(rng: np.random.Generator, count: int) -> Counter[str]:
    aliases = GenreAliases.read(prepare_dataset.ALIASES)
    readers = [GenreReader(genre_format, aliases) for genre_format in GenreFormat]
    counts: Counter[str] = Counter()
    for number in range(count):
        cell = made_up(rng)
        labels = readers[number % len(readers)](cell)
        if any(map(str.isalnum, html.unescape(html.unescape(cell)))) and not (
            labels.raw or labels.error
        ):
            raise SystemExit(f"lost without a reason: {cell!r}")
        counts["cells refused with a reason" if labels.error else "cells read"] += 1
    return counts


def fuzz_texts(rng: np.random.Generator, count: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _ in range(count):
        text = made_up(rng)
        clean = clean_text(text)
        if clean_text(clean) != clean:
            raise SystemExit(f"cleaning it again changes it: {text!r}")
        counts["texts cleaned"] += 1
    return counts


def fuzz_rows(rng: np.random.Generator, count: int) -> Counter[str]:
    """One row of five is random; the others have a genre and a plot, so that there is a split."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "films.jsonl").open("w", encoding="utf-8") as file:
            for number in range(count):
                plot = f"{made_up(rng)} a man waits for number {number} in the old house"
                genre = ("Drama", "Comedy")[number % 2]
                film = {"id": number, "title": made_up(rng), "overview": plot, "genres": genre}
                if number % 5 == 0:
                    film |= {"overview": made_up(rng) + made_up(rng), "genres": made_up(rng)}
                file.write(json.dumps(film) + "\n")
        # Thousands of random genres would make the dataset card's figures too large to draw.
        return _prepared(folder, count, "--min-genre-count", str(max(5, count // 500)))


def _prepared(folder: Path, count: int, *more: str) -> Counter[str]:
    """Prepare films.jsonl of a folder, and count its rows as they were kept and rejected."""
    arguments = ["--source", str(folder / "films.jsonl"), "--output-dir", str(folder / "data")]
    if prepare_dataset.main([*arguments, *more]):
        raise SystemExit("prepare_dataset.py failed")
    report = json.loads((folder / "data" / "report.json").read_text(encoding="utf-8"))
    with (folder / "data" / "rejected.csv").open(encoding="utf-8", newline="") as file:
        listed = sum(1 for _ in csv.DictReader(file))
    kept, rejected = report["kept"], sum(report["rejected"].values())
    if not report["read"] == kept + rejected == count or listed != rejected:
        raise SystemExit(f"of {count} rows {kept} were kept, {rejected} rejected, {listed} listed")
    return Counter({"rows kept": kept, "rows rejected with a reason": rejected})


def fuzz_quotes(rng: np.random.Generator, count: int) -> Counter[str]:
    """Files as csv.writer writes them, then stray marks at random places of their rows."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "films.csv"
        for _ in range(count):
            rows, lines, dialect = film_lines(rng)
            marked = rng.choice(len(lines), rng.integers(0, 5)).tolist()
            for line in marked:
                place = int(rng.integers(0, len(lines[line])))
                lines[line] = f'{lines[line][:place]}"{lines[line][place:]}'
            header = dialect["delimiter"].join(["id", "title", "overview", "genres"])
            path.write_text("\n".join([header, *lines, ""]), encoding="utf-8", newline="")
            counts += check_quotes(path, rows, set(marked))
    return counts


def film_lines(rng: np.random.Generator) -> tuple[list[list[str]], list[str], dict[str, Any]]:
    """Some films, each as a line of a CSV file; and how their cells are quoted."""
    delimiter = str(rng.choice(list(",;|\t")))
    quoting = csv.QUOTE_ALL if rng.random() < 0.2 else csv.QUOTE_MINIMAL
    dialect: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting, "lineterminator": ""}
    quoted = rng.random()  # share of the rows with cells that need marks
    rows, lines = [], []
    for number in range(int(rng.integers(3, 60))):
        plot = f"A man waits for number {number} in the old house"
        if rng.random() < quoted:
            plot += rng.choice(
                ["; he leaves", ", he leaves", ' by "night"', "\t", ', "no", he says']
            )
        genres = delimiter.join(["Drama", "War"]) if rng.random() < quoted / 2 else "Drama"
        rows.append([str(number), str(rng.choice(["Home", '"Home"', "Home, alone"])), plot, genres])
        text = io.StringIO()
        csv.writer(text, **dialect).writerow(rows[-1])
        lines.append(text.getvalue())
    return rows, lines, dialect


def check_quotes(path: Path, rows: list[list[str]], marked: set[int]) -> Counter[str]:
    """Raises: SystemExit: If a row vanished, or one without a stray mark was read as another."""
    table = open_table(path)
    read = list(table.records(table.columns))
    content = path.read_text(encoding="utf-8")
    if len(read) != len(rows):
        raise SystemExit(f"{len(rows)} rows, {len(read)} read, marks in {marked}: {content}")
    for number, (row, record) in enumerate(zip(rows, read, strict=True)):
        if number not in marked and record != tuple(row):
            raise SystemExit(f"{row} was read as {record}, marks in {marked}: {content}")
    broken = sum(isinstance(record, Malformed) for record in read)
    return Counter({"rows beside stray marks": len(rows), "of them rejected": broken})


FILMS_A_FILE = 2000


def fuzz_films(rng: np.random.Generator, count: int) -> Counter[str]:
    """Rows of which several are one film, also by way of each other; half with given splits."""
    counts: Counter[str] = Counter()
    for number, start in enumerate(range(0, count, FILMS_A_FILE)):
        rows = several_rows_a_film(rng, min(FILMS_A_FILE, count - start))
        given = number % 2 == 1
        if given:
            for row in rows:
                row["split"] = ("train", "Training", "valid", "dev", "test")[rng.integers(5)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lines = [json.dumps({k: row[k] for k in row if k != "film"}) for row in rows]
            (folder / "films.jsonl").write_text("\n".join(lines), encoding="utf-8")
            flags = ["--split-column", "split"] if given else []
            counts += _prepared(folder, len(rows), "--min-genre-count", "1", *flags)
            counts += _films_in_one_split(folder / "data", rows, given=given)
    return counts


def several_rows_a_film(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Rows of films; each further row of a film shares something with the row before it.

    That is the id; the plot; the title and the year; or the title and most
    of the plot. All else is the row's own.
    """
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        film = _new_row(rng, f"{len(rows)}")
        rows.append(film)
        for more in range(int(rng.choice(3, p=[0.5, 0.3, 0.2]))):
            other = _new_row(rng, f"{film['film']}x{more}") | {"film": film["film"]}
            same = int(rng.integers(4))
            if same == 0 and rows[-1]["imdbID"]:
                other["imdbID"] = rows[-1]["imdbID"].upper()
            elif same in (0, 1):
                other["overview"] = f"  {rows[-1]['overview'].upper()}!"
            elif same == 2 and rows[-1]["year"]:
                other |= {"title": rows[-1]["title"], "imdbID": "", "year": rows[-1]["year"]}
            else:
                plot = rows[-1]["overview"].split()
                plot[int(rng.integers(len(plot)))] = "changed"
                other |= {"title": rows[-1]["title"], "year": "", "overview": " ".join(plot)}
            rows.append(other)
    rows = rows[:count]
    return [rows[index] for index in rng.permutation(count)]


def _new_row(rng: np.random.Generator, name: str) -> dict[str, Any]:
    words = [f"w{number}" for number in rng.integers(0, 5000, int(rng.integers(12, 40)))]
    return {
        "film": name,
        "imdbID": f"tt{rng.integers(10**11):011}",
        "title": f"The {name} of {rng.integers(10**9)}",
        "year": str(rng.integers(1930, 2020)),
        "overview": " ".join(words),
        "genres": ("Drama", "Comedy", "Drama|War", "Comedy|Horror")[int(rng.integers(4))],
    }


def _films_in_one_split(
    folder: Path, rows: Sequence[dict[str, Any]], *, given: bool
) -> Counter[str]:
    """Check that no film is in two splits, and that given splits were kept."""
    by_text: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_text.setdefault((row["title"], " ".join(row["overview"].split())), []).append(row)
    found: dict[str, set[str]] = {}
    for path in (folder / "data").glob("*.parquet"):
        split = path.name.split("-")[0]
        for film in pq.read_table(path, columns=["title", "text"]).to_pylist():
            same = by_text[film["title"], film["text"].removeprefix(f"{film['title']}. ")]
            number = SPLITS.index(split)
            if given and number not in {SPLIT_NAMES[row["split"].casefold()] for row in same}:
                raise SystemExit(f"now in {split}: {same}")
            found.setdefault(same[0]["film"], set()).add(split)
    # A film that the data has in validation and test is reported, not moved.
    wrong = [f for f, s in found.items() if len(s) > 1 and not (given and "train" not in s)]
    if wrong:
        same = [row for row in rows if row["film"] == wrong[0]]
        raise SystemExit(f"{len(wrong)} films in two splits, the first: {same}")
    return Counter({"films of several rows": sum(n > 1 for n in Counter(
        row["film"] for row in rows).values()), "given splits kept": int(given)})  # fmt: skip


KINDS: dict[str, Callable[[np.random.Generator, int], Counter[str]]] = {
    "genres": fuzz_genres,
    "written": fuzz_written_genres,
    "texts": fuzz_texts,
    "rows": fuzz_rows,
    "quotes": fuzz_quotes,
    "films": fuzz_films,
}


if __name__ == "__main__":
    sys.exit(main())
