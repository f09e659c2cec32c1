"""Arguments of finetune.py: flags, and recipe files of the same names.

The defaults are the recipe of configs/recipes/minilm_cpu.yaml; docs/recipe.md says why.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from transformers import HfArgumentParser, TrainingArguments

from movie_genres.decisions.thresholds import OBJECTIVES, RECALL_AT_PRECISION, find_objective
from movie_genres.errors import InputError, one_line
from movie_genres.model.devices import PRECISIONS, weights_are_sharded
from movie_genres.model.encoder import DEFAULT_ENCODER
from movie_genres.training.launch import (
    check_devices,
    check_sharding,
    check_world,
    divide_step,
    started_processes,
)
from movie_genres.training.losses import CLASS_WEIGHTS
from movie_genres.training.precision import decide_precision
from movie_genres.training.recipe_files import hint, read_recipe, recipe_file
from movie_genres.training.stock_flags import (
    OTHER_NAMES,
    REFUSED,
    TAKEN,
    TAKEN_BEFORE,
    add_taken_before,
    check_stock_flags,
)

CACHE_ACTIVATIONS = ("auto", "always", "never")


def _help(text: str, choices: Sequence[str] | None = None) -> dict[str, Any]:
    return {"help": text} | ({"choices": list(choices)} if choices else {})


@dataclass
class ProjectArguments:
    """What is ours; everything else is a TrainingArguments flag."""

    model_name_or_path: str = field(
        default=DEFAULT_ENCODER,
        metadata=_help("Folder or Hub id of an encoder; 'default' is the packaged MiniLM."),
    )
    dataset_dir: str = field(
        default="data/prepared", metadata=_help("Folder that prepare_dataset.py wrote.")
    )
    max_length: int = field(default=256, metadata=_help("Texts are truncated to this many tokens."))
    train_length: int = field(
        default=0,
        metadata=_help(
            "Texts are truncated to this many tokens in training, its evaluations and the linear "
            "probe; 0: to --max-length. To read more at use than in training is cheap and helps "
            "with long plots."
        ),
    )
    class_weights: str = field(
        default="none",
        metadata=_help(
            "Weight of a genre's positives in the loss: the square root of negatives / positives, "
            "none, or balanced (that ratio itself); capped at 10.",
            CLASS_WEIGHTS,
        ),
    )
    frozen_share: float = field(
        default=0.5,
        metadata=_help(
            "Share of the layers, lowest first, that are frozen together with the embeddings, in "
            "[0, 1]; 0 trains everything."
        ),
    )
    cache_activations: str = field(
        default="auto",
        metadata=_help(
            "Compute the activations of the frozen layers once for each film and keep them in "
            "--output-dir until the run is complete, instead of computing them at every step; "
            "auto: on a CPU with room on the disk; always: refuse a disk without room.",
            CACHE_ACTIVATIONS,
        )
        | {"aliases": ["--keep-states"]},
    )
    probe_c: float | None = field(
        default=None,
        metadata=_help(
            "Inverse penalty of the linear probe (one logistic regression per genre) that the head "
            "is initialised from; cross-validated for each genre if not given; 0 initialises the "
            "head at random."
        ),
    )
    films_per_step: int = field(
        default=8,
        metadata=_help(
            "Films per optimiser step, divided over processes and accumulation steps, of which "
            "there is one unless a batch flag says otherwise: --per_device_train_batch_size is "
            "then what fits into memory. Without --films-per-step, batch flags have their stock "
            "meaning."
        ),
    )
    soup: int = field(
        default=3,
        metadata=_help(
            "Number of seed runs: trainings from one initialisation, each with another order of "
            "the films, whose weights are averaged (a model soup). 1 trains once."
        ),
    )
    dropout: float = field(
        default=0.0,
        metadata=_help("Probability of every dropout of the encoder, in [0, 1)."),
    )
    objective: str = field(
        default="f1_micro",
        metadata=_help(
            f"What the thresholds are tuned for: {', '.join(OBJECTIVES)}, or "
            f"{RECALL_AT_PRECISION}P, the most recall with a precision of at least P in (0, 1]. "
            "Thresholds for the other objectives are stored with the model as well."
        ),
    )
    never_empty: bool = field(
        default=False,
        metadata=_help("Give the most probable genre to a film that reaches no threshold."),
    )
    early_stopping_patience: int = field(
        default=2,
        metadata=_help("Stop after so many evaluations without a better mAP; 0 never stops early."),
    )
    precision: str = field(
        default="auto",
        metadata=_help(
            "Autocast: bf16, fp16 or float32; auto takes bf16 where the device computes in it, "
            "fp16 on older GPUs, float32 elsewhere. --bf16, --fp16 and accelerate's configuration "
            "say the same; contradictions are refused.",
            PRECISIONS,
        ),
    )
    image_model: str = field(
        default="",
        metadata=_help(
            "Folder or Hub id of an image encoder that reads the posters of a prepared folder "
            "(prepare_dataset.py --image-dir); a film with a poster is then decided by both."
        ),
    )
    overwrite: bool = field(
        default=False, metadata=_help("Start afresh where --output-dir holds a run.")
    )

    @property
    def tokens_in_training(self) -> int:
        """Texts are truncated to this many tokens in training."""
        return self.train_length or self.max_length

    @property
    def probes(self) -> bool:
        """Whether the head is initialised from a linear probe."""
        return self.probe_c != 0

    def caches_activations(self, device: torch.device) -> bool:
        """Whether to compute the activations of frozen layers once for each film."""
        wanted = self.cache_activations == "always" or (
            # A GPU computes them about as fast as a disk gives them.
            self.cache_activations == "auto" and device.type == "cpu"
        )
        return wanted and not weights_are_sharded()

    def check(self) -> None:
        """Raises: InputError: If a number is out of its range."""
        if self.max_length < 8:
            raise InputError(f"--max-length {self.max_length} is less than 8 tokens")
        if self.train_length and not 8 <= self.train_length <= self.max_length:
            raise InputError(
                f"--train-length {self.train_length} is neither 0 nor in 8 to {self.max_length}, "
                "which is --max-length"
            )
        if not 0 <= self.frozen_share <= 1:
            raise InputError(f"--frozen-share {self.frozen_share} is not in [0, 1]")
        if self.soup < 1:
            raise InputError(f"--soup {self.soup} is less than 1")
        if self.soup > 1 and weights_are_sharded():
            raise InputError(
                f"--soup {self.soup} averages whole weights, and FSDP or DeepSpeed shards them; "
                "give --soup 1"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"--dropout {self.dropout} is not in [0, 1)")
        if self.probe_c is not None and not 0 <= self.probe_c < float("inf"):
            raise InputError(f"--probe-c {self.probe_c} is not in [0, inf)")
        if self.early_stopping_patience < 0:
            raise InputError(
                f"--early-stopping-patience {self.early_stopping_patience} is negative"
            )
        check_objective(self.objective)


def check_objective(name: str) -> str:
    """Raises: InputError: If there is no such objective."""
    try:
        return find_objective(name).name
    except ValueError as error:
        raise InputError(f"--objective: {error}") from None


def _recipe(name: str, default: Any) -> Any:
    """A field of TrainingArguments with another default and the same help text."""
    return field(default=default, metadata=TrainingArguments.__dataclass_fields__[name].metadata)


@dataclass
class FinetuneArguments(TrainingArguments):
    """TrainingArguments whose defaults are the recipe."""

    output_dir: str | None = field(
        default="runs/demo", metadata=_help("Folder of the run: model/, metrics.json, figures/ ...")
    )
    learning_rate: float = _recipe("learning_rate", 3e-4)
    num_train_epochs: float = _recipe("num_train_epochs", 2.0)
    per_device_train_batch_size: int = _recipe("per_device_train_batch_size", 8)
    per_device_eval_batch_size: int = _recipe("per_device_eval_batch_size", 32)
    warmup_steps: float = _recipe("warmup_steps", 0.1)
    weight_decay: float = _recipe("weight_decay", 0.01)
    eval_strategy: str = _recipe("eval_strategy", "epoch")
    save_strategy: str = _recipe("save_strategy", "epoch")
    save_total_limit: int | None = _recipe("save_total_limit", 2)
    load_best_model_at_end: bool = _recipe("load_best_model_at_end", True)
    metric_for_best_model: str | None = _recipe("metric_for_best_model", "average_precision_macro")
    restore_callback_states_from_checkpoint: bool = _recipe(
        "restore_callback_states_from_checkpoint", True
    )
    logging_steps: float = _recipe("logging_steps", 25)
    seed: int = _recipe("seed", 0)
    include_num_input_tokens_seen: str = _recipe("include_num_input_tokens_seen", "non_padding")

    def __post_init__(self) -> None:
        has_accelerator = torch.cuda.is_available() or torch.backends.mps.is_available()
        self.use_cpu = self.use_cpu or not has_accelerator
        if self.disable_tqdm is None:
            self.disable_tqdm = not sys.stderr.isatty()
        super().__post_init__()


_KINDS: Any = (ProjectArguments, FinetuneArguments)


class _Parser(HfArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and not the usage of all flags before it.

        Raises:
            InputError: Always.
        """
        found = re.search(r"--(\w+)", message)
        name = found[1] if found else ""
        if name in REFUSED:
            message = f"--{name} is not taken: {REFUSED[name]}"
        elif name in OTHER_NAMES:  # and a beginning of several flags
            message = f"unknown argument --{name}; today: {OTHER_NAMES[name]}"
        raise InputError(one_line(message))


