"""Random and damaged inputs through parsing, cleaning and preparation: no crash, nothing is lost.

    python -m benchmarks.fuzz --inputs 200000

The kinds are cells of genres in every format, texts, rows of a file that prepare_dataset.py
prepares (these three are made of pieces that real files hold and of random characters), columns of
genres in random formats whose names are known, and files of films into which stray quotation marks
were put. Ends with an error at the first input that raises, that is neither kept nor rejected, that
changes when it is cleaned again, or that is read as something else than was written.
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

import prepare_dataset
from benchmarks.fuzz_genres import fuzz_written_genres
from movie_genres.preparation.text import clean_text
from movie_genres.reading.genres import GenreAliases, GenreFormat, GenreReader
from movie_genres.reading.records import Malformed
from movie_genres.reading.tables import open_table

ROOT = Path(__file__).parent.parent
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
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    rng = np.random.default_rng(args.seed)
    aliases = GenreAliases.read(ROOT / "data" / "genre_aliases.csv")
    each = -(-args.inputs // len(args.kinds))
    counts: Counter[str] = Counter()
    for kind in args.kinds:
        counts += KINDS[kind](rng, aliases, each)
    print(f"{each * len(args.kinds):,} inputs, no crash, none lost: {dict(counts)}")
    return 0


def made_up(rng: np.random.Generator) -> str:
    pieces = rng.integers(0, len(PIECES) + 1, rng.integers(0, 12)).tolist()
    characters = map(chr, rng.integers(0, 0x3000, len(pieces)))
    return "".join(
        PIECES[piece] if piece < len(PIECES) else character
        for piece, character in zip(pieces, characters, strict=True)
    )


def fuzz_genres(rng: np.random.Generator, aliases: GenreAliases, count: int) -> Counter[str]:
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


def fuzz_texts(rng: np.random.Generator, _: GenreAliases, count: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _number in range(count):
        text = made_up(rng)
        clean = clean_text(text)
        if clean_text(clean) != clean:
            raise SystemExit(f"cleaning it again changes it: {text!r}")
        counts["texts cleaned"] += 1
    return counts


def fuzz_rows(rng: np.random.Generator, _: GenreAliases, count: int) -> Counter[str]:
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
        arguments = ["--source", str(folder / "films.jsonl"), "--output-dir", str(folder / "data")]
        # Thousands of random genres would make the dataset card's figures too large to draw.
        if prepare_dataset.main([*arguments, "--min-genre-count", str(max(5, count // 500))]):
            raise SystemExit("prepare_dataset.py failed")
        report = json.loads((folder / "data" / "report.json").read_text(encoding="utf-8"))
        with (folder / "data" / "rejected.csv").open(encoding="utf-8", newline="") as file:
            listed = sum(1 for _ in csv.DictReader(file))
    kept, rejected = report["kept"], sum(report["rejected"].values())
    if not report["read"] == kept + rejected == count or listed != rejected:
        raise SystemExit(f"of {count} rows {kept} were kept, {rejected} rejected, {listed} listed")
    return Counter({"rows kept": kept, "rows rejected with a reason": rejected})


def fuzz_quotes(rng: np.random.Generator, _: GenreAliases, count: int) -> Counter[str]:
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


KINDS: dict[str, Callable[[np.random.Generator, GenreAliases, int], Counter[str]]] = {
    "genres": fuzz_genres,
    "written": fuzz_written_genres,
    "texts": fuzz_texts,
    "rows": fuzz_rows,
    "quotes": fuzz_quotes,
}


if __name__ == "__main__":
    sys.exit(main())
