"""Arguments of finetune.py: flags, and recipe files of the same names.

The defaults are the recipe of configs/recipes/minilm_cpu.yaml; docs/recipe.md says why.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments

from movie_genres.decisions.thresholds import OBJECTIVES, RECALL_AT_PRECISION, find_objective
from movie_genres.errors import InputError, one_line
from movie_genres.model.devices import PRECISIONS, choose_precision, weights_are_sharded
from movie_genres.model.encoder import DEFAULT_ENCODER
from movie_genres.training.losses import CLASS_WEIGHTS

CACHE_ACTIVATIONS = ("auto", "always", "never")
_RECIPE_SUFFIXES = (".yaml", ".yml", ".json")


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
            "auto: on a CPU.",
            CACHE_ACTIVATIONS,
        )
        | {"aliases": ["--keep-states"]},
    )
    probe_c: float = field(
        default=0.3,
        metadata=_help(
            "Inverse penalty of the linear probe (one logistic regression per genre) that the head "
            "is initialised from; 0 initialises it at random."
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
            "fp16 on older GPUs, float32 elsewhere.",
            PRECISIONS,
        ),
    )
    overwrite: bool = field(
        default=False, metadata=_help("Start afresh where --output-dir holds a run.")
    )

    @property
    def tokens_in_training(self) -> int:
        """Texts are truncated to this many tokens in training."""
        return self.train_length or self.max_length

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
        if not 0 <= self.probe_c < float("inf"):
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


_SEE_HELP = "; see finetune.py --help"
_KINDS: Any = (ProjectArguments, FinetuneArguments)


def parse_finetune_args(
    argv: Sequence[str] | None,
) -> tuple[ProjectArguments, FinetuneArguments]:
    """Parse the command line of finetune.py: an optional recipe file, then flags, which win.

    Flags take dashes or underscores.

    Raises:
        InputError: If a flag or a key of the recipe is unknown, a value is out of range, or two of
            them contradict.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0].endswith(_RECIPE_SUFFIXES):
        arguments = read_recipe(Path(arguments[0])) + arguments[1:]
    parser = HfArgumentParser(_KINDS, description="Fine-tune an encoder; see README.md.")
    namespace, unknown = parser.parse_known_args(arguments)
    if unknown:
        nearest = _nearest(unknown[0].lstrip("-").split("=")[0])
        hint = f"; did you mean --{nearest.replace('_', '-')}?" if nearest else ""
        raise InputError(f"unknown argument(s): {' '.join(unknown)}{hint or _SEE_HELP}")
    if namespace.push_to_hub != (namespace.hub_model_id is not None):
        raise InputError("--push_to_hub and --hub_model_id you/name go together")
    for name in ("hub_strategy", "hub_always_push", "hub_revision"):
        if getattr(namespace, name) != TrainingArguments.__dataclass_fields__[name].default:
            raise InputError(f"--{name} is not taken: what is uploaded is the finished run, once")
    if namespace.resume_from_checkpoint:
        raise InputError(
            "--resume_from_checkpoint is not taken: the same command resumes from the last "
            "checkpoint in --output-dir by itself"
        )
    if namespace.label_smoothing_factor:
        raise InputError("--label_smoothing_factor is not taken: the loss here does not smooth")
    if namespace.dataloader_drop_last:
        # The Trainer would drop films of validation and of the probe as well.
        raise InputError("--dataloader_drop_last is not taken: every film counts")
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size",
                 "gradient_accumulation_steps"):  # fmt: skip
        if getattr(namespace, name) < 1:
            raise InputError(f"--{name} {getattr(namespace, name)} is less than 1")
    if not 0 <= namespace.learning_rate < float("inf"):
        raise InputError(f"--learning_rate {namespace.learning_rate} is not in [0, inf)")
    if not 0 <= namespace.seed < 2**32:
        raise InputError(f"--seed {namespace.seed} is not in [0, 2**32)")
    project = ProjectArguments(**_values(ProjectArguments, namespace))
    project.check()
    # Precision is a property of the device, so it is decided here and not by the user's flags,
    # unless they ask for one.
    if not (namespace.bf16 or namespace.fp16):
        on_cpu = namespace.use_cpu or not torch.cuda.is_available()
        project.precision = choose_precision(project.precision, on_cpu=on_cpu)
        namespace.bf16 = project.precision == "bf16"
        namespace.fp16 = project.precision == "fp16"
    elif project.precision != "auto":
        raise InputError("--precision and --bf16 / --fp16 say the same thing; give one of them")
    else:
        project.precision = "bf16" if namespace.bf16 else "fp16"
    try:
        return project, FinetuneArguments(**_values(FinetuneArguments, namespace))
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        raise InputError(one_line(error)) from None


def read_recipe(path: Path) -> list[str]:
    """The flags that a recipe file stands for: a mapping from their names to values.

    Raises:
        InputError: If the file cannot be read, is no such mapping, or has an unknown key.
    """
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML as well
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"the recipe {path} cannot be read: {one_line(error)}") from None
    if not isinstance(recipe, dict):
        raise InputError(f"the recipe {path} is no list of lines `flag_name: value`")
    arguments = []
    for key, value in recipe.items():
        name = str(key).replace("-", "_")
        if name not in _names():
            nearest = _nearest(name)
            hint = f"; did you mean {nearest!r}?" if nearest else _SEE_HELP
            raise InputError(f"the recipe {path} has the unknown key {key!r}{hint}")
        if value is None:
            raise InputError(f"the recipe {path} gives {key} no value; leave it out, or give one")
        values = value if isinstance(value, list) else [value]
        texts = (json.dumps(v) if isinstance(v, dict) else str(v) for v in values)
        arguments += [f"--{name}", *texts]
    return arguments


def _names() -> list[str]:
    return [f.name for kind in _KINDS for f in dataclasses.fields(kind) if f.init]


def _nearest(name: str) -> str | None:
    """The flag that was probably meant."""
    return next(iter(difflib.get_close_matches(name.replace("-", "_"), _names(), n=1)), None)


def films_per_step(args: TrainingArguments) -> int:
    """Films per optimiser step, over all processes and accumulation steps."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def _values(dataclass_type: Any, namespace: Any) -> dict[str, Any]:
    names = (f.name for f in dataclasses.fields(dataclass_type) if f.init)
    return {name: getattr(namespace, name) for name in names}
