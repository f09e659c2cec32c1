"""Flags of the stock Trainer: what is refused, what is said already, and names of other versions.

A flag that would be accepted without effect, or would end in a traceback after the first step, is
refused at the start, with what to give instead.
"""

from __future__ import annotations

import math
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.hf_argparser import string_to_bool
from transformers.integrations import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from movie_genres.errors import InputError, one_line

_BATCHES = "films are divided into batches by --films-per-step and --per_device_train_batch_size"
_LAUNCHER = (
    "the launcher shards: accelerate launch --config_file configs/accelerate/fsdp.yaml "
    "finetune.py --soup 1"
)
_PRECISION = "training and evaluation compute in one precision; give --precision"
_SCORES = "every evaluation scores all films at once"
_EVERY_NODE = "all machines share the folder of the run, and one process writes it"

REFUSED = {
    "accelerator_config": _BATCHES,
    "auto_find_batch_size": f"{_BATCHES}; a smaller one of the latter needs less memory",
    "batch_eval_metrics": _SCORES,
    "bf16_full_eval": _PRECISION,
    "data_seed": "the order of the films follows --seed",
    "dataloader_drop_last": "every film counts",
    "dataloader_in_order": "a resumed run reads the films in the order of a whole one",
    "debug": "its hooks cannot read an encoder; a loss that is not finite ends the run anyway",
    "deepspeed": "the launcher configures it: accelerate config, then accelerate launch",
    "eval_do_concat_batches": _SCORES,
    "eval_use_gather_object": "what the processes gather are tensors",
    "fp16_full_eval": _PRECISION,
    "fsdp": _LAUNCHER,
    "fsdp_config": _LAUNCHER,
    "hub_always_push": "what is uploaded is the finished run, once",
    "hub_revision": "what is uploaded is the finished run, once",
    "hub_strategy": "what is uploaded is the finished run, once",
    "ignore_data_skip": "a resumed run reads the films in the order of a whole one",
    "include_for_metrics": "the scores need logits and labels alone",
    "include_num_input_tokens_seen": "the tokens per second of the card leave padding out",
    "label_names": "the labels of a prepared dataset are called `labels`",
    "label_smoothing_factor": "the loss here does not smooth",
    "length_column_name": "the lengths are those of the tokenised films",
    "liger_kernel_config": "Liger has no kernel for encoders",
    "neftune_noise_alpha": "the embeddings may be frozen, and what they give is cached",
    "optim_target_modules": "it belongs to optimisers (GaLore, APOLLO) that are not used here",
    "parallelism_config": "encoders are trained data-parallel or with FSDP",
    "prediction_loss_only": _SCORES,
    "restore_callback_states_from_checkpoint": "a resumed run would forget when to stop early",
    "resume_from_checkpoint": (
        "the same command resumes from the last checkpoint in --output-dir by itself"
    ),
    "save_on_each_node": _EVERY_NODE,
    "save_only_model": "a run could not be resumed with its learning rate",
    "use_cache": "an encoder generates nothing",
    "use_liger_kernel": "Liger has no kernel for encoders",
}
"""Not taken with another value than the Trainer's default (here: that of the recipe), and why."""

_ALWAYS = "every run trains, evaluates and reads the test split once"
_SOURCE = "prepare_dataset.py --source, then --dataset-dir"
_SPLITS = "prepare_dataset.py, which makes the splits, then --dataset-dir"

TAKEN: dict[str, tuple[tuple[Any, ...], str]] = {
    "do_eval": ((True,), _ALWAYS),
    "do_predict": ((True,), _ALWAYS),
    "do_train": ((True,), _ALWAYS),
    "enable_jit_checkpoint": ((True, False), "a signal saves a checkpoint anyway"),
    "local_rank": (tuple(range(-1, 2**12)), "the launcher gives it in the environment"),
    "logging_nan_inf_filter": ((True, False), "a loss that is not finite ends the run"),
    "remove_unused_columns": ((True, False), "there are none"),
    "train_sampling_strategy": (
        ("random", "group_by_length"),
        "batches hold films of similar length, in a random order",
    ),
}
"""Values that say what happens anyway, and why others are refused."""

TAKEN_BEFORE: dict[str, tuple[tuple[Any, ...], str]] = {
    "group_by_length": ((True,), "batches hold films of similar length"),
    "include_tokens_per_second": ((True,), "the card says how many"),
    "save_safetensors": ((True,), "weights are saved as safetensors"),
    "use_fast_tokenizer": ((True,), "tokenizers are the fast ones"),
}
"""Likewise, flags that TrainingArguments or the official examples once had."""

OTHER_NAMES = {
    "adafactor": "--optim adafactor",
    "batch_size": "--films-per-step",
    "cache_dir": "the environment variable HF_HOME",
    "dataset_name": _SOURCE,
    "epochs": "--num_train_epochs",
    "eval_batch_size": "--per_device_eval_batch_size",
    "evaluate_during_training": "--eval_strategy",
    "evaluation_strategy": "--eval_strategy",
    "fp16_backend": "--precision",
    "fp16_opt_level": "--precision",
    "half_precision_backend": "--precision",
    "include_inputs_for_metrics": "nothing: the scores need logits and labels alone",
    "label_column_name": "prepare_dataset.py --genre-column, then --dataset-dir",
    "logging_dir": "nothing: logs lie in --output-dir/logs",
    "lr": "--learning_rate",
    "max_eval_samples": _SPLITS,
    "max_predict_samples": _SPLITS,
    "max_seq_length": "--max-length",
    "max_train_samples": _SPLITS,
    "mixed_precision": "--precision",
    "no_cuda": "--use_cpu",
    "overwrite_cache": "--overwrite",
    "overwrite_output_dir": "--overwrite",
    "pad_to_max_length": "nothing: a batch is padded to its longest text",
    "per_gpu_eval_batch_size": "--per_device_eval_batch_size",
    "per_gpu_train_batch_size": "--per_device_train_batch_size",
    "push_to_hub_model_id": "--hub_model_id",
    "push_to_hub_token": "--hub_token",
    "test_file": _SOURCE,
    "text_column_names": "prepare_dataset.py --text-column, then --dataset-dir",
    "tokenizer_name": "--model-name-or-path, a folder with both",
    "torchdynamo": "--torch_compile",
    "train_batch_size": "--films-per-step",
    "train_file": _SOURCE,
    "trust_remote_code": "nothing: code from the Hub is never run",
    "use_auth_token": "the environment variable HF_TOKEN",
    "use_mps_device": "nothing: the device is found",
    "validation_file": _SOURCE,
    "warmup_ratio": "--warmup_steps, a share of all steps below 1",
}
"""Flags of other versions and of the official examples: what to give today."""

_ONLY_WITH = {
    "dataloader_multiprocessing_context": ("dataloader_num_workers", 1),
    "dataloader_persistent_workers": ("dataloader_num_workers", 1),
    "dataloader_prefetch_factor": ("dataloader_num_workers", 1),
    "hub_private_repo": ("push_to_hub", True),
    "hub_token": ("push_to_hub", True),
}
"""Without effect, or a traceback, unless the other flag is at least that."""

_MINIMA = {
    "dataloader_num_workers": 0,
    "dataloader_prefetch_factor": 1,
    "ddp_timeout": 1,
    "eval_accumulation_steps": 1,
    "eval_delay": 0,
    "gradient_accumulation_steps": 1,
    "learning_rate": 0,
    "max_grad_norm": 0,
    "per_device_eval_batch_size": 1,
    "per_device_train_batch_size": 1,
    "save_total_limit": 0,
    "warmup_steps": 0,
    "weight_decay": 0,
}
_CHECKPOINTING = ("debug", "determinism_check", "early_stop", "preserve_rng_state", "use_reentrant")
_ABOVE_ZERO = ("eval_steps", "logging_steps", "num_train_epochs", "save_steps")


def add_taken_before(parser: ArgumentParser) -> None:
    """Let the parser know the flags of `TAKEN_BEFORE`; its help does not list them."""
    for name in TAKEN_BEFORE:
        parser.add_argument(
            f"--{name}", f"--{name.replace('_', '-')}",
            type=string_to_bool, nargs="?", const=True, help=SUPPRESS,
        )  # fmt: skip


