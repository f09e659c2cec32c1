"""Nearly equal plots are found, and nothing else is taken for one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from movie_genres.preparation.duplicates import (
    BANDS,
    NEARLY_EQUAL,
    nearly_equal_pairs,
    plot_bands,
    same_film_groups,
    words,
)

WORDS = [a + b + c for a, b, c in itertools.product("bdfg", "aeiou", ("n", "r", "st", "lm"))]


def plots_with_copies(count: int) -> tuple[list[str], set[tuple[int, int]]]:
    """Plots of 40 words; every tenth is followed by one with a single word changed."""
    rng = np.random.default_rng(0)
    plots: list[str] = []
    pairs = set()
    for number in range(count):
        plot = [WORDS[i] for i in rng.integers(0, len(WORDS), 40)]
        plots.append(" ".join(plot))
        if number % 10 == 0:
            plot[int(rng.integers(40))] = "changed"
            pairs.add((len(plots) - 1, len(plots)))
            plots.append(" ".join(plot).capitalize() + "!")
    return plots, pairs


def found_pairs(plots: list[str]) -> set[tuple[int, int]]:
    def plots_of(rows: np.ndarray) -> Iterable[str]:
        return [plots[row] for row in rows]

    found = nearly_equal_pairs(plot_bands([words(plot) for plot in plots]), plots_of)
    return {(int(a), int(b)) for a, b in found}


def runs(plot: str) -> set[tuple[bytes, ...]]:
    split = words(plot)
    return set(zip(split, split[1:], split[2:], strict=False))


def test_pairs_are_those_of_an_exhaustive_comparison() -> None:
    plots, copies = plots_with_copies(150)
    exact = {
        (a, b)
        for a, b in itertools.combinations(range(len(plots)), 2)
        if len(runs(plots[a]) & runs(plots[b]))
        >= NEARLY_EQUAL * len(runs(plots[a]) | runs(plots[b]))
    }
    assert found_pairs(plots) == exact
    assert len(exact & copies) == len(copies) == 15


def test_plots_of_two_words_and_none_are_handled() -> None:
    assert found_pairs(["a man", "A man!", "", "", "a dog"]) == {(0, 1)}
    assert plot_bands([words(""), words("?")]).tolist() == [[0] * BANDS] * 2


def test_words_are_those_of_a_plain_reading() -> None:
    for text in ("It's a co-op, NOT a_b 7!", "Élan — ÉTÉ, Straße", "日本 と 日本", "", "\t\x00"):
        plain = "".join(c if c.isalnum() or c == "_" else " " for c in text.casefold()).split()
        assert [word.decode() for word in words(text)] == plain


def test_words_ignore_case_whitespace_and_punctuation() -> None:
    assert words("A man;  waits!") == words("a MAN waits")
    assert words("A man waits") != words("A men waits")


def test_pairs_join_groups() -> None:
    groups = same_film_groups([np.array([5, 5, 0, 0, 7])], np.array([[1, 3]]))
    assert groups.tolist() == [0, 0, 1, 0, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_few_plots_have_no_pairs(count: int) -> None:
    assert found_pairs(["a man waits for a train", "the dog runs over a hill"][:count]) == set()
