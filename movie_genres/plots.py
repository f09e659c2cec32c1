"""Arrays -> matplotlib figures. Knows no torch and reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no window: figures go to files and to TensorBoard

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve

BLUE, ORANGE, GREY, LIGHT = "#2b6cb0", "#dd6b20", "#718096", "#e2e8f0"
_STYLE: Any = {
    "figure.dpi": 120,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "legend.frameon": False,
}


def plot_confusion_matrices(
    counts: Mapping[str, np.ndarray], labels: Sequence[str], *, title: str = ""
) -> Figure:
    """A 2x2 matrix per genre: films in each cell, coloured by the share of its row (of the truth).

    Args:
        counts: {"tp", "fp", "fn", "tn"}, each of shape (n_labels,).
    """
    with plt.rc_context(_STYLE):
        figure, axes = _small_multiples(len(labels), width=1.9, height=1.95)
        for label, (name, axis) in enumerate(zip(labels, axes, strict=True)):
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
            axis.set_title(plain(name))
            axis.set_xticks([0, 1], ["not given", "given"], fontsize=7)
            axis.set_yticks([0, 1], ["is not", "is"], fontsize=7, rotation=90, va="center")
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        figure.suptitle(title, fontsize=11)
        return figure


def plot_threshold_sweep(
    y_true: np.ndarray, y_prob: np.ndarray, marks: Mapping[str, float]
) -> Figure:
    """Micro precision, recall and F1 over one threshold for all genres.

    Args:
        marks: Thresholds to mark, by name.
    """
    thresholds = np.linspace(0.01, 0.99, 99)
    predicted = np.array([(y_prob >= t).sum() for t in thresholds])
    tp = np.array([((y_prob >= t) * y_true).sum() for t in thresholds])
    precision = np.divide(tp, predicted, out=np.full(len(tp), np.nan), where=predicted > 0)
    recall = tp / max(1, y_true.sum())
    f1 = 2 * tp / (predicted + y_true.sum())
    with plt.rc_context(_STYLE):
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
        axis.set(xlabel="threshold", ylabel="micro average", xlim=(0, 1), ylim=(0, 1))
        axis.set_title("One threshold for all genres (validation split)")
        axis.grid(True)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        return figure


def plot_precision_recall(
    y_true: np.ndarray, y_prob: np.ndarray, y_pred: np.ndarray, labels: Sequence[str]
) -> Figure:
    """A precision-recall curve per genre, its base rate, and where the decisions stand on it."""
    with plt.rc_context(_STYLE):
        figure, axes = _small_multiples(len(labels), width=1.9, height=1.8)
        for label, (name, axis) in enumerate(zip(labels, axes, strict=True)):
            true, prob, pred = y_true[:, label], y_prob[:, label], y_pred[:, label]
            axis.set(xlim=(0, 1.02), ylim=(0, 1.05))
            axis.grid(True)
            axis.tick_params(labelsize=6.5)
            if not true.any():
                axis.set_title(f"{plain(name)}: none here")
                continue
            precision, recall, _ = precision_recall_curve(true, prob)
            axis.axhline(true.mean(), color=GREY, linewidth=0.8, linestyle="--")
            axis.step(recall, precision, where="post", color=BLUE)
            if pred.any():
                hits = (true * pred).sum()
                axis.plot(hits / true.sum(), hits / pred.sum(), "o", color=ORANGE, markersize=4)
            axis.set_title(f"{plain(name)}  {average_precision_score(true, prob):.2f}")
        figure.suptitle(
            "Precision over recall, average precision beside the name; "
            "dot: the decisions, dashed: base rate",
            fontsize=10,
        )
        return figure


def plot_genre_f1(
    f1: Sequence[float], support: Sequence[int], labels: Sequence[str], title: str
) -> Figure:
    """F1 of each genre as bars in order of F1, with its support beside the name."""
    order = np.argsort(f1)
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 0.26 * len(labels) + 1.1), layout="constrained")
        values = np.asarray(f1)[order]
        axis.barh(range(len(labels)), values, color=BLUE, height=0.72)
        names = [f"{plain(labels[label])}  ({support[label]:,})" for label in order]
        axis.set_yticks(range(len(labels)), names)
        axis.tick_params(axis="y", length=0)
        for position, value in enumerate(values):
            axis.text(value + 0.01, position, f"{value:.2f}", va="center", fontsize=8)
        axis.set(xlim=(0, 1), ylim=(-0.6, len(labels) - 0.4), xlabel="F1 (films in brackets)")
        axis.set_title(title)
        axis.grid(True, axis="x")
        return figure


def plot_reliability(
    y_true: np.ndarray, before: np.ndarray, after: np.ndarray, *, n_bins: int = 15
) -> Figure:
    """Observed rate over probability in equal-mass bins, all cells pooled, before and after."""
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
        for y_prob, name, colour in ((before, "before", GREY), (after, "calibrated", BLUE)):
            order = np.argsort(y_prob, axis=None)
            prob = np.array_split(np.ravel(y_prob)[order], n_bins)
            rate = np.array_split(np.ravel(y_true)[order], n_bins)
            axis.plot(
                [p.mean() for p in prob], [r.mean() for r in rate],
                marker="o", markersize=4, color=colour, label=name,
            )  # fmt: skip
        axis.set(xlabel="probability", ylabel="observed rate", xlim=(0, 1), ylim=(0, 1))
        axis.set_title("Reliability (test split, all genres)")
        axis.grid(True)
        axis.legend(loc="upper left")
        return figure


def plot_genre_counts(per_split: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> Figure:
    """Films per genre, the splits stacked."""
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 0.26 * len(labels) + 1.1), layout="constrained")
        order = sorted(labels, key=lambda name: sum(counts[name] for counts in per_split.values()))
        left = np.zeros(len(order))
        for (split, counts), colour in zip(per_split.items(), (BLUE, ORANGE, GREY), strict=True):
            films = np.array([counts[name] for name in order])
            axis.barh(range(len(order)), films, left=left, color=colour, height=0.72, label=split)
            left += films
        for position, total in enumerate(left):
            axis.text(total, position, f" {int(total):,}", va="center", fontsize=8)
        axis.set_yticks(range(len(order)), [plain(name) for name in order])
        axis.set(xlabel="films", ylim=(-0.6, len(order) - 0.4), xlim=(0, left.max() * 1.08))
        axis.tick_params(axis="y", length=0)
        axis.grid(True, axis="x")
        axis.legend(loc="lower right")
        return figure


def plain(name: str) -> str:
    """A genre's name as matplotlib shows it: a dollar sign would start a formula."""
    return name.replace("$", r"\$")


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
