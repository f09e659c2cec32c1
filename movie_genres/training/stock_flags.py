"""Flags of the stock Trainer: what is refused, what is said already, and names of other versions.

A flag that would be accepted without effect, or would end in a traceback after the first step, is
refused at the start, with what to give instead.
"""

from __future__ import annotations

import math
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Iterable, Mapping
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


def _by_name(groups: Mapping[str, str]) -> dict[str, str]:
    """What is said of each flag, from the flags of which it is said."""
    return {name: text for text, names in groups.items() for name in names.split()}


REFUSED = _by_name({
    "films are divided into batches by --films-per-step and --per_device_train_batch_size":
        "accelerator_config",
    "--films-per-step divides the films into batches; a smaller --per_device_train_batch_size "
    "needs less memory": "auto_find_batch_size",
    "every evaluation scores all films at once":
        "batch_eval_metrics eval_do_concat_batches prediction_loss_only",
    "training and evaluation compute in one precision; give --precision":
        "bf16_full_eval fp16_full_eval",
    "the order of the films follows --seed": "data_seed",
    "every film counts": "dataloader_drop_last",
    "a resumed run reads the films in the order of a whole one":
        "dataloader_in_order ignore_data_skip",
    "its hooks cannot read an encoder; a loss that is not finite ends the run anyway": "debug",
    "the launcher configures it: accelerate config, then accelerate launch": "deepspeed",
    "what the processes gather are tensors": "eval_use_gather_object",
    "the launcher shards: accelerate launch --config_file configs/accelerate/fsdp.yaml "
    "finetune.py --soup 1": "fsdp fsdp_config",
    "what is uploaded is the finished run, once": "hub_always_push hub_revision hub_strategy",
    "the scores need logits and labels alone": "include_for_metrics",
    "the tokens per second of the card leave padding out": "include_num_input_tokens_seen",
    "the labels of a prepared dataset are called `labels`": "label_names",
    "the loss here does not smooth": "label_smoothing_factor",
    "the lengths are those of the tokenised films": "length_column_name",
    "Liger has no kernel for encoders": "liger_kernel_config use_liger_kernel",
    "the embeddings may be frozen, and what they give is cached": "neftune_noise_alpha",
    "it belongs to optimisers (GaLore, APOLLO) that are not used here": "optim_target_modules",
    "encoders are trained data-parallel or with FSDP": "parallelism_config",
    "a resumed run would forget when to stop early": "restore_callback_states_from_checkpoint",
    "the same command resumes from the last checkpoint in --output-dir by itself":
        "resume_from_checkpoint",
    "all machines share the folder of the run, and one process writes it": "save_on_each_node",
    "a run could not be resumed with its learning rate": "save_only_model",
    "an encoder generates nothing": "use_cache",
})  # fmt: skip
"""Not taken with another value than the Trainer's default (here: that of the recipe), and why."""

_ALWAYS = "every run trains, evaluates and reads the test split once"

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

OTHER_NAMES = _by_name({
    "--eval_strategy": "evaluate_during_training evaluation_strategy",
    "--films-per-step": "batch_size train_batch_size",
    "--hub_model_id": "push_to_hub_model_id",
    "--hub_token": "push_to_hub_token",
    "--learning_rate": "lr",
    "--max-length": "max_seq_length",
    "--model-name-or-path, a folder with both": "tokenizer_name",
    "--num_train_epochs": "epochs",
    "--optim adafactor": "adafactor",
    "--overwrite": "overwrite_cache overwrite_output_dir",
    "--per_device_eval_batch_size": "eval_batch_size per_gpu_eval_batch_size",
    "--per_device_train_batch_size": "per_gpu_train_batch_size",
    "--precision": "fp16_backend fp16_opt_level half_precision_backend mixed_precision",
    "--torch_compile": "torchdynamo",
    "--use_cpu": "no_cuda",
    "--warmup_steps, a share of all steps below 1": "warmup_ratio",
    "prepare_dataset.py --genre-column, then --dataset-dir": "label_column_name",
    "prepare_dataset.py --source, then --dataset-dir":
        "dataset_name test_file train_file validation_file",
    "prepare_dataset.py --text-column, then --dataset-dir": "text_column_names",
    "prepare_dataset.py, which makes the splits, then --dataset-dir":
        "max_eval_samples max_predict_samples max_train_samples",
    "the environment variable HF_HOME": "cache_dir",
    "the environment variable HF_TOKEN": "use_auth_token",
    "nothing: a batch is padded to its longest text": "pad_to_max_length",
    "nothing: code from the Hub is never run": "trust_remote_code",
    "nothing: logs lie in --output-dir/logs": "logging_dir",
    "nothing: the device is found": "use_mps_device",
    "nothing: the scores need logits and labels alone": "include_inputs_for_metrics",
})  # fmt: skip
"""Flags of other versions and of the official examples: what to give today."""

_ONLY_WITH = {
    "dataloader_multiprocessing_context": ("dataloader_num_workers", 1),
    "dataloader_persistent_workers": ("dataloader_num_workers", 1),
    "dataloader_prefetch_factor": ("dataloader_num_workers", 1),
    "hub_private_repo": ("push_to_hub", True),
    "hub_token": ("push_to_hub", True),
}
"""Without effect, or a traceback, unless the other flag is at least that."""

_RANGES: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("is less than 1", lambda value: value >= 1,
     "dataloader_prefetch_factor ddp_timeout eval_accumulation_steps gradient_accumulation_steps "
     "per_device_eval_batch_size per_device_train_batch_size"),
    ("is less than 1", lambda value: value >= 1 or value == -1, "max_steps"),
    ("is not in [0, inf)", lambda value: 0 <= value < math.inf,
     "dataloader_num_workers eval_delay learning_rate max_grad_norm save_total_limit warmup_steps "
     "weight_decay"),
    ("is not in (0, inf)", lambda value: 0 < value < math.inf,
     "eval_steps logging_steps num_train_epochs save_steps"),
    ("is not in [0, 2**32)", lambda value: 0 <= value < 2**32, "seed"),
)  # fmt: skip
"""What is said of a number that does not fit, what fits, and the flags."""

_CHECKPOINTING = ("debug", "determinism_check", "early_stop", "preserve_rng_state", "use_reentrant")


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
    for message, fits, names in _RANGES:
        for name in names.split():
            if given.get(name) is not None and not fits(given[name]):
                raise InputError(f"--{name} {given[name]} {message}")
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
