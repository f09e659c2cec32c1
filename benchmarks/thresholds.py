"""The exact threshold search beside a grid with scikit-learn, on a million made-up films.

    python -m benchmarks.thresholds

Both find one threshold for micro-F1 and one per genre for its F1, on the same scores. The grid is
what people write: 0.05, 0.10, ..., 0.95 with `sklearn.metrics.f1_score`.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit
from sklearn.metrics import f1_score

from movie_genres.decisions.thresholds import (
    decide,
    search_global_threshold,
    search_label_thresholds,
)

GRID = np.linspace(0.05, 0.95, 19)
Found = tuple[float, np.ndarray]
"""The global threshold and those of the labels."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Exact threshold search beside a grid.")
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--genres", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3, help="of the exact search")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    y_true, y_prob = made_up(args.films, args.genres, args.seed)
    exact_times = []
    for _ in range(args.repeats):
        exact, seconds = timed(lambda: search_exactly(y_true, y_prob))
        exact_times.append(seconds)
    grid, grid_seconds = timed(lambda: search_grid(y_true, y_prob))
    exact_seconds = float(np.median(exact_times))
    print(f"{args.films:,} films x {args.genres} genres, float64, {platform.machine()}\n")
    print(f"{'':<24}{'seconds':>9}{'F1 micro':>10}{'F1 macro':>10}{'worse genres':>14}")
    own_exact, own_grid = (label_f1(y_true, y_prob, found[1]) for found in (exact, grid))
    for name, seconds, found, own, other in (
        ("exact", exact_seconds, exact, own_exact, own_grid),
        ("grid of 19, scikit-learn", grid_seconds, grid, own_grid, own_exact),
    ):
        micro = f1_score(y_true, decide(y_prob, found[0]), average="micro")
        worse = int((own < other - 1e-12).sum())
        print(f"{name:<24}{seconds:>9.2f}{micro:>10.5f}{own.mean():>10.5f}{worse:>14}")
    print(f"\nexact is {grid_seconds / exact_seconds:.0f} times faster (median of {args.repeats})")
    return 0


def made_up(n_films: int, n_genres: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of genres from common to rare, uncalibrated on purpose."""
    rng = np.random.default_rng(seed)
    base = np.linspace(0.0, -4.0, n_genres)
    logits = base + 1.5 * rng.normal(size=(n_films, n_genres))
    y_true = (rng.random(logits.shape) < expit(logits)).astype(np.int8)
    return y_true, expit(0.7 * logits + 0.5)


def search_exactly(y_true: np.ndarray, y_prob: np.ndarray) -> Found:
    return search_global_threshold(y_true, y_prob), search_label_thresholds(y_true, y_prob)


def search_grid(y_true: np.ndarray, y_prob: np.ndarray) -> Found:
    micro, own = [], []
    for threshold in GRID:
        y_pred = decide(y_prob, threshold)
        micro.append(f1_score(y_true, y_pred, average="micro"))
        own.append(f1_score(y_true, y_pred, average=None))
    return float(GRID[np.argmax(micro)]), GRID[np.argmax(own, axis=0)]


def label_f1(y_true: np.ndarray, y_prob: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return f1_score(y_true, decide(y_prob, thresholds), average=None)


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
