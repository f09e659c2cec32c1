"""Decisions in a model's config.json: written, read back, and undone before tuning anew.

Everything is stored by genre name, because config dicts are written with sorted keys, and with a
fingerprint of the label list, so that stale thresholds are noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from movie_genres.decisions.affine import AffineMap
from movie_genres.decisions.thresholds import decide
from movie_genres.errors import InputError
from movie_genres.model.head import fold_affine

if TYPE_CHECKING:  # reading a model's decisions needs neither PyTorch models nor scikit-learn
    from transformers import PretrainedConfig, PreTrainedModel

    from movie_genres.decisions.tuning import ThresholdSets, Tuned


def label_fingerprint(labels: Sequence[str]) -> str:
    """A short hash of an ordered label list, by which stale thresholds are noticed."""
    return hashlib.sha256(json.dumps(list(labels)).encode()).hexdigest()[:16]


def publish_decisions(model: PreTrainedModel, tuned: Tuned, labels: list[str]) -> None:
    """Fold the calibration into the model and write the decisions into its config, in place.

    Thresholds, policy, objective, those for other objectives, label fingerprint and the
    calibration, which can be undone.
    """
    fold_affine(model, tuned.calibration.map.slope, tuned.calibration.map.shift)
    model.config.update(
        stored_thresholds(tuned.thresholds, labels)
        | {
            "calibration": {
                "method": tuned.calibration.method,
                "slope": by_name(labels, tuned.calibration.map.slope),
                "shift": by_name(labels, tuned.calibration.map.shift),
                "pos_weight": by_name(labels, tuned.pos_weight),
            },
        }
    )


def by_name(labels: Sequence[str], values: np.ndarray) -> dict[str, float]:
    """One number for each genre, as JSON."""
    return dict(zip(labels, np.asarray(values, dtype=np.float64).tolist(), strict=True))


def stored_thresholds(sets: ThresholdSets, labels: Sequence[str]) -> dict[str, Any]:
    """The decisions as `Decisions.of_config` reads them."""
    return {
        "thresholds": by_name(labels, sets.chosen),
        "threshold_policy": sets.policy,
        "threshold_objective": sets.objective,
        "never_empty": sets.never_empty,
        "thresholds_for_other_objectives": {
            name: {"policy": policy, "thresholds": by_name(labels, thresholds)}
            for name, (policy, thresholds) in sets.other_objectives.items()
        },
        "label_fingerprint": label_fingerprint(labels),
    }


@dataclass(frozen=True)
class StoredCalibration:
    """The calibration that a model's config says is folded into it."""

    method: str
    map: AffineMap
    pos_weight: np.ndarray

    @classmethod
    def of_config(cls, model: PreTrainedModel, labels: list[str]) -> StoredCalibration:
        """Read it; no change at all where the config has none.

        Raises:
            InputError: If it is incomplete or for other labels.
        """
        stored = getattr(model.config, "calibration", None)
        if not stored:
            ones = np.ones(len(labels))
            return cls("none", AffineMap(ones, np.zeros(len(labels))), ones)
        try:
            slope, shift, weight = (
                np.array([float(stored[key][label]) for label in labels])
                for key in ("slope", "shift", "pos_weight")
            )
        except (KeyError, TypeError, ValueError):
            raise InputError(
                "the calibration in the model's config.json is not one that this project wrote, or "
                "is for other genres; it cannot be undone"
            ) from None
        return cls(stored["method"], AffineMap(slope, shift), weight)

    def undo(self, logits: np.ndarray) -> np.ndarray:
        """Logits as they were before the calibration, exact to float rounding."""
        return (logits.astype(np.float64) - self.map.shift) / self.map.slope


def label_names(config: PretrainedConfig) -> list[str]:
    """Genre names of a model in column order."""
    id2label: dict[Any, str] = config.id2label or {}
    return [id2label[index] for index in sorted(id2label)]


@dataclass(frozen=True)
class Decisions:
    """How a model decides at use, as its `config.json` says or its user asks."""

    labels: list[str]
    thresholds: np.ndarray
    """In label order, shape (n_labels,)."""
    never_empty: bool = False

    @classmethod
    def of_config(
        cls,
        config: PretrainedConfig,
        name: str,
        *,
        threshold: float | None = None,
        objective: str | None = None,
        never_empty: bool | None = None,
    ) -> Decisions:
        """Read a model's thresholds.

        Args:
            config: Of a model, as `publish_decisions` wrote it.
            name: Of the model, for messages.
            threshold: One for all genres instead of the stored ones, in [0, 1].
            objective: Take the thresholds that were tuned for it; None: those chosen at training.
            never_empty: As `thresholds.decide` takes it; None: as the config says.

        Raises:
            InputError: If the config has none, has none for the objective, or they were tuned for
                another label list.
        """
        labels = label_names(config)
        if never_empty is None:
            never_empty = bool(getattr(config, "never_empty", False))
        if threshold is not None:
            if not 0 <= threshold <= 1:
                raise InputError(f"--threshold {threshold} is not in [0, 1]")
            return cls(labels, np.full(len(labels), float(threshold)), never_empty)
        thresholds = _stored_thresholds(config, name, objective)
        fingerprint = getattr(config, "label_fingerprint", None)
        if set(thresholds) != set(labels) or fingerprint != label_fingerprint(labels):
            raise InputError(
                f"the thresholds in {name} were tuned for another label list; tune them anew "
                "(python evaluate_model.py --retune), or set one for all genres: --threshold 0.5"
            )
        if not all(isinstance(value, int | float) for value in thresholds.values()):
            raise InputError(f"the thresholds in {name}'s config.json are not all numbers")
        values = np.array([float(thresholds[label]) for label in labels])
        return cls(labels, values, never_empty)

    def decide(self, y_prob: np.ndarray) -> np.ndarray:
        """Multi-hot decisions, int8, shape (n_samples, n_labels)."""
        return decide(y_prob, self.thresholds, never_empty=self.never_empty)


def _stored_thresholds(
    config: PretrainedConfig, name: str, objective: str | None
) -> dict[str, float]:
    chosen = getattr(config, "thresholds", None)
    if not isinstance(chosen, dict):
        raise InputError(
            f"{name} has no thresholds in its config.json; it was not made by finetune.py "
            "(--threshold 0.5 sets one for all genres)"
        )
    chosen_for = getattr(config, "threshold_objective", None)
    if objective is None or objective == chosen_for:
        return chosen
    others = getattr(config, "thresholds_for_other_objectives", None) or {}
    if objective not in others:
        stored = ", ".join(dict.fromkeys([str(chosen_for), *others]))
        raise InputError(
            f"--objective {objective}: {name} has thresholds for {stored} only; for another, tune "
            "them: python evaluate_model.py --retune --objective ..."
        )
    return others[objective]["thresholds"]


def undo_calibration(model: PreTrainedModel, labels: list[str]) -> StoredCalibration:
    """Take the stored calibration out of the model's final Linear, in place; return what it was."""
    stored = StoredCalibration.of_config(model, labels)
    fold_affine(model, 1 / stored.map.slope, -stored.map.shift / stored.map.slope)
    model.config.calibration = None
    return stored
