"""The folder of a comparison: what was asked, which jobs there are, what came of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
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

RATE_JOBS = {f"tuning-{rate:g}": rate for rate in (5e-5, 1e-4, 2e-4)}
"""The learning rates that (b) is tuned over, from (a)'s up."""
LONGER_JOB = "tuning-longer"
EPOCHS, LONGER_EPOCHS = 4, 8
"""Of each rate, and of the best of them once more."""
TUNING_JOBS = (*RATE_JOBS, LONGER_JOB)
"""The trainings that (b) is chosen by, in the order in which they run."""

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
            jobs += [(seed, job) for job in TUNING_JOBS]
        jobs += [(seed, recipe) for seed in seeds for recipe in TITLES if recipe in recipes]
        return [(seed, job) for seed, job in jobs if self.outcome(seed, job).read() is None]

    def tuning(self, jobs: Collection[str] = TUNING_JOBS) -> list[dict[str, Any]]:
        """The outcomes of the trainings that (b) is chosen by, as far as they are there."""
        seed = self.settings().tune_seed
        found = [self.outcome(seed, job).read() for job in jobs]
        return [outcome for outcome in found if outcome is not None]

    def best_of_tuning(self, jobs: Collection[str] = TUNING_JOBS) -> tuple[float, int]:
        """Learning rate and epochs with the best validation mAP of any epoch.

        Raises:
            InputError: If one of these trainings is not there.
        """
        outcomes = self.tuning(jobs)
        if len(outcomes) < len(jobs):
            raise InputError(f"(b) needs all of {', '.join(jobs)} on the split it is tuned on")
        _, rate, epoch = max(
            (score, outcome["facts"]["learning_rate"], epoch)
            for outcome in outcomes
            for _, epoch, score in outcome["curve"]
        )
        return rate, round(epoch)

    def same_training(self, seed: int, recipe: str) -> OutcomeFile | None:
        """The tuning that has trained what this job would, if there is one: of as many epochs."""
        if recipe != "tuned" or seed != self.settings().tune_seed:
            return None
        best = self.best_of_tuning()
        for job, outcome in zip(TUNING_JOBS, self.tuning(), strict=True):
            if (outcome["facts"]["learning_rate"], outcome["facts"]["epochs"]) == best:
                return self.outcome(seed, job)
        return None

    def outcomes(self, seeds: Sequence[int], recipes: Sequence[str]) -> Outcomes:
        """Those that are there."""
        found: Outcomes = {}
        for recipe in TITLES:
            for seed in seeds:
                outcome = self.outcome(seed, recipe).read() if recipe in recipes else None
                if outcome is not None:
                    found.setdefault(recipe, {})[seed] = outcome
        return found
