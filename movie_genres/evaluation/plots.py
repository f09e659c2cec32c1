"""Arrays -> matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib

matplotlib.use("Agg")  # no window: figures go to files and to TensorBoard

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve

from movie_genres.decisions.intervals import wilson
from movie_genres.decisions.scores import (
    calibration_bins,
    calibration_test,
    co_confusion,
    confusion_counts,
)
from movie_genres.figure_style import BLUE, GREY, ORANGE, STYLE, plain

MOST_PANELS = 30
"""Genres that a figure of small panels, or a matrix, shows: the most frequent ones."""
MOST_BARS = 60
FEWEST_MISSED = 5
"""Missed films below which a row of shares is noise."""
_SHORT = 21
"""Characters of a name above a small panel; `_LONG` beside a matrix."""
_LONG = 28


def plot_confusion_matrices(
    counts: Mapping[str, np.ndarray], labels: Sequence[str], *, title: str = ""
) -> Figure:
    """A 2x2 matrix per genre: films in each cell, coloured by the share of their row (true label).

    Args:
        counts: {"tp", "fp", "fn", "tn"}, each of shape (n_labels,).
    """
    shown, note = _most_frequent(counts["tp"] + counts["fn"], MOST_PANELS)
    with plt.rc_context(STYLE):
        figure, axes = _small_multiples(len(shown), width=1.9, height=1.95)
        for label, axis in zip(shown, axes, strict=True):
            tn, fp, fn, tp = (int(counts[cell][label]) for cell in ("tn", "fp", "fn", "tp"))
            matrix = np.array([[tn, fp], [fn, tp]])
            share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
            axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
            for (row, column), films in np.ndenumerate(matrix):
                colour = "white" if share[row, column] > 0.55 else "#1a202c"
                axis.text(column, row - 0.08, f"{films:,}", ha="center", va="center", color=colour)
                axis.text(
                    column, row + 0.24, f"{share[row, column]:.0%}",
                    ha="center", va="center", color=colour, fontsize=6.5,
                )  # fmt: skip
            axis.set_title(plain(labels[label], _SHORT), fontsize=8.5)
            axis.set_xticks([0, 1], ["not predicted", "predicted"], fontsize=6.5)
            axis.set_yticks([0, 1], ["false", "true"], fontsize=6.5, rotation=90, va="center")
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        figure.suptitle(title + note, fontsize=11)
        return figure


def plot_threshold_sweep(
    y_true: np.ndarray, y_prob: np.ndarray, marks: Mapping[str, float]
) -> Figure:
    """Micro precision, recall and F1 over one threshold for all genres.

    Args:
        y_true: Labels, NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.
        marks: Thresholds to mark, by name.
    """
    known = ~np.isnan(y_true)
    y_true, y_prob = y_true[known], y_prob[known]
    thresholds = np.linspace(0.01, 0.99, 99)
    predicted = np.array([(y_prob >= t).sum() for t in thresholds])
    tp = np.array([((y_prob >= t) * y_true).sum() for t in thresholds])
    precision = np.divide(tp, predicted, out=np.full(len(tp), np.nan), where=predicted > 0)
    recall = tp / max(1, y_true.sum())
    f1 = 2 * tp / (predicted + y_true.sum())
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
        axis.plot(thresholds, precision, color=GREY, linestyle="--", label="precision")
        axis.plot(thresholds, recall, color=GREY, linestyle=":", label="recall")
        axis.plot(thresholds, f1, color=BLUE, linewidth=2, label="F1")
        for (name, threshold), colour in zip(marks.items(), (ORANGE, GREY), strict=False):
            axis.axvline(threshold, color=colour, linewidth=1)
            axis.annotate(
                f"{name} {threshold:.2f}", (threshold, 0.02), rotation=90, color=colour,
                xytext=(3, 0), textcoords="offset points",
            )  # fmt: skip
        axis.set(xlabel="threshold", ylabel="micro-averaged score", xlim=(0, 1), ylim=(0, 1))
        axis.set_title("Scores at each global threshold (validation split)")
        axis.grid(True)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        return figure


def plot_precision_recall(
    y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray, labels: Sequence[str]
) -> Figure:
    """A precision-recall curve per genre, with its base rate and the point of the decisions."""
    shown, note = _most_frequent((y_true == 1).sum(axis=0), MOST_PANELS)
    with plt.rc_context(STYLE):
        figure, axes = _small_multiples(len(shown), width=1.9, height=1.8)
        for label, axis in zip(shown, axes, strict=True):
            name = plain(labels[label], _SHORT - 5)
            known = ~np.isnan(y_true[:, label])
            true, prob, pred = (y[known, label] for y in (y_true, y_prob, y_pred))
            axis.set(xlim=(0, 1.02), ylim=(0, 1.05))
            axis.grid(True)
            axis.tick_params(labelsize=6.5)
            if not true.any():
                axis.set_title(f"{name}: no films", fontsize=8.5)
                continue
            precision, recall, _ = precision_recall_curve(true, prob)
            axis.axhline(true.mean(), color=GREY, linewidth=0.8, linestyle="--")
            axis.step(recall, precision, where="post", color=BLUE)
            if pred.any():
                hits = (true * pred).sum()
                axis.plot(hits / true.sum(), hits / pred.sum(), "o", color=ORANGE, markersize=4)
            axis.set_title(f"{name}  {average_precision_score(true, prob):.2f}", fontsize=8.5)
        figure.suptitle(
            "Precision against recall, with average precision; "
            f"dot: the model's decisions, dashed: base rate{note}",
            fontsize=10,
        )
        return figure


def plot_genre_f1(
    f1: Sequence[float],
    intervals: np.ndarray,
    support: Sequence[int],
    labels: Sequence[str],
    title: str,
) -> Figure:
    """F1 of each genre in order of F1, with its 95 % interval and its number of films.

    Args:
        f1: Of each label; `support` its films.
        intervals: (low, high), shape (n_labels, 2).
        labels: Genre names.
        title: Of the figure.
    """
    shown, note = _most_frequent(np.asarray(support), MOST_BARS)
    order = shown[np.argsort(np.asarray(f1)[shown], kind="stable")]
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 0.26 * len(order) + 1.1), layout="constrained")
        values = np.asarray(f1)[order]
        low, high = np.nan_to_num(intervals[order]).T
        places = np.arange(len(order))
        axis.barh(places, values, color=BLUE, height=0.72)
        reach = [np.maximum(values - low, 0), np.maximum(high - values, 0)]
        axis.errorbar(values, places, xerr=reach, fmt="none", ecolor="#1a202c", elinewidth=0.9,
                      capsize=2)  # fmt: skip
        names = [f"{plain(labels[label])}  ({support[label]:,})" for label in order]
        axis.set_yticks(places, names)
        axis.tick_params(axis="y", length=0)
        for place, (value, end) in enumerate(zip(values, high, strict=True)):
            axis.text(max(value, end) + 0.012, place, f"{value:.2f}", va="center", fontsize=8)
        axis.set(
            xlim=(0, 1.08), ylim=(-0.6, len(order) - 0.4),
            xlabel="F1 and its 95 % interval (in brackets: films)",
        )  # fmt: skip
        axis.set_title(title + note)
        axis.grid(True, axis="x")
        return figure


def plot_reliability(
    y_true: np.ndarray, before: np.ndarray, after: np.ndarray, *, n_bins: int = 15
) -> Figure:
    """Observed rate against probability in equal-mass bins, all cells pooled.

    A point stands at the mean probability of its bin; the bars are 95 % intervals of the rate.

    Args:
        y_true: Labels, NaN where unknown, shape (n_samples, n_labels).
        before: Probabilities before calibration, same shape; `after` those after it.
        n_bins: Number of bins, equal in cells.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
        for y_prob, name, colour in (
            (before, "before calibration", GREY),
            (after, "after calibration", BLUE),
        ):
            _draw_reliability(axis, calibration_bins(y_true, y_prob, n_bins), colour, name, 4)
        axis.set(xlabel="predicted probability", ylabel="observed rate", xlim=(0, 1), ylim=(0, 1))
        axis.set_title("Reliability (test split, all genres)")
        axis.grid(True)
        axis.legend(loc="upper left")
        return figure


