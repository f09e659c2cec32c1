"""Random and damaged inputs through parsing and cleaning: no crash, and nothing is lost.

    python -m benchmarks.fuzz --inputs 200000

A third are cells of genres in every format, a third texts, a third rows through the whole
cleaner; all are made of pieces that real files hold and of random characters. Ends with an error at
the first input that raises, that is neither kept nor rejected, or that is not clean after cleaning.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from movie_genres.preparation.cleaning import Batch, Cleaner, Layout, Recipe
from movie_genres.preparation.fields import DEFAULT_FIELDS, flatten
from movie_genres.preparation.films import collect
from movie_genres.preparation.text import clean_text
from movie_genres.reading.genres import GenreAliases, GenreFormat, GenreReader

ROOT = Path(__file__).parent.parent
PIECES = [
    *("Drama", "Sci-Fi", "Action/Adventure", "|", ",", ";", "/", "[", "]", "{", "}", "'", '"'),
    *("[{'id': 18, 'name': 'Drama'}]", '{"/m/02l7c8": "Romance Film"}', "\\", "\\u0000", "None"),
    *("&amp;", "&lt;b&gt;", "<i>", "</i>", "[[a|b]]", "{{x}}", "[3]", "http://a.b/c", "Ã©", "â€™"),
    *(
        "\u200b",
        "\u2028",
        "\x00",
        "\r",
        "\n",
        "\t",
        " ",
        "  ",
        "é",
        "日本",
        "\ud800",
        "😀",
        "(",
        ")",
    ),
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
    each = -(-args.inputs // 3)
    counts = fuzz_genres(rng, aliases, each) + fuzz_texts(rng, each)
    counts += fuzz_rows(rng, aliases, each)
    print(f"{3 * each:,} inputs, no crash, none lost: {dict(counts)}")
    return 0


def made_up(rng: np.random.Generator) -> str:
    pieces = rng.integers(0, len(PIECES) + 1, rng.integers(0, 12)).tolist()
    signs = (chr(code) for code in rng.integers(0, 0x3000, len(pieces)))
    return "".join(
        PIECES[piece] if piece < len(PIECES) else sign
        for piece, sign in zip(pieces, signs, strict=True)
    )


def fuzz_genres(rng: np.random.Generator, aliases: GenreAliases, count: int) -> Counter[str]:
    readers = [GenreReader(genre_format, aliases) for genre_format in GenreFormat]
    counts: Counter[str] = Counter()
    for number in range(count):
        cell = made_up(rng)
        labels = readers[number % len(readers)](cell)
        if any(map(str.isalnum, cell)) and not (labels.raw or labels.error):
            raise SystemExit(f"lost without a reason: {cell!r}")
        counts["cells refused with a reason" if labels.error else "cells read"] += 1
    return counts


def fuzz_texts(rng: np.random.Generator, count: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _ in range(count):
        text = made_up(rng)
        clean = clean_text(text)
        if clean_text(clean) != clean:
            raise SystemExit(f"not clean after cleaning: {text!r}")
        flatten(text)
        counts["texts cleaned"] += 1
    return counts


def fuzz_rows(rng: np.random.Generator, aliases: GenreAliases, count: int) -> Counter[str]:
    layout = Layout(GenreFormat.PIPE, True)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        cleaner = Cleaner(Recipe([layout], aliases, DEFAULT_FIELDS, 3, Path(folder)))
        for number, start in enumerate(range(0, count, 1000)):
            rows = min(1000, count - start)
            records = [tuple(made_up(rng) for _ in range(4)) for _ in range(rows)]
            films = collect([cleaner(Batch(number, 0, start + 1, list(records)))])
            kept, rejected = len(films.usable), films.rejected().total()
            if kept + rejected != rows:
                raise SystemExit(f"{rows} rows became {kept} kept and {rejected} rejected")
            counts["rows kept"] += kept
            counts["rows rejected with a reason"] += rejected
    return counts


if __name__ == "__main__":
    sys.exit(main())
