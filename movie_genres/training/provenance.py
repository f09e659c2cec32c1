"""How a model came about: recipe, machine and versions, in the words of its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import SchedulerType, TrainingArguments
from transformers.training_args import OptimizerNames

from movie_genres.evaluation.artifacts import ModelMetadata
from movie_genres.model.encoder import EncoderName
from movie_genres.training.arguments import ProjectArguments, films_per_step
from movie_genres.training.seed_runs import Trained
from movie_genres.training.selection import Choice

_WITHOUT_WARMUP = (
    SchedulerType.CONSTANT,
    SchedulerType.REDUCE_ON_PLATEAU,
    SchedulerType.GREEDY,
)


def training_metadata(
    trained: Trained, *, probing_seconds: float, memory: int | None
) -> dict[str, Any]:
    """The section `train` of metrics.json.

    Args:
        trained: What the seed runs came to.
        probing_seconds: Until the linear probe was fitted.
        memory: Peak, in bytes, if known.
    """
    seed_runs, choice = trained.seed_runs, trained.choice
    seconds = seed_runs[-1].seconds
    tokens = sum(seed_run.tokens for seed_run in seed_runs)
    return {
        "seconds": round(seconds, 1),
        "useful_tokens_per_second": round(tokens / max(seconds - probing_seconds, 1e-9), 1),
        "peak_memory_bytes": memory,
        "precision": seed_runs[-1].precision,
        "device": seed_runs[-1].device,
        "averaging": None if choice is None else asdict(choice),
        "world_size": seed_runs[-1].processes,
        "best_epochs": [seed_run.best_epoch for seed_run in seed_runs],
        "epochs": [seed_run.epochs for seed_run in seed_runs],
        "steps": [seed_run.steps for seed_run in seed_runs],
    }


def model_metadata(
    args: TrainingArguments,
    project: ProjectArguments,
    run: Path,
    encoder: EncoderName,
    train: Mapping[str, Any],
) -> ModelMetadata:
    """What the card says about a training.

    Args:
        args: Of the Trainer.
        project: Our own arguments.
        run: Folder of the run.
        encoder: What the training started from.
        train: The section `train` of metrics.json.
    """
    training = {
        "epochs": _epochs(args, train),
        "averaging": f"{project.soup} seed runs from one initialisation; "
        + Choice(**train["averaging"]).sentence()
        if train["averaging"]
        else "none: one seed run",
        "learning rate": f"{args.learning_rate:g}, {_schedule(args)}",
        "optimiser": f"{OptimizerNames(args.optim).value}, weight decay {args.weight_decay:g}",
        "dropout": f"{project.dropout:g}",
        "batch": f"{films_per_step(args)} films",
        "loss": f"binary cross-entropy, class weights `{project.class_weights}`",
        "head": "initialised from logistic regressions on the frozen encoder"
        if project.probes
        else "initialised at random",
        "frozen": f"embeddings and {project.frozen_share:.0%} of the layers, lowest first"
        if project.frozen_share
        else "nothing",
        "truncation": f"to {project.tokens_in_training} tokens in training, "
        f"{project.max_length} at use",
        "seed": str(args.seed),
        "time": f"{train['seconds']:.0f} s (linear probe included) in {train['precision']} on "
        f"{train['world_size']} × {train['device']}, peak memory "
        f"{(train['peak_memory_bytes'] or 0) / 2**30:.1f} GiB",
        "versions": f"transformers {transformers.__version__}, torch {torch.__version__}",
    }
    return ModelMetadata(
        name=run.resolve().name,
        model_id="model",
        origin=f"Fine-tuned from `{encoder.base_model or Path(encoder.path).name}` on",
        base_model=encoder.base_model,
        license=encoder.license,
        max_length=project.max_length,
        training=training,
    )


def _epochs(args: TrainingArguments, train: Mapping[str, Any]) -> str:
    """What was trained, and which of it is kept: one figure for all seed runs, or one for each."""
    done, steps, best = (train[name] for name in ("epochs", "steps", "best_epochs"))
    words = _each([f"{epochs:.3g}" for epochs in done])
    if args.max_steps > 0:
        words += f" ({_each([f'{n:,}' for n in steps])} steps)"
    elif min(done) < args.num_train_epochs:
        words += f" of {args.num_train_epochs:g}, stopped early"
    if None in best:
        return f"{words}, the weights after the last step"
    score = str(args.metric_for_best_model).removeprefix("eval_")
    score = "mAP" if score == "average_precision_macro" else score
    return f"{words}, best checkpoint by validation {score} after " + " / ".join(
        f"{epoch:.3g}" for epoch in best
    )


def _schedule(args: TrainingArguments) -> str:
    kind, warmup = SchedulerType(args.lr_scheduler_type), args.warmup_steps
    if not warmup or kind in _WITHOUT_WARMUP:
        return f"{kind.value}, no warm-up"
    share = f"{warmup:.0%} of the steps" if warmup < 1 else f"{warmup:g} steps"
    return f"{kind.value}, warm-up over {share}"


def _each(figures: Sequence[str]) -> str:
    return " / ".join(figures if len({*figures}) > 1 else figures[:1])
