"""Titles as they are compared, and which rows of one title are looked at."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from movie_genres.preparation.duplicates import (
    ALIKE,
    COPIED,
    LARGEST_TITLE,
    likeness,
    same_title_pairs,
    title_and_year,
)


@pytest.mark.parametrize(
    ("title", "key", "year"),
    [
        ("The Matrix", "the matrix", 0),
        ("Matrix, The (1999)", "the matrix", 1999),
        ("Thelma & Louise", "thelma louise", 0),
        ("Thelma and Louise [1991]", "thelma louise", 1991),
        ("Amélie", "amelie", 0),
        ("Heat (1995 film)", "heat", 1995),
        ("Alien (Director's Cut)", "alien director s cut", 0),
        ("1984", "1984", 0),
        ("(1984)", "1984", 1984),
        ("And", "and", 0),
        ("A", "a", 0),
        ("Untitled", "", 0),
        ("", "", 0),
        ("パリ、(2001)", "パリ", 2001),
    ],
)
def test_ways_to_write_one_title_give_one_key(title: str, key: str, year: int) -> None:
    assert title_and_year(title) == (key.encode(), year)


def test_pairs_are_those_of_an_exhaustive_comparison() -> None:
    rng = np.random.default_rng(0)
    titles = rng.integers(0, 60, 300).astype(np.uint64)
    years = rng.choice([0, 1990, 1991, 1992, 2000], 300).astype(np.int16)
    known = rng.integers(0, 250, 300)

    def named(row: int) -> tuple[int, int, int]:
        return int(titles[row]), int(years[row]), int(known[row])

    expected = {
        frozenset((named(a), named(b)))
        for a, b in itertools.combinations(range(300), 2)
        if titles[a] == titles[b] != 0
        and known[a] != known[b]
        and (0 in (years[a], years[b]) or abs(int(years[a]) - int(years[b])) <= 1)
    }
    pairs = same_title_pairs(titles, years, known)
    found = [frozenset((named(a), named(b))) for a, b in pairs.tolist()]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_what_very_many_films_are_called_is_no_title() -> None:
    for count, pairs in ((LARGEST_TITLE, LARGEST_TITLE * (LARGEST_TITLE - 1) // 2),
                         (LARGEST_TITLE + 1, 0)):  # fmt: skip
        titles, years = np.full(count, 7, dtype=np.uint64), np.zeros(count, dtype=np.int16)
        assert len(same_title_pairs(titles, years, np.arange(count))) == pairs


FILLER = ["the old man", "a young woman", "must go to the town", "and comes home", "in the night"]
PLOTS = [
    " ".join(FILLER[(n + i) % 5] for i in range(4)) + f" with w{n} and v{n}" for n in range(60)
]
PLOTS += [
    "Ilsa waits in Casablanca while Rick keeps a bar and two letters of transit in the night",
    "In the bar of a bitter American the police look for letters of transit; Ilsa comes home",
    "Ilsa waits in Casablanca while Sam keeps a bar and three letters of transit in the night",
    "Ilsa waits in Casablanca while Rick",
    "the old man must go to the town and comes home in the night with a horse and a dog",
]


def test_a_retelling_a_change_and_a_truncation_are_alike_and_other_plots_are_not() -> None:
    def cells(rows: np.ndarray, column: str) -> Iterable[str]:
        return ["Casablanca" if column == "title" else PLOTS[row] for row in rows]

    pairs = np.array([[60, 61], [60, 62], [60, 63], [60, 64], [61, 64], [60, 3]])
    shared = likeness(pairs, len(PLOTS), cells)
    assert ((shared >= 0) & (shared <= 1)).all()
    assert (shared[:3] >= ALIKE).all()
    assert (shared[1:3] >= COPIED).all()
    assert (shared[3:] < ALIKE).all()


def test_likeness_is_that_of_a_plain_computation() -> None:
    def cells(rows: np.ndarray, column: str) -> Iterable[str]:
        return ["Casablanca" if column == "title" else PLOTS[row] for row in rows]

    documents = [set(plot.lower().replace(";", "").split()) for plot in PLOTS]
    pairs = np.array(list(itertools.combinations(range(55, 65), 2)))

    def weight(words: set[str]) -> float:
        counts = (sum(word in document for document in documents) for word in words)
        return sum(np.log((len(PLOTS) + 1) / (count + 1)) ** 2 for count in counts)

    expected = []
    for a, b in pairs.tolist():
        x, y = (documents[row] - {"casablanca"} for row in (a, b))
        expected.append(weight(x & y) / min(weight(x), weight(y)))
    assert likeness(pairs, len(PLOTS), cells) == pytest.approx(expected, abs=1e-5)


def test_plots_without_words_are_not_alike() -> None:
    def cells(rows: np.ndarray, column: str) -> Iterable[str]:
        return [["", "Heat", "heat", ""][row] if column == "plot" else "Heat" for row in rows]

    pairs = np.array([[0, 1], [1, 2], [0, 3]])
    assert likeness(pairs, 4, cells).tolist() == [0, 0, 0]
    assert len(likeness(pairs[:0], 4, cells)) == 0
