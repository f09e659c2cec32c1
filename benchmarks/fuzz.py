"""Random and damaged inputs through parsing, cleaning and preparation: no crash, nothing is lost.

    python -m benchmarks.fuzz --inputs 200000

A quarter are cells of genres in every format, a quarter texts, a quarter rows of a file that
prepare_dataset.py prepares; these are made of pieces that real files hold and of random characters.
The last quarter are columns of genres in random formats, whose names are known. Ends with an error
at the first input that raises, that is neither kept nor rejected, that changes when it is cleaned
again, or whose genres are read as others than were written.
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import prepare_dataset
from benchmarks.fuzz_genres import fuzz_written_genres
from movie_genres.preparation.text import clean_text
from movie_genres.reading.genres import GenreAliases, GenreFormat, GenreReader

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
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    rng = np.random.default_rng(args.seed)
    aliases = GenreAliases.read(ROOT / "data" / "genre_aliases.csv")
    each = -(-args.inputs // 4)
    counts = fuzz_genres(rng, aliases, each) + fuzz_texts(rng, each)
    counts += fuzz_written_genres(rng, aliases, each)
    counts += fuzz_rows(rng, each)
    print(f"{4 * each:,} inputs, no crash, none lost: {dict(counts)}")
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


if __name__ == "__main__":
    sys.exit(main())