class _NotGiven:
    """Of a flag; its default cannot say so, because it may be given as well."""


def parse_finetune_args(
    argv: Sequence[str] | None,
) -> tuple[ProjectArguments, FinetuneArguments]:
    """Parse the command line of finetune.py: an optional recipe file, then flags, which win.

    Flags take dashes or underscores.

    Raises:
        InputError: If a flag or a key of the recipe is unknown, a value is out of range, a flag
            would have no effect, or two of them contradict.
    """
    arguments, recipe = list(sys.argv[1:] if argv is None else argv), recipe_file(argv)
    if recipe is not None:
        arguments = read_recipe(recipe, known_flags()) + arguments[1:]
    given = _given_flags(arguments)
    _check_trainer_arguments(given)
    processes = started_processes()
    default = ProjectArguments.films_per_step
    given.update(divide_step(given, processes, default=default))
    project = ProjectArguments(**_values(ProjectArguments, given))
    project.check()
    trainer = Namespace(**_defaults(FinetuneArguments) | _values(FinetuneArguments, given))
    check_sharding()
    check_devices(processes, use_cpu=trainer.use_cpu)
    project.precision = decide_precision(given)
    trainer.bf16, trainer.fp16 = (project.precision == half for half in ("bf16", "fp16"))
    try:
        args = FinetuneArguments(**vars(trainer))
    except (ValueError, TypeError, RuntimeError, ImportError, LookupError, OSError) as error:
        raise InputError(one_line(error)) from None
    check_world(args, processes)
    return project, args


