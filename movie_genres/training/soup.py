"""Several trainings from one start, and the average of their weights.

Averaged weights of trainings that differ in the order of their films score like the ensemble of
the models, in one model: "model soups", Wortsman et al. 2022, arXiv:2203.05482.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from movie_genres.files import write_json
from movie_genres.training.checkpoints import is_intact, kept_folder

Weights = dict[str, torch.Tensor]

_WEIGHTS, _FACTS = "weights.safetensors", "facts.json"


@dataclass(frozen=True)
class TrainingFacts:
    """What one training came to."""

    seconds: float
    """Since the run began."""
    tokens: int
    """That it read, padding not counted."""
    best_epoch: float | None


def trained_weights(model: PreTrainedModel) -> Weights:
    """Copies, on the CPU, of the weights that are trained, by name."""
    return {
        name: weight.detach().cpu().clone()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def give_weights(model: PreTrainedModel, weights: Mapping[str, torch.Tensor]) -> None:
    """Set the weights that are trained, in place."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(weights[name])


def average(members: Sequence[Mapping[str, torch.Tensor]]) -> Weights:
    """The mean of each weight, float32."""
    return {
        name: torch.stack([member[name].float() for member in members]).mean(0)
        for name in members[0]
    }


@dataclass(frozen=True)
class MemberFolder:
    """Where the result of one training stands until the run is complete."""

    path: Path

    def is_complete(self) -> bool:
        return is_intact(self.path)

    def save(self, weights: Weights, facts: TrainingFacts) -> None:
        """Write both; they appear whole or not at all."""
        with kept_folder(self.path) as new:
            whole = {name: weight.contiguous() for name, weight in weights.items()}
            save_file(whole, new / _WEIGHTS)
            write_json(new / _FACTS, asdict(facts))

    def load(self) -> tuple[Weights, TrainingFacts]:
        facts = json.loads((self.path / _FACTS).read_text(encoding="utf-8"))
        return load_file(self.path / _WEIGHTS), TrainingFacts(**facts)
