"""Which lines of the alias table do the films contradict? Their other labels say what they are.

    python -m benchmarks.aliases                       # the default data
    python -m benchmarks.aliases --source movies.csv

Lists labels that become a genre which their films' other labels seldom give, while these labels
agree on another genre. Ends with exit code 1 if there are any. A label that names its genre
("War film") is not questioned.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.labels import GenreReader
from movie_genres.reading.records import Malformed
from movie_genres.reading.sources import DEFAULT_SOURCE, SourceOptions, read_sources
from prepare_dataset import ALIASES

_SELDOM, _MOSTLY = 0.5, 0.6
"""Shares of a label's films, by their other labels."""
_MORE_OFTEN = 2.1
"""How much more often than in all films, at least: 'Drama' is everywhere."""


class Contradiction(NamedTuple):
    label: str
    films: int
    """That have it and other labels too."""
    genre: str
    """What the table makes of it."""
    share: float
    """Of these films whose other labels give that genre, in [0, 1]."""
    other: str
    """What the other labels give most."""
    other_share: float


def contradictions(
    films: Sequence[Sequence[str]], aliases: GenreAliases, min_films: int = 20
) -> list[Contradiction]:
    """Lines of the table that the films contradict.

    Args:
        films: The raw labels of each.
        aliases: The table.
        min_films: Rarer labels are not judged.
    """
    all_films: Counter[str] = Counter()
    by_label: dict[str, list[list[str]]] = {}
    for labels in films:
        all_films.update(aliases.canonical(labels).genres)
        for label in labels:
            others = aliases.canonical([name for name in labels if name != label]).genres
            if others:
                by_label.setdefault(label, []).append(others)
    found = []
    for label, others_of_films in by_label.items():
        n = len(others_of_films)
        mapped = aliases.canonical([label]).genres
        counts = Counter(genre for others in others_of_films for genre in others)
        other, most = next(((g, c) for g, c in counts.most_common() if g not in mapped), ("", 0))
        often = most >= _MOSTLY * n and most / n >= _MORE_OFTEN * all_films[other] / len(films)
        for genre in mapped if n >= min_films and often else ():
            named = genre.casefold()[:5] in label.casefold()
            if counts[genre] < _SELDOM * n and not named:
                share = counts[genre] / n
                found.append(Contradiction(label, n, genre, share, other, most / n))
    return sorted(found, key=lambda one: -one.films)


def read_labels(source: str, aliases: GenreAliases) -> list[tuple[str, ...]]:
    """The raw labels of each film that has any."""
    with tempfile.TemporaryDirectory() as folder:
        (opened,) = read_sources([source], SourceOptions(), aliases, Path(folder))
        read = GenreReader(opened.genre_format, aliases.with_seen(opened.genre_names))
        cells = (row[3] for row in opened.records() if not isinstance(row, Malformed))
        return [labels.raw for labels in map(read, cells) if labels.raw]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Lines of the alias table that films contradict.")
    parser.add_argument("--source", default=DEFAULT_SOURCE, help="as prepare_dataset.py --source")
    parser.add_argument("--aliases", type=Path, default=ALIASES, help="CSV: raw,genres")
    parser.add_argument("--min-films", type=int, default=20, help="rarer labels are not judged")
    args = parser.parse_args(argv)
    aliases = GenreAliases.read(args.aliases)
    found = contradictions(read_labels(args.source, aliases), aliases, args.min_films)
    for one in found:
        print(
            f"'{one.label}' -> {one.genre}: of {one.films} films {one.share:.0%} are {one.genre} "
            f"by their other labels, {one.other_share:.0%} {one.other}"
        )
    print(f"{len(found)} contradicted line(s)")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
