"""Hundreds of genres: the report counts exactly, fast, and lists a bounded number of pairs."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from movie_genres.preparation.dataset_card import _plot_cooccurrence, _plot_genre_counts
from movie_genres.preparation.report import COOCCURRING, _films_together, _inseparable
from prepare_dataset import main


def test_films_of_two_genres_are_counted_exactly_and_fast() -> None:
    rng = np.random.default_rng(0)
    sets = (rng.random((5000, 600)) < 0.01).astype(np.int8)
    films = rng.integers(0, 1000, 5000)
    started = time.process_time()
    found = _films_together(sets, films)
    assert time.process_time() - started < 5  # as integers: 10 times as long
    for a, b in ((0, 1), (7, 7), (599, 3)):
        assert found[a, b] == films[(sets[:, a] & sets[:, b]) == 1].sum()


def test_genres_that_only_occur_together_are_pairs() -> None:
    together = np.array([[5, 5, 1], [5, 5, 1], [1, 1, 9]])
    assert _inseparable(["a", "b", "c"], together) == [["a", "b"]]


@pytest.mark.usefixtures("drawn_figures")
def test_the_report_of_many_genres_lists_thirty_and_names_every_pair(tmp_path) -> None:
    rows = ["title,overview,genres"]
    for number in range(240):
        pair = number % 60
        words = f"A keeper of house {number} finds letter {number * 7} and leaves town {number}."
        rows.append(f"Film {number},{words},Tag {pair}a|Tag {pair}b")
    (tmp_path / "films.csv").write_text("\n".join(rows), encoding="utf-8")
    out = tmp_path / "out"
    command = ["--source", str(tmp_path / "films.csv"), "--output-dir", str(out)]
    assert main([*command, "--min-genre-count", "3"]) == 0
    genres = json.loads((out / "report.json").read_text(encoding="utf-8"))["genres"]
    assert len(genres["kept"]) == 120
    assert np.array(genres["cooccurrence"]).shape == (COOCCURRING, COOCCURRING)
    assert len(genres["inseparable"]) == 60
    card = (out / "README.md").read_text(encoding="utf-8")
    assert card.count("always occur together") == 10
    assert "so do 50 other pairs of genres" in card


def test_figures_of_many_genres_are_limited_with_a_word() -> None:
    labels = [f"genre {number}" for number in range(100)]
    figure = _plot_cooccurrence(np.eye(30).tolist(), labels)
    assert "30 most frequent of 100" in figure.get_suptitle()
    counts = dict.fromkeys(labels, 2)
    bars = _plot_genre_counts({"train": counts, "validation": counts, "test": counts}, labels)
    assert "of the 40 most frequent genres" in bars.axes[0].get_xlabel()
    assert bars.get_size_inches()[1] < 15