def plot_genre_reliability(
    y_true: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    labels: Sequence[str],
    *,
    n_bins: int = 8,
) -> Figure:
    """`plot_reliability` for each genre, to its own scale.

    A star marks the genres whose probabilities are off by more than chance (`calibration_test`).
    """
    shown, note = _most_frequent((y_true == 1).sum(axis=0), MOST_PANELS)
    _, p = calibration_test(y_true, after)
    with plt.rc_context(STYLE):
        figure, axes = _small_multiples(len(shown), width=1.9, height=1.9)
        for label, axis in zip(shown, axes, strict=True):
            name = plain(labels[label], _SHORT)
            column = np.s_[:, [label]]
            if np.isnan(y_true[column]).all():
                axis.set_title(f"{name}: unknown", fontsize=8.5)
                continue
            top = 0.02
            for y_prob, colour in ((before[column], GREY), (after[column], BLUE)):
                bins = calibration_bins(y_true[column], y_prob, n_bins)
                _draw_reliability(axis, bins, colour, None, 2.5)
                top = max(top, *(max(t.mean(), p.mean()) for t, p in bins))
            axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
            axis.set(xlim=(0, 1.08 * top), ylim=(0, 1.08 * top))
            axis.grid(True)
            axis.tick_params(labelsize=6.5)
            axis.set_title(f"{name}{' *' if p[label] < 0.05 else ''}", fontsize=8.5)
        figure.suptitle(
            "Observed rate against predicted probability; blue: after calibration, with 95 % "
            f"intervals, grey: before.\n*: off by more than chance (5 %, over all genres){note}",
            fontsize=10,
        )
        return figure


