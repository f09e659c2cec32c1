"""The folder of a run: its arguments, whether it is complete, and what is kept for resuming."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from safetensors import safe_open
from safetensors.numpy import save_file

from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.locks import locked
from movie_genres.model.encoder import EncoderName
from movie_genres.model.head import LinearHead
from movie_genres.preparation.loading import Prepared
from movie_genres.training.arguments import FinetuneArguments, ProjectArguments
from movie_genres.training.averaging import SeedRunFolder
from movie_genres.training.checkpoints import MANIFEST, kept_folder

_COMPUTING = ("torch", "transformers", "accelerate", "scikit-learn")
"""Packages that the numbers come from."""
_OTHERS = ("datasets", "huggingface-hub")

FORMAT = 5
"""Version of the folder's layout; another one is not read."""

_RECORD = "args.json"
_LOCK = "lock"
_HEAD = "head.safetensors"
_OUTPUTS = (
    "README.md", "mistakes.md", "predictions.parquet", "poster_predictions.parquet", "model",
    "figures", "evaluations", "logs", "checkpoints",
)  # fmt: skip

# Arguments that change what is printed, how fast, or in how much memory, not the result.
_NOT_COMPARED = {
    "activation_checkpointing",
    "activation_checkpointing_kwargs",
    "cache_activations",
    "dataloader_multiprocessing_context",
    "dataloader_num_workers",
    "dataloader_persistent_workers",
    "dataloader_pin_memory",
    "dataloader_prefetch_factor",
    "dataset_dir",  # its content is compared
    "ddp_broadcast_buffers",
    "ddp_bucket_cap_mb",
    "ddp_timeout",
    "disable_tqdm",
    "eval_accumulation_steps",
    "gradient_accumulation_steps",  # --films-per-step is compared
    "gradient_checkpointing",
    "gradient_checkpointing_kwargs",
    "local_rank",
    "log_level",
    "log_level_replica",
    "log_on_each_node",
    "logging_first_step",
    "logging_steps",
    "logging_strategy",
    "output_dir",
    "overwrite",
    "per_device_eval_batch_size",
    "per_device_train_batch_size",
    "project",
    "report_to",
    "run_name",
    "save_total_limit",
    "skip_memory_metrics",
    "torch_compile",
    "torch_compile_backend",
    "torch_compile_mode",
    "torch_empty_cache_steps",
    "trackio_bucket_id",
    "trackio_space_id",
    "trackio_static_space_id",
}

