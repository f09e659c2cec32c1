"""The folder of a comparison: what was asked, which jobs there are, what came of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.outcomes import OutcomeFile
from movie_genres.errors import InputError
from movie_genres.files import write_json

TITLES = {
    "stock": "(a) stock recipe, as the example has it",
    "tuned": "(b) stock recipe, tuned",
    "tuned-bf16": "(b) likewise, in bf16",
    "tfidf": "(c) TF-IDF + logistic regression",
    "embeddings": "(d) sentence embeddings + logistic regression",
    "setfit": "(e) setfit",
    "ours": "(f) this project",
}
"""Recipes in the order in which they run and are shown."""

LEARNING_RATES = (1e-4, 2e-4, 4e-4)
"""Of (b); the lowest that users take, 5e-5, is that of (a)."""
MOST_EPOCHS = 4
_TUNING = "tuning-"

Outcomes = dict[str, dict[int, dict[str, Any]]]
"""By recipe and seed."""


@dataclass(frozen=True)
class Settings:
    """What all jobs of a comparison share."""

    source: str
    """As prepare_dataset.py takes it."""
    model_name_or_path: str
    max_length: int
    tune_seed: int
    """On whose split the tuned recipe's learning rate and epochs are chosen."""
    flags: list[str]
    """For finetune.py."""


@dataclass(frozen=True)
class Comparison:
    """`--work-dir`."""

    path: Path

    def data(self, seed: int) -> Path:
        return self.path / f"data-{seed}"

    def run(self, seed: int) -> Path:
        """Of finetune.py."""
        return self.path / f"run-{seed}"

    def outcome(self, seed: int, recipe: str) -> OutcomeFile:
        return OutcomeFile(self.path / "results", seed, recipe)

    @property
    def _settings(self) -> Path:
        return self.path / "settings.json"

    def settings(self) -> Settings:
        return Settings(**json.loads(self._settings.read_text(encoding="utf-8")))

    def start(self, wanted: Settings) -> None:
        """Make the folder, or see that what is there was asked in the same way.

        Raises:
            InputError: If it was not: its results would not compare.
        """
        there = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if self._settings.is_file() and len(there) > 1:  # else nothing has come of it
            before, now = asdict(self.settings()), asdict(wanted)
            for name, value in now.items():
                if before[name] != value:
                    raise InputError(
                        f"--work-dir {self.path} holds a comparison with {name} {before[name]!r}, "
                        f"asked is {value!r}; name another folder"
                    )
            return
        if there - {self._settings.name} or (self.path.exists() and not self.path.is_dir()):
            raise InputError(f"--work-dir {self.path} holds something else; name another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self._settings, asdict(wanted))

    def missing_jobs(self, seeds: Sequence[int], recipes: Sequence[str]) -> list[tuple[int, str]]:
        """(seed, job) in the order of running, without those whose outcome is there."""
        jobs: list[tuple[int, str]] = []
        if {"tuned", "tuned-bf16"} & set(recipes):
            seed = self.settings().tune_seed
            jobs += [(seed, f"{_TUNING}{rate:g}") for rate in LEARNING_RATES]
        jobs += [(seed, recipe) for seed in seeds for recipe in TITLES if recipe in recipes]
        return [(seed, job) for seed, job in jobs if self.outcome(seed, job).read() is None]

    def tuning(self) -> list[dict[str, Any]]:
        """The outcomes of the trainings that the tuned recipe is chosen by, as far as they are."""
        seed = self.settings().tune_seed
        found = [self.outcome(seed, f"{_TUNING}{rate:g}").read() for rate in LEARNING_RATES]
        return [outcome for outcome in found if outcome is not None]

    def same_training(self, seed: int, recipe: str) -> OutcomeFile | None:
        """The tuning that has trained what this job would, if there is one: of as many epochs."""
        if recipe != "tuned" or seed != self.settings().tune_seed:
            return None
        rate, epochs = best_of_tuning(self.tuning())
        return self.outcome(seed, f"{_TUNING}{rate:g}") if epochs == MOST_EPOCHS else None

    def outcomes(self, seeds: Sequence[int], recipes: Sequence[str]) -> Outcomes:
        """Those that are there."""
        found: Outcomes = {}
        for recipe in TITLES:
            for seed in seeds:
                outcome = self.outcome(seed, recipe).read() if recipe in recipes else None
                if outcome is not None:
                    found.setdefault(recipe, {})[seed] = outcome
        return found


def tuning_rate(job: str) -> float | None:
    """The learning rate of a tuning job; None for another job."""
    return float(job.removeprefix(_TUNING)) if job.startswith(_TUNING) else None


def best_of_tuning(outcomes: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """Learning rate and epochs with the best validation mAP of any epoch.

    Raises:
        InputError: If not every learning rate was tried.
    """
    if len(outcomes) < len(LEARNING_RATES):
        raise InputError("the tuned recipe needs the tuning of every learning rate; one failed")
    _, rate, epoch = max(
        (score, outcome["facts"]["learning_rate"], epoch)
        for outcome in outcomes
        for _, epoch, score in outcome["curve"]
    )
    return rate, round(epoch)
