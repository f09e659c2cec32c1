"""A file of made-up films in the format of Kaggle's movies_metadata.csv, the same at every call.

Lengths, share of rows without genres or plots, entities, letters beyond ASCII, repeated and nearly
repeated plots are about those of the real file; the words are made up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

GENRES = {
    18: "Drama", 35: "Comedy", 53: "Thriller", 10749: "Romance", 28: "Action", 27: "Horror",
    80: "Crime", 99: "Documentary", 12: "Adventure", 878: "Science Fiction", 10751: "Family",
    9648: "Mystery", 14: "Fantasy", 16: "Animation", 10769: "Foreign", 10402: "Music",
    36: "History", 10752: "War", 37: "Western", 10770: "TV Movie",
}  # fmt: skip
COLUMNS = [
    "adult", "belongs_to_collection", "budget", "genres", "homepage", "id", "imdb_id",
    "original_language", "original_title", "overview", "popularity", "poster_path",
    "production_companies", "production_countries", "release_date", "revenue", "runtime",
    "spoken_languages", "status", "tagline", "title", "video", "vote_average", "vote_count",
]  # fmt: skip
CHUNK = 10_000
SYLLABLES = [c + v for c in "bcdfghklmnprstvw" for v in ("a", "e", "i", "o", "u", "en", "or")]


def write_films(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for start in range(0, rows, CHUNK):
            writer.writerows(films(start, min(CHUNK, rows - start)))


def films(start: int, count: int) -> Iterator[list[str]]:
    """Rows from `start` on; a chunk's rows depend on nothing but its start."""
    rng = np.random.default_rng((7, start))
    words = vocabulary()
    lengths = np.clip(rng.lognormal(3.85, 0.55, count), 4, 180).astype(int)
    # Zipf-like: low ranks are common.
    ranks = (len(words) ** rng.random(lengths.sum())).astype(int) - 1
    texts = [words[rank] for rank in ranks]
    kinds = rng.random(count)
    genre_cells = genre_texts(rng, count)
    begin = 0
    plots: list[str] = []
    for row, length in enumerate(lengths.tolist()):
        found = texts[begin : begin + length]
        begin += length
        plot = plots[row - 1] if row and kinds[row] < 0.002 else sentences(found)
        if 0.002 <= kinds[row] < 0.004 and row:
            plot = plots[row - 1].replace(" the ", " a ", 1)
        elif kinds[row] > 0.95:
            plot = plot.replace("e", "é", 1).replace("'", "’")
        elif kinds[row] > 0.944:
            plot = plot.replace(" ", " &amp; ", 1)
        elif kinds[row] > 0.939:
            plot = "" if kinds[row] > 0.94 else "No overview found."
        plots.append(plot)
        title = " ".join(word.capitalize() for word in found[:3])
        number = start + row + 2
        yield [
            "False", "", str(number * 10), genre_cells[row], "", str(number), f"tt{number:07d}",
            "en", title, plot, f"{kinds[row] * 20:.6f}", f"/{number:x}Poster.jpg",
            f"[{{'name': '{title} Pictures', 'id': {number}}}]",
            "[{'iso_3166_1': 'US', 'name': 'United States of America'}]",
            f"{1950 + number % 70}-0{number % 9 + 1}-1{number % 9}", str(number * 7), "90.0",
            "[{'iso_639_1': 'en', 'name': 'English'}]", "Released", "", title, "False",
            f"{number % 10}.5", str(number % 500),
        ]  # fmt: skip


def vocabulary() -> list[str]:
    rng = np.random.default_rng(3)
    common = ["the", "a", "of", "to", "and", "his", "in", "her", "with", "is", "an", "who", "for"]
    syllables = rng.integers(0, len(SYLLABLES), (30_000, 4))
    kept = rng.integers(2, 5, 30_000)
    made = [
        "".join(SYLLABLES[i] for i in row[:n])
        for row, n in zip(syllables.tolist(), kept.tolist(), strict=True)
    ]
    return common + list(dict.fromkeys(made))


def sentences(words: list[str]) -> str:
    parts = [words[i : i + 14] for i in range(0, len(words), 14)]
    return " ".join(" ".join(part).capitalize() + "." for part in parts)


def genre_texts(rng: np.random.Generator, count: int) -> list[str]:
    ids = list(GENRES)
    weights = 1 / np.arange(1, len(ids) + 1) ** 0.9
    order = np.argsort(-(np.log(weights) + rng.gumbel(size=(count, len(ids)))), axis=1)
    numbers = rng.choice(6, count, p=[0.02, 0.2, 0.36, 0.27, 0.11, 0.04])
    return [
        "["
        + ", ".join(f"{{'id': {ids[i]}, 'name': '{GENRES[ids[i]]}'}}" for i in sorted(row[:n]))
        + "]"
        for row, n in zip(order.tolist(), numbers.tolist(), strict=True)
    ]
