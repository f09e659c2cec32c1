"""The weights of seed runs, and their average.

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
from transformers import PreTrainedModel, TrainerState, TrainingArguments

from movie_genres.files import write_json
from movie_genres.model.devices import device_name
from movie_genres.training.checkpoints import is_intact, kept_folder

Weights = dict[str, torch.Tensor]

_WEIGHTS, _RECORD = "weights.safetensors", "seed_run.json"


@dataclass(frozen=True)
class SeedRun:
    """What one training came to."""

    seconds: float
    """Since the whole run began."""
    tokens: int
    """That it read, padding not counted."""
    best_epoch: float | None
    """Of the best checkpoint, whose weights these are; None: they are those of the last step."""
    epochs: float = 0.0
    """That were trained: fewer than asked for after early stopping or with --max_steps."""
    steps: int = 0
    """Likewise."""
    precision: str = ""
    """float32, bf16 or fp16."""
    device: str = ""
    """As the card names it."""
    processes: int = 1

    @classmethod
    def of_state(cls, state: TrainerState, args: TrainingArguments, seconds: float) -> SeedRun:
        """Read the Trainer's state at the end of the training."""
        best_is_loaded = args.load_best_model_at_end
        best = state.best_global_step if best_is_loaded else None
        epochs = [log["epoch"] for log in state.log_history if log["step"] == best]
        return cls(
            seconds,
            int(state.num_input_tokens_seen),
            epochs[0] if epochs else None,
            float(state.epoch or 0),
            state.global_step,
            "bf16" if args.bf16 else "fp16" if args.fp16 else "float32",
            device_name(args.device),
            args.world_size,
        )


def trainable_weights(model: PreTrainedModel) -> Weights:
    """Copies of the trainable weights on the CPU, by name."""
    return {
        name: weight.detach().cpu().clone()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def set_trainable_weights(model: PreTrainedModel, weights: Mapping[str, torch.Tensor]) -> None:
    """Set the trainable weights, in place."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(weights[name])


def average(weights: Sequence[Mapping[str, torch.Tensor]]) -> Weights:
    """The mean of each weight over the seed runs, float32."""
    return {
        name: torch.stack([one[name].float() for one in weights]).mean(0) for name in weights[0]
    }


@dataclass(frozen=True)
class SeedRunFolder:
    """Where the weights of a seed run are kept until the whole run is complete."""

    path: Path

    def is_complete(self) -> bool:
        return is_intact(self.path)

    def save(self, weights: Weights, seed_run: SeedRun) -> None:
        """Write both; they appear whole or not at all."""
        with kept_folder(self.path) as new:
            contiguous = {name: weight.contiguous() for name, weight in weights.items()}
            save_file(contiguous, new / _WEIGHTS)
            write_json(new / _RECORD, asdict(seed_run))

    def record(self) -> SeedRun:
        return SeedRun(**json.loads((self.path / _RECORD).read_text(encoding="utf-8")))

    def weights(self) -> Weights:
        return load_file(self.path / _WEIGHTS)