_NOT_COMPARED_ONCE_TRAINED = {
    "bf16", "fp16", "precision", "tf32", "torch_compile", "torch_compile_backend",
    "torch_compile_mode", "use_cpu",
}  # fmt: skip
"""Where and how it was trained: it may be judged elsewhere."""


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>/`; README.md lists its files."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def probe(self) -> Path:
        return self.checkpoints / "probe"

    @property
    def cached_activations(self) -> Path:
        return self.checkpoints / "cached_activations"

    def weights(self, number: int) -> SeedRunFolder:
        """Where the weights of a seed run are kept; they are numbered from 1."""
        return SeedRunFolder(self.checkpoints / f"weights-{number}")

    def seed_run(self, number: int) -> Path:
        """Where the checkpoints of a seed run are kept, if there are several seed runs."""
        return self.checkpoints / f"seed-run-{number}"

    def is_trained(self, count: int) -> bool:
        """Whether the weights of so many seed runs are written, so that judging is left."""
        return all((self.weights(n + 1).path / MANIFEST).is_file() for n in range(count))

    def remove_cache(self) -> None:
        """Remove what only an unfinished run needs, and is large."""
        shutil.rmtree(self.cached_activations, ignore_errors=True)

    def metrics(self) -> dict[str, Any] | None:
        """The content of metrics.json, which is written last; None if the run is not complete.

        Raises:
            InputError: If it cannot be read.
        """
        path = self.path / "metrics.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except ValueError:
            raise InputError(
                f"{path} is damaged; remove it, and the same command writes it again from the "
                "files beside it"
            ) from None

    def check(self, record: Mapping[str, Any], *, overwrite: bool) -> None:
        """See whether the run can start or be resumed in this folder; changes nothing.

        Args:
            record: What `run_record` gives.
            overwrite: Whether an earlier run is to be replaced.

        Raises:
            InputError: If the path is no folder, holds something else, or a run of other arguments
                or data, or an unfinished one of another number of processes or other versions
                (unless it is to be replaced).
        """
        if not self.path.exists():
            return
        # The record is the first file of a run; one killed just then has a part of it at most.
        early = {_LOCK, f"{_RECORD}.new"}
        if self.path.is_dir() and {p.name for p in self.path.iterdir()} <= early:
            return
        try:
            old = json.loads((self.path / _RECORD).read_text(encoding="utf-8"))
            if old.get("format") != FORMAT and not overwrite:
                raise InputError(
                    f"{self.path} holds a run of another version of this project. Give "
                    "--overwrite to start afresh, or another --output-dir"
                )
            trained = self.is_trained(old["project"]["soup"])
            different = _differences(
                old, record, _NOT_COMPARED | (_NOT_COMPARED_ONCE_TRAINED if trained else set())
            )
            if not (self.path / "metrics.json").is_file():
                different += _other_circumstances(old, record, trained=trained)
        except InputError:
            raise
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            raise InputError(
                f"--output-dir {self.path} holds something else than a run; name another folder"
            ) from None
        if different and not overwrite:
            raise InputError(
                f"{self.path} holds a run of other {'; '.join(different)}. "
                "Give --overwrite to start afresh, or another --output-dir"
            )

    @contextmanager
    def held(self, process: PartialState, seconds: float = 30.0) -> Iterator[None]:
        """Make the folder and keep other commands out of it; all processes of the run call this.

        The first process holds the lock, and writes a word into it that the others must find.

        Args:
            process: This one, among those of the run.
            seconds: How long a network file system may take to show the file to all.

        Raises:
            InputError: In all processes, if another command is training in the folder, or if it is
                not the same folder for all processes.
        """
        word, refusal, path = uuid.uuid4().hex, None, self.path / _LOCK
        with ExitStack() as stack:
            if process.is_main_process:
                self.path.mkdir(parents=True, exist_ok=True)
                busy = (
                    f"another command is training in {self.path}; wait for it, stop it, or name "
                    "another --output-dir"
                )
                try:
                    stack.enter_context(locked(path, busy))
                    path.write_text(word)
                except InputError as error:
                    refusal = error
            word, refusal = broadcast_object_list([word, refusal])
            if refusal is not None:
                raise refusal
            if not all(gather_object([_appears(word, path, seconds)])):
                raise InputError(
                    f"--output-dir {self.path} is not the same folder on all machines; name one on "
                    "a file system that they share"
                )
            yield

    def start(self, record: Mapping[str, Any], *, overwrite: bool) -> None:
        """Make the folder, or empty it of an earlier run, and write args.json.

        In an order that leaves, wherever it is interrupted, a folder that `check` accepts.
        """
        if overwrite:
            # metrics.json first: without it the folder is not taken for a complete run.
            for name in ("metrics.json", *_OUTPUTS):
                path = self.path / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.is_trained(record["project"]["soup"]):  # else it says how that was done
            write_json(self.path / _RECORD, record)
        self.checkpoints.mkdir(exist_ok=True)

    def save_probe(self, head: LinearHead, seconds: float) -> None:
        """Keep the linear probe: for resuming, and as a baseline."""
        tensors = {"weight": head.weight, "bias": head.bias, "seconds": np.array([seconds])}
        with kept_folder(self.probe) as new:
            save_file(tensors, str(new / _HEAD))

    def load_probe(self) -> tuple[LinearHead, float]:
        """The linear probe, and the seconds from the beginning of the run until it was fitted."""
        with safe_open(str(self.probe / _HEAD), framework="numpy") as file:
            head = LinearHead(file.get_tensor("weight"), file.get_tensor("bias"))
            return head, float(file.get_tensor("seconds")[0])


def _appears(word: str, path: Path, seconds: float) -> bool:
    """Whether a file holds the word before the time is over."""
    end = time.monotonic() + seconds
    while True:
        # To list the folder makes a network file system look again.
        folder = path.parent
        if folder.is_dir() and path in folder.iterdir() and path.read_text() == word:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.2)


def run_record(
    project: ProjectArguments,
    args: FinetuneArguments,
    prepared: Prepared,
    encoder: EncoderName,
) -> dict[str, Any]:
    """Every argument of the run, and what else its result depends on: the content of args.json."""
    training = {k: v for k, v in args.to_dict().items() if not k.endswith("_token")}
    ours, encoders = asdict(project), {"encoder": encoder.fingerprint()}
    if project.image_model:
        encoders["image_encoder"] = EncoderName(project.image_model, None, None).fingerprint()
    else:  # the record of a run without posters does not name them
        del ours["image_model"]
    return {
        "format": FORMAT,
        "project": ours,
        "training": json.loads(json.dumps(training, default=str)),
        "dataset": {"fingerprint": prepared.fingerprint, "labels": prepared.labels},
        **encoders,
        "processes": args.world_size,
        "versions": {name: version(name) for name in (*_COMPUTING, *_OTHERS)},
    }


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], not_compared: set[str]
) -> list[str]:
    found = []
    for section, kind in (("project", ProjectArguments), ("training", FinetuneArguments)):
        # A flag that is newer than the run: the run had its default.
        defaults = {field.name: field.default for field in fields(kind)}
        if section == "project":
            defaults["films_per_step"] = _films_per_step(old)
        recorded = [*new[section], *(name for name in defaults if name in old[section])]
        for name in dict.fromkeys(recorded):
            before, now = (record[section].get(name, defaults.get(name)) for record in (old, new))
            if name not in not_compared and before != now:
                found.append(f"--{name.replace('_', '-')} ({before} in that run, {now} given)")
    if old["dataset"]["labels"] != new["dataset"]["labels"]:
        found.append("genres (another label list)")
    elif old["dataset"]["fingerprint"] != new["dataset"]["fingerprint"]:
        found.append("data (the prepared dataset has changed)")
    for name in ("encoder", "image_encoder"):
        if name in old and name in new and old[name] != new[name]:
            found.append(f"weights (the {name.replace('_', ' ')}'s files have changed)")
    return found


def _films_per_step(record: Mapping[str, Any]) -> int:
    """Of a run that is older than the flag."""
    batch, accumulation = (
        record["training"][name]
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    return int(batch * accumulation * record["processes"])


def _other_circumstances(
    old: Mapping[str, Any], new: Mapping[str, Any], *, trained: bool
) -> list[str]:
    """What an unfinished run cannot be resumed with: the result would be neither run's."""
    found = []
    if not trained and old["processes"] != new["processes"]:
        found.append(
            f"number of processes ({old['processes']} in that run, {new['processes']} now)"
        )
    for name in _COMPUTING:
        before, now = old["versions"][name], new["versions"][name]
        if before != now:
            found.append(f"version of {name} ({before} in that run, {now} installed)")
    return found
