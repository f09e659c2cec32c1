"""What the figures show, read from matplotlib's own objects."""

from __future__ import annotations

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from movie_genres.decisions.scores import confusion_counts
from movie_genres.evaluation import plots
from movie_genres.figure_style import plain

RNG = np.random.default_rng(0)


def films(n_films: int, n_labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y_true = (RNG.random((n_films, n_labels)) < np.linspace(0.5, 0.1, n_labels)).astype(float)
    y_prob = np.clip(0.3 * y_true + 0.7 * RNG.random(y_true.shape), 0, 1)
    return y_true, y_prob, (y_prob > 0.5).astype(int)


def words(figure: Figure) -> str:
    texts = figure.findobj(plt.Text)
    return "\n".join(text.get_text() for text in texts)


def test_hundreds_of_genres_are_limited_to_the_most_frequent_with_a_word() -> None:
    y_true, y_prob, y_pred = films(60, 400)
    labels = [f"genre {number}" for number in range(400)]
    started = time.process_time()
    figures = [
        plots.plot_confusion_matrices(confusion_counts(y_true, y_pred), labels, title="t"),
        plots.plot_precision_recall(y_true, y_prob, y_pred, labels),
        plots.plot_genre_reliability(y_true, y_prob, y_prob, labels),
        plots.plot_co_confusion(y_true, y_pred, labels),
        plots.plot_genre_f1([0.5] * 400, np.full((400, 2), 0.5), [9] * 400, labels, "t"),
    ]
    for figure, most in zip(figures, (30, 30, 30, 30, 60), strict=True):
        assert f"({most} most frequent of 400 genres)" in words(figure)
        assert len(figure.axes) <= 30
        assert max(figure.get_size_inches()) < 20
        plt.close(figure)
    assert time.process_time() - started < 40


def test_the_f1_of_each_genre_has_its_interval() -> None:
    intervals = np.array([[0.2, 0.7], [0.0, 0.3]])
    figure = plots.plot_genre_f1([0.5, 0.0], intervals, [20, 4], ["War", "Noir"], "t")
    (axis,) = figure.axes
    (bars,) = axis.collections
    ends = sorted(tuple(np.round(path[:, 0], 6)) for path in bars.get_segments())
    assert ends == [(0.0, 0.3), (0.2, 0.7)]
    plt.close(figure)


def test_a_row_of_few_missed_films_is_left_out_of_the_co_confusion() -> None:
    y_true = np.zeros((20, 2))
    y_true[:6, 0] = y_true[6:9, 1] = 1
    figure = plots.plot_co_confusion(y_true, np.zeros((20, 2)), ["often missed", "rare"])
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["often missed  (6)"]
    none = plots.plot_co_confusion(y_true, y_true, ["often missed", "rare"])
    assert "no such genre" in words(none)
    plt.close("all")


def test_a_star_marks_only_what_can_be_told_from_chance() -> None:
    rng = np.random.default_rng(1)
    y_prob = np.full((300, 2), 0.3) + 0.2 * rng.random((300, 2))
    y_true = (rng.random(y_prob.shape) < y_prob).astype(float)
    off = y_prob.copy()
    off[:, 1] += 0.3
    figure = plots.plot_genre_reliability(y_true, y_prob, off, ["right", "too high"])
    assert [axis.get_title() for axis in figure.axes] == ["right", "too high *"]
    plt.close(figure)


@pytest.mark.parametrize("name", ["恐怖", "$5 films", "Ужасы", "𓂀"])
def test_every_name_can_be_drawn(name: str) -> None:
    figure, axis = plt.subplots()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axis.set_title(plain(name))
        figure.canvas.draw()
    plt.close(figure)


def test_a_long_name_is_truncated() -> None:
    assert plain("a name that goes on and on", 12) == "a name that…"
