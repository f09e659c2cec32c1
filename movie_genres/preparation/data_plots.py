"""Counts of a prepared dataset -> matplotlib figures, without pyplot, which would open windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import ParamSpec

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from movie_genres.figure_style import BLUE, GREY, ORANGE, STYLE, plain

_MOST_BARS = 40
_Arguments = ParamSpec("_Arguments")


def _styled(plot: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    """Draw in the style of all figures, whatever a user's matplotlibrc says."""

    @wraps(plot)
    def styled(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return styled


@_styled
def plot_bars(counts: Mapping[str, int], *, xlabel: str, colour: str = BLUE) -> Figure:
    """One horizontal bar for each name, in their order; the first 40."""
    shown = dict(list(counts.items())[:_MOST_BARS])
    figure = Figure(figsize=(6.4, 0.24 * len(shown) + 0.9), layout="constrained")
    axis = figure.subplots()
    axis.barh(range(len(shown)), list(shown.values()), color=colour, height=0.72)
    for position, count in enumerate(shown.values()):
        axis.text(count, position, f" {count:,}", va="center", fontsize=8)
    axis.set_yticks(range(len(shown)), [plain(name) for name in shown])
    axis.set(xlabel=xlabel, xlim=(0, max(shown.values(), default=1) * 1.12))
    axis.set_ylim(len(shown) - 0.4, -0.6)  # the first on top
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    return figure


@_styled
def plot_genre_counts(per_split: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> Figure:
    """Films per genre, the splits stacked."""
    figure = Figure(figsize=(6.4, 0.26 * len(labels) + 1.1), layout="constrained")
    axis = figure.subplots()
    order = sorted(labels, key=lambda name: sum(counts[name] for counts in per_split.values()))
    left = np.zeros(len(order))
    for (split, counts), colour in zip(per_split.items(), (BLUE, ORANGE, GREY), strict=True):
        films = np.array([counts[name] for name in order])
        axis.barh(range(len(order)), films, left=left, color=colour, height=0.72, label=split)
        left += films
    for position, total in enumerate(left):
        axis.text(total, position, f" {int(total):,}", va="center", fontsize=8)
    axis.set_yticks(range(len(order)), [plain(name) for name in order])
    axis.set(xlabel="films", ylim=(-0.6, len(order) - 0.4), xlim=(0, left.max() * 1.12))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")
    axis.legend(loc="lower right")
    return figure


@_styled
def plot_cooccurrence(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Share of a row's films that have the column's genre too.

    Args:
        counts: Films that have both genres; those with the genre itself on the diagonal.
        labels: Genre names.
    """
    both = np.asarray(counts, dtype=float)
    share = both / np.maximum(both.diagonal()[:, None], 1)
    np.fill_diagonal(share, np.nan)
    most = max(0.01, float(np.nan_to_num(share).max()))
    size = 0.32 * len(labels) + 1.6
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=most)
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            colour = "white" if value > 0.55 * most else "#1a202c"
            axis.text(column, row, f"{value * 100:.0f}", ha="center", va="center",
                      fontsize=6.5, color=colour)  # fmt: skip
    names = [plain(name) for name in labels]
    axis.set_xticks(range(len(labels)), names, rotation=90)
    axis.set_yticks(range(len(labels)), names)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.suptitle("Of 100 films of the row's genre, so many are of the column's", fontsize=9)
    return figure


@_styled
def plot_labels_per_film(counts: Mapping[str, int]) -> Figure:
    """Films by their number of genres."""
    figure = Figure(figsize=(4.2, 2.4), layout="constrained")
    axis = figure.subplots()
    bars = axis.bar(list(counts), list(counts.values()), color=BLUE, width=0.72)
    axis.bar_label(bars, fmt="{:,.0f}", fontsize=8)
    axis.set(xlabel="genres of a film", ylabel="films", ylim=(0, 1.1 * max(counts.values())))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    return figure


@_styled
def plot_token_lengths(lengths: Sequence[int], max_length: int) -> Figure:
    """Histogram of the texts that were counted by their tokens, and where the default cut is."""
    longest = max(float(np.percentile(lengths, 99)), 1.15 * max_length)
    figure = Figure(figsize=(6.4, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.hist(lengths, bins=60, range=(0, longest), color=BLUE)
    axis.axvline(max_length, color=ORANGE)
    axis.text(max_length, axis.get_ylim()[1], f" --max-length {max_length}", va="top",
              fontsize=8, color=ORANGE)  # fmt: skip
    axis.set(xlabel="tokens of a text (the longest 1 % may be left out)", xlim=(0, longest))
    axis.set_ylabel(f"texts, of {len(lengths):,}")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure
