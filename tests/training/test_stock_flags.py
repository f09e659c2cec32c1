"""Every flag of the stock Trainer works, says what happens anyway, or is refused in one line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers
from test_finetune import read_json
from transformers import TrainingArguments

import finetune
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.training.arguments import parse_finetune_args
from movie_genres.training.stock_flags import OTHER_NAMES

Arguments = Callable[..., list[str]]

REFUSED = {
    "accelerator_config": ['{"split_batches": true}'],
    "auto_find_batch_size": [],
    "batch_eval_metrics": [],
    "bf16_full_eval": [],
    "data_seed": ["3"],
    "dataloader_drop_last": [],
    "dataloader_in_order": ["False"],
    "debug": ["underflow_overflow"],
    "deepspeed": ["zero.json"],
    "eval_do_concat_batches": ["False"],
    "eval_use_gather_object": [],
    "fp16_full_eval": [],
    "fsdp": ["full_shard"],
    "fsdp_config": ["fsdp.json"],
    "hub_always_push": [],
    "hub_revision": ["v1"],
    "hub_strategy": ["end"],
    "ignore_data_skip": [],
    "include_for_metrics": ["inputs"],
    "include_num_input_tokens_seen": ["no"],
    "label_names": ["genres"],
    "label_smoothing_factor": ["0.1"],
    "length_column_name": ["tokens"],
    "liger_kernel_config": ['{"rope": true}'],
    "neftune_noise_alpha": ["5"],
    "optim_target_modules": ["all-linear"],
    "parallelism_config": ["x"],
    "prediction_loss_only": [],
    "restore_callback_states_from_checkpoint": ["False"],
    "resume_from_checkpoint": ["checkpoint-1"],
    "save_on_each_node": [],
    "save_only_model": [],
    "use_cache": [],
    "use_liger_kernel": [],
}
TAKEN = {
    "do_eval": [[], ["True"]],
    "do_predict": [[]],
    "do_train": [[]],
    "enable_jit_checkpoint": [[]],
    "local_rank": [["0"]],
    "logging_nan_inf_filter": [["False"]],
    "remove_unused_columns": [["False"]],
    "train_sampling_strategy": [["group_by_length"], ["random"]],
}
OLD_BUT_TAKEN = {
    "group_by_length": [[], ["True"]],
    "include_tokens_per_second": [[]],
    "save_safetensors": [[], ["True"]],
    "use_fast_tokenizer": [[]],
}
RUNS = [
    {
        "max_steps": ["6"],
        "lr_scheduler_type": ["cosine_with_min_lr"],
        "lr_scheduler_kwargs": ['{"min_lr": 1e-5}'],
        "optim": ["adamw_torch"],
        "adam_beta1": ["0.8"],
        "adam_beta2": ["0.99"],
        "adam_epsilon": ["1e-7"],
        "weight_decay": ["0.1"],
        "max_grad_norm": ["0.5"],
        "warmup_steps": ["2"],
        "eval_strategy": ["steps"],
        "eval_steps": ["3"],
        "save_strategy": ["steps"],
        "save_steps": ["3"],
        "save_total_limit": ["1"],
        "eval_on_start": [],
        "eval_accumulation_steps": ["1"],
        "per_device_eval_batch_size": ["5"],
        "logging_first_step": [],
        "logging_strategy": ["steps"],
        "logging_steps": ["2"],
        "log_level": ["info"],
        "log_level_replica": ["error"],
        "log_on_each_node": ["False"],
        "disable_tqdm": ["True"],
        "run_name": ["mine"],
        "report_to": ["tensorboard"],
        "project": ["films"],
        "dataloader_num_workers": ["1"],
        "dataloader_persistent_workers": [],
        "dataloader_prefetch_factor": ["2"],
        "dataloader_multiprocessing_context": ["fork"],
        "dataloader_pin_memory": ["False"],
        "torch_empty_cache_steps": ["2"],
        "skip_memory_metrics": ["False"],
        "metric_for_best_model": ["f1_macro"],
        "greater_is_better": ["True"],
        "per_device_train_batch_size": ["8"],
        "gradient_accumulation_steps": ["2"],
        "average_tokens_across_devices": ["True"],
        "use_cpu": [],
        "seed": ["3"],
    },
    {
        "num_train_epochs": ["1"],
        "optim": ["sgd"],
        "optim_args": ["momentum=0.9"],
        "learning_rate": ["1e-2"],
        "lr_scheduler_type": ["reduce_lr_on_plateau"],
        "activation_checkpointing": [],
        "activation_checkpointing_kwargs": ['{"use_reentrant": false}'],
        "full_determinism": [],
        "load_best_model_at_end": ["False"],
        "eval_strategy": ["epoch"],
        "save_strategy": ["no"],
        "eval_delay": ["0.5"],
        "ddp_find_unused_parameters": ["False"],
        "ddp_bucket_cap_mb": ["10"],
        "ddp_broadcast_buffers": ["False"],
        "ddp_static_graph": ["False"],
        "ddp_timeout": ["600"],
    },
    {
        "num_train_epochs": ["1"],
        "bf16": [],
        "gradient_checkpointing": [],
        "gradient_checkpointing_kwargs": ['{"use_reentrant": false}'],
        "save_strategy": ["best"],
    },
]
ELSEWHERE = {
    "output_dir", "push_to_hub", "hub_model_id", "hub_token", "hub_private_repo",  # test_publish.py
    "fp16", "tf32", "ddp_backend",  # a GPU's
    "torch_compile", "torch_compile_backend", "torch_compile_mode",  # takes a minute on a CPU
    "trackio_bucket_id", "trackio_space_id", "trackio_static_space_id",  # below
}  # fmt: skip


def test_no_argument_of_the_trainer_is_left_out() -> None:
    names = {f.name for f in dataclasses.fields(TrainingArguments) if f.init}
    work = {name for run in RUNS for name in run} | ELSEWHERE
    assert names == work | {*REFUSED} | {*TAKEN}
    assert not work & ({*REFUSED} | {*TAKEN})


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_effect_is_refused(
    tiny_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments = tiny_arguments(tmp_path / "run", f"--{name}", *REFUSED[name])
    assert exit_code(lambda: finetune.main(arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --{name} ")
    assert "is not taken: " in line
    assert not (tmp_path / "run").exists()


def test_a_refused_flag_may_be_given_the_value_that_it_has() -> None:
    assert parse_finetune_args(["--save_only_model", "False"]) == parse_finetune_args([])


@pytest.mark.parametrize("name", TAKEN | OLD_BUT_TAKEN)
def test_what_happens_anyway_may_be_said(tmp_path: Path, name: str) -> None:
    for value in (TAKEN | OLD_BUT_TAKEN)[name]:
        assert parse_finetune_args([f"--{name}", *value]) == parse_finetune_args([])
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(f"{name}: {value[0] if value else 'true'}\n")
        assert parse_finetune_args([str(recipe)]) == parse_finetune_args([])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--do_train", "False"], "--do_train False is not taken: every run trains"),
        (["--group-by-length", "False"], "group_by_length False is not taken: batches hold films"),
        (["--save_safetensors", "False"], "weights are saved as safetensors"),
        (["--train_sampling_strategy", "sequential"], "in a random order"),
        (["--learning_rate", "fast"], "learning_rate.*invalid float value: 'fast'"),
        (["--lr_scheduler_type", "cubic"], "'cubic'"),
        (["--eval_steps", "5"], "--eval_steps has no effect without --eval_strategy steps"),
        (["--save_steps", "5"], "--save_steps has no effect without --save_strategy steps"),
        (["--dataloader_prefetch_factor", "2"], "has no effect without --dataloader_num_workers"),
        (["--dataloader_persistent_workers"], "has no effect without --dataloader_num_workers"),
        (["--dataloader_num_workers", "-1"], "--dataloader_num_workers -1 is not in"),
        (["--hub_token", "x"], "--hub_token has no effect without --push_to_hub"),
        (["--trackio_space_id", "a/b"], "has no effect without --report_to trackio"),
        (["--max_steps", "0"], "--max_steps 0 is less than 1"),
        (["--num_train_epochs", "0"], "--num_train_epochs 0.0 is not in"),
        (["--max_grad_norm", "nan"], "--max_grad_norm nan is not in"),
        (["--warmup_steps", "-1"], "--warmup_steps -1.0 is not in"),
        (["--load_best_model_at_end", "True", "--eval_strategy", "steps", "--eval_steps", "4",
          "--save_strategy", "steps", "--save_steps", "8"], "a checkpoint of each evaluation"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_named(flags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_finetune_args(flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--optim", "adamw_8bit"], "--optim adamw_.*bit.*bitsandbytes"),
        (["--optim", "sgd", "--optim_args", "moment=1"], "moment=1 has no effect with --optim sgd"),
        (["--optim_args", "momentum=1"], "momentum=1 has no effect with --optim adamw_torch_fused"),
        (["--optim", "sgd", "--optim_args", "momentum=-1"], "Invalid momentum"),
        (["--adam_beta1", "2"], "beta"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], "min_lr"),
        (["--lr_scheduler_kwargs", '{"a": 1}'], "unexpected keyword argument 'a'"),
        (["--report_to", "blackboard"], "--report_to 'blackboard' is not one of: all, none"),
        (["--report_to", "clearml"], "--report_to clearml needs its package"),
        (["--gradient_checkpointing_kwargs", '{"use_reentrant": false}'], "has no effect without"),
        (["--gradient_checkpointing", "--gradient_checkpointing_kwargs", '{"x": 1}'], "'x' is not"),
        (["--torch_compile_mode", "fastest"], "'fastest' is not one of: default"),
    ],
)  # fmt: skip
def test_what_the_trainer_would_find_after_the_probe_is_found_at_the_start(
    tiny_arguments: Arguments, tmp_path: Path, flags: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        finetune.main(tiny_arguments(tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_flags_of_other_versions_are_answered_with_todays(tmp_path: Path, name: str) -> None:
    (tmp_path / "recipe.yaml").write_text(f"{name}: x\n")
    for arguments in ([f"--{name}", "x"], [f"--{name}=x"], [str(tmp_path / "recipe.yaml")]):
        with pytest.raises(InputError, match="; today: ") as refusal:
            parse_finetune_args(arguments)
        assert name in str(refusal.value)
        assert OTHER_NAMES[name] in str(refusal.value)


@pytest.fixture
def settings_of_the_process() -> Iterator[None]:
    """Those that --full_determinism and --log_level change."""
    verbosity, environment = transformers.logging.get_verbosity(), dict(os.environ)
    yield
    torch.use_deterministic_algorithms(False)
    transformers.logging.set_verbosity(verbosity)
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.usefixtures("settings_of_the_process")
@pytest.mark.parametrize("run", RUNS, ids=["steps", "epochs", "bf16"])
def test_all_others_work(tiny_arguments: Arguments, tmp_path: Path, run: dict[str, list]) -> None:
    folder = tmp_path / "run"
    flags = [word for name, value in run.items() for word in (f"--{name}", *value)]
    arguments = tiny_arguments(folder, *flags)
    if "bf16" in run:
        del arguments[(place := arguments.index("--precision")) : place + 2]
    assert finetune.main(arguments) == 0
    given = read_json(folder / "args.json")["training"]
    for name, value in run.items():
        if name.endswith("_kwargs"):
            continue
        shown = given[name][0] if isinstance(given[name], list) else given[name]
        assert str(shown) in (value or ["True"]) or float(shown) == float(value[0]), name