def _given_flags(arguments: Sequence[str]) -> dict[str, Any]:
    """The flags of a command line by their names, those left out that say what happens anyway."""
    parser = _Parser(_KINDS, description="Fine-tune an encoder; see README.md.")
    add_taken_before(parser)
    nothing = Namespace(**dict.fromkeys([*known_flags(), *TAKEN_BEFORE], _NotGiven))
    namespace, unknown = parser.parse_known_args(arguments, nothing)
    if unknown:
        raise InputError(
            f"unknown argument(s): {' '.join(unknown)}{hint(unknown[0], known_flags())}"
        )
    given = {name: v for name, v in vars(namespace).items() if v is not _NotGiven}
    check_stock_flags(given, _defaults(FinetuneArguments))
    return {name: v for name, v in given.items() if name not in TAKEN | TAKEN_BEFORE}


def _check_trainer_arguments(given: Mapping[str, Any]) -> None:
    """Raises: InputError: If arguments of the Trainer contradict each other."""
    merged = Namespace(**{**_defaults(FinetuneArguments), **given})
    if merged.push_to_hub != (merged.hub_model_id is not None):
        raise InputError("--push_to_hub and --hub_model_id you/name go together")
    if (
        merged.load_best_model_at_end
        and merged.eval_strategy == merged.save_strategy == "steps"
        and (merged.eval_steps or merged.logging_steps) != merged.save_steps
    ):
        raise InputError(
            "--load_best_model_at_end needs a checkpoint of each evaluation: give --eval_steps "
            f"and --save_steps the same value, or --save_strategy best (they are "
            f"{merged.eval_steps or merged.logging_steps} and {merged.save_steps})"
        )


def known_flags() -> list[str]:
    """The names of all flags of a run."""
    return [f.name for kind in _KINDS for f in dataclasses.fields(kind) if f.init]


def films_per_step(args: TrainingArguments) -> int:
    """Films per optimiser step, over all processes and accumulation steps."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def _values(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: given[f.name] for f in dataclasses.fields(kind) if f.init and f.name in given}


def _defaults(kind: Any) -> dict[str, Any]:
    fields = (f for f in dataclasses.fields(kind) if f.init)
    return {
        f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields
    }