def _draw_reliability(
    axis: plt.Axes,
    bins: Sequence[tuple[np.ndarray, np.ndarray]],
    colour: str,
    name: str | None,
    marker: float,
) -> None:
    rate = np.array([true.mean() for true, _ in bins])
    probability = np.array([prob.mean() for _, prob in bins])
    bars = None
    if colour != GREY:  # one set of bars can be read, two cannot
        bounds = wilson(np.array([t.sum() for t, _ in bins]), np.array([len(t) for t, _ in bins]),
                        1.96)  # fmt: skip
        bars = np.abs(bounds.T - rate)
    axis.errorbar(
        probability, rate, yerr=bars, marker="o", markersize=marker, linewidth=1,
        elinewidth=0.8, color=colour, label=name,
    )  # fmt: skip


def plot_co_confusion(y_true: np.ndarray, y_pred: np.ndarray, labels: Sequence[str]) -> Figure:
    """The wrong genres predicted for films whose own genre is missed, as shares of these films.

    A row is a genre that at least `FEWEST_MISSED` of its films do not get. A film can get several
    wrong genres, so that a row may add up to more than 1.
    """
    columns, note = _most_frequent((y_true == 1).sum(axis=0), MOST_PANELS)
    missed = confusion_counts(y_true, y_pred)["fn"]
    rows = columns[missed[columns] >= FEWEST_MISSED]
    counts = co_confusion(y_true, y_pred)[np.ix_(rows, [*columns, len(labels)])]
    share = counts / np.maximum(missed[rows], 1)[:, None]
    names = [plain(labels[label], _LONG) for label in columns]
    with plt.rc_context(STYLE):
        size = 0.34 * np.array([len(columns), max(3, len(rows))]) + [3.0, 2.6]
        figure, axis = plt.subplots(figsize=size, layout="constrained")
        axis.set_title(
            f"What films get whose genre (row) was missed, in %{note}\n"
            f"Rows: genres missed for at least {FEWEST_MISSED} films", fontsize=9,
        )  # fmt: skip
        if not len(rows):
            axis.text(0.5, 0.5, "no such genre", ha="center", transform=axis.transAxes)
            axis.axis("off")
            return figure
        axis.imshow(share, cmap="Oranges", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(share):
            if value >= 0.05:
                colour = "white" if value > 0.6 else "#1a202c"
                axis.text(column, row, f"{value * 100:.0f}", ha="center", va="center",
                          color=colour, fontsize=7)  # fmt: skip
        axis.set_xticks(range(len(columns) + 1), [*names, "no wrong genre"], rotation=90)
        axis.set_yticks(
            range(len(rows)), [f"{plain(labels[r], _LONG)}  ({missed[r]:,})" for r in rows]
        )
        axis.axvline(len(columns) - 0.5, color=GREY, linewidth=1)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set(
            xlabel="genre that these films wrongly got",
            ylabel="missed genre (films that have it and did not get it)",
        )
        return figure


def _most_frequent(films: np.ndarray, most: int) -> tuple[np.ndarray, str]:
    """The labels with the most films, in label order; and a note if some are left out."""
    if len(films) <= most:
        return np.arange(len(films)), ""
    shown = np.sort(np.argsort(-films, kind="stable")[:most])
    return shown, f" ({most} most frequent of {len(films):,} genres)"


def _small_multiples(count: int, *, width: float, height: float) -> tuple[Figure, list[plt.Axes]]:
    columns = min(count, 6)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(columns * width, rows * height + 0.5),
        squeeze=False,
        layout="constrained",
    )
    axes = list(grid.flat)
    for axis in axes[count:]:
        axis.axis("off")
    return figure, axes[:count]
