"""Do the intervals of the report hold the true values as often as they say?

    python -m benchmarks.coverage --films 500 5000 --test-sets 2000

Draws films from a model of correlated genres (45 % to 1 % of the films) and correlated scores of
two classifiers, whose true scores are those of a million films. Prints how often the intervals of
that many test sets hold them, and how often the truth lies below and above.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from movie_genres.command_line import exit_code
from movie_genres.decisions.intervals import (
    HEADLINES,
    PER_LABEL,
    paired_differences,
    score_intervals,
)
from movie_genres.decisions.scores import (
    average_precision_per_label,
    compute_scores,
    confusion_counts,
)
from movie_genres.decisions.thresholds import decide

SHARES = np.geomspace(0.45, 0.01, 20)
"""Of the films that have each genre: in 500 films, 225 to 5."""
THRESHOLD = 0.35
POPULATION = 1_000_000
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(y_true, y_prob of a, y_prob of b), each of shape (n_films, n_genres)."""


class Films:
    """Genres by a threshold on latent normal variables; a score sees them through noise.

    The probabilities are calibrated: P(genre | score). Correlations: 0 to 0.45 between genres, and
    half of the noise of genres that go together is common to them.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        factors = self.rng.normal(size=(len(SHARES), 5))
        self.factors = (factors / np.linalg.norm(factors, axis=1, keepdims=True)).T
        self.seen = self.rng.uniform(0.55, 0.88, len(SHARES))
        """Correlation of a's scores with what makes the genre; b's is 0.05 less."""
        self.cut = -ndtri(SHARES)

    def _normal(self, n_films: int, common: float) -> np.ndarray:
        shared = self.rng.normal(size=(n_films, 5)) @ self.factors
        own = self.rng.normal(size=(n_films, len(SHARES)))
        return np.sqrt(common) * shared + np.sqrt(1 - common) * own

    def draw(self, n_films: int) -> Arrays:
        latent, noise = self._normal(n_films, 0.45), self._normal(n_films, 0.5)
        other = 0.7 * noise + np.sqrt(1 - 0.7**2) * self._normal(n_films, 0.5)
        probabilities = []
        for seen, error in ((self.seen, noise), (self.seen - 0.05, other)):
            rest = np.sqrt(1 - seen**2)
            score = seen * latent + rest * error
            probabilities.append(ndtr((seen * score - self.cut) / rest).astype(np.float32))
        return (latent > self.cut).astype(np.float32), *probabilities

    def population(self) -> Arrays:
        parts = [self.draw(POPULATION // 20) for _ in range(20)]
        y_true, a, b = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return y_true, a, b


def true_scores(y_true: np.ndarray, y_prob: np.ndarray) -> dict[str, np.ndarray | float]:
    """Headline scores by name, and those of each genre, by "genre, " and name."""
    y_pred = decide(y_prob, THRESHOLD)
    scores = compute_scores(y_true, y_pred, y_prob)
    tp, fp, fn = (confusion_counts(y_true, y_pred)[cell] for cell in ("tp", "fp", "fn"))
    return {name: scores[name] for name in HEADLINES} | {
        "genre, precision": tp / (tp + fp),
        "genre, recall": tp / (tp + fn),
        "genre, f1": 2 * tp / (2 * tp + fp + fn),
        "genre, average_precision": average_precision_per_label(y_true, y_prob),
    }


def intervals_of(films: Arrays) -> dict[str, np.ndarray]:
    """(low, high) by name, of one test set."""
    y_true, *probabilities = films
    a, b = ((decide(y_prob, THRESHOLD), y_prob) for y_prob in probabilities)
    own = score_intervals(y_true, *a)
    found = {name: np.array(bounds) for name, bounds in own.headline.items()}
    found |= {f"genre, {name}": own.per_label[name] for name in PER_LABEL}
    pairs = paired_differences(y_true, a, b)
    return found | {f"a - b, {name}": np.array(pairs[name].interval) for name in HEADLINES}


def measure(films: Films, truth: dict[str, np.ndarray], n_films: int, sets: int) -> list[str]:
    outcomes = defaultdict(list)
    for _ in range(sets):
        for name, bounds in intervals_of(films.draw(n_films)).items():
            low, high = bounds[..., 0], bounds[..., 1]
            outside = np.stack([truth[name] < low, truth[name] > high]).astype(float)
            # Without a film of the genre there is no interval of its average precision.
            outcomes[name].append(np.where(np.isnan(low), np.nan, [*outside, high - low]))
    lines = [f"\n{n_films:,} films", f"{'':<34}{'holds':>7}{'below':>7}{'above':>7}{'width':>7}"]
    for name, found in outcomes.items():
        below, above, width = np.nanmean(found, axis=0)
        holds = 1 - below - above
        line = f"{name:<34}" + "".join(
            f"{np.mean(value):>7.3f}" for value in (holds, below, above, width)
        )
        if holds.shape:
            line += f"   of the genres {holds.min():.3f} to {holds.max():.3f}"
        lines.append(line)
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How often the report's intervals hold the truth.")
    parser.add_argument("--films", type=int, nargs="+", default=[500, 5000], help="of a test set")
    parser.add_argument("--test-sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    films = Films(args.seed)
    y_true, *probabilities = films.population()
    a, b = (true_scores(y_true, y_prob) for y_prob in probabilities)
    truth = a | {f"a - b, {name}": a[name] - b[name] for name in HEADLINES}
    for n_films in args.films:
        print("\n".join(measure(films, truth, n_films, args.test_sets)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