def check_stock_flags(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """See that each flag has an effect, or says what happens anyway.

    Args:
        given: Flags that the user or a recipe gave, by name.
        defaults: Of all flags that a run takes.

    Raises:
        InputError: Otherwise, or if a number is out of its range.
    """
    for name, value in given.items():
        if name in REFUSED and value != defaults[name]:
            raise InputError(f"--{name} is not taken: {REFUSED[name]}")
        values, why = (TAKEN | TAKEN_BEFORE).get(name, ((value,), ""))
        if value not in values:
            raise InputError(f"--{name} {value} is not taken: {why}")
    _check_numbers(given)
    merged = {**defaults, **given}
    for name, (other, least) in _ONLY_WITH.items():
        if given.get(name) and merged[other] < least:
            raise InputError(f"--{name} has no effect without --{other}")
    for name in ("trackio_bucket_id", "trackio_space_id", "trackio_static_space_id"):
        if given.get(name) and "trackio" not in (given.get("report_to") or ()):
            raise InputError(f"--{name} has no effect without --report_to trackio")
    for event in ("eval", "logging", "save"):
        name, strategy = f"{event}_steps", merged[f"{event}_strategy"]
        if strategy != "steps" and given.get(name, defaults[name]) != defaults[name]:
            raise InputError(f"--{event}_steps has no effect without --{event}_strategy steps")


def _check_numbers(given: Mapping[str, Any]) -> None:
    for name, minimum in _MINIMA.items():
        value = given.get(name)
        if value is None:
            continue
        if value < minimum and minimum == 1:
            raise InputError(f"--{name} {value} is less than 1")
        if not minimum <= value < math.inf:
            raise InputError(f"--{name} {value} is not in [{minimum}, inf)")
    for name in _ABOVE_ZERO:
        if given.get(name) is not None and not 0 < given[name] < math.inf:
            raise InputError(f"--{name} {given[name]} is not in (0, inf)")
    if given.get("max_steps", -1) != -1 and given["max_steps"] < 1:
        raise InputError(f"--max_steps {given['max_steps']} is less than 1")
    if not 0 <= given.get("seed", 0) < 2**32:
        raise InputError(f"--seed {given['seed']} is not in [0, 2**32)")


def check_on_trial(args: TrainingArguments) -> None:
    """Make the optimiser, the schedule and the reports, which the Trainer does after the probe.

    Raises:
        InputError: If one of their arguments is wrong, or a package is missing.
    """
    try:
        kind, arguments = Trainer.get_optimizer_cls_and_kwargs(args)
        weight = torch.nn.Parameter(torch.zeros(1))
        optimiser = kind([{"params": [weight], "weight_decay": args.weight_decay}], **arguments)
        schedule: Any = args.lr_scheduler_kwargs or {}
        get_scheduler(args.lr_scheduler_type, optimiser, 1, 10, dict(schedule))
    except (ValueError, TypeError, RuntimeError, ImportError, LookupError, OSError) as error:
        raise InputError(
            f"--optim {_value(args.optim)}, --lr_scheduler_type {_value(args.lr_scheduler_type)} "
            f"and what belongs to them: {one_line(error)}"
        ) from None
    if args.optim_args:
        _check_optim_args(args)
    if args.torch_compile:  # to import what lists them takes seconds
        _check_choice(args, "torch_compile_backend", torch._dynamo.list_backends(exclude_tags=()))
        _check_choice(args, "torch_compile_mode", torch._inductor.list_mode_options())
    kwargs = args.activation_checkpointing_kwargs
    _check_choice(args, "activation_checkpointing_kwargs", _CHECKPOINTING)
    if kwargs and not args.activation_checkpointing:
        raise InputError(
            "--gradient_checkpointing_kwargs has no effect without --gradient_checkpointing"
        )
    for name in args.report_to or ():
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(["all", "none", *INTEGRATION_TO_CALLBACK])
            raise InputError(f"--report_to {name!r} is not one of: {known}")
        if name != "flyte" and name not in get_available_reporting_integrations():
            raise InputError(f"--report_to {name} needs its package: pip install {name}")


def _check_optim_args(args: TrainingArguments) -> None:
    """Raises: InputError: If the optimiser does not read one of them."""

    def outcome(pairs: Iterable[str]) -> str:
        try:
            trial = SimpleNamespace(**{**vars(args), "optim_args": ",".join(pairs)})
            return str(Trainer.get_optimizer_cls_and_kwargs(trial))  # type: ignore[arg-type]
        except (ValueError, TypeError, LookupError) as error:
            return str(error)

    pairs = str(args.optim_args).replace(" ", "").split(",")
    for index, pair in enumerate(pairs):
        others, name = pairs[:index] + pairs[index + 1 :], pair.partition("=")[0]
        if outcome(pairs) == outcome(others) == outcome([*others, f"{name}=other"]):
            raise InputError(f"--optim_args {pair} has no effect with --optim {_value(args.optim)}")


def _check_choice(args: TrainingArguments, name: str, known: Iterable[str]) -> None:
    value: Any = getattr(args, name)
    for one in [value] if isinstance(value, str) else value or ():
        if one not in known:
            raise InputError(f"--{name} {one!r} is not one of: {', '.join(known)}")


def _value(choice: Any) -> str:
    return str(getattr(choice, "value", choice))
