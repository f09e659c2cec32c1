"""The folder of a run: its arguments, whether it is complete, and what is kept for resuming."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.model.encoder import EncoderName
from movie_genres.model.head import LinearHead
from movie_genres.preparation.loading import Prepared
from movie_genres.training.arguments import FinetuneArguments, ProjectArguments
from movie_genres.training.averaging import SeedRunFolder
from movie_genres.training.checkpoints import kept_folder

_COMPUTING = ("torch", "transformers", "accelerate", "scikit-learn")
"""Packages that the numbers come from."""
_OTHERS = ("datasets", "huggingface-hub")

FORMAT = 5
"""Version of the folder's layout; another one is not read."""

_RECORD = "args.json"
_HEAD = "head.safetensors"
_OUTPUTS = (
    "README.md", "mistakes.md", "predictions.parquet", "model", "figures", "evaluations",
    "checkpoints",
)  # fmt: skip

# Arguments that change what is printed or where it runs, not the result.
_NOT_COMPARED = {
    "dataset_dir",  # its content is compared
    "disable_tqdm",
    "local_rank",
    "log_level",
    "logging_first_step",
    "logging_steps",
    "logging_strategy",
    "output_dir",
    "overwrite",
    "report_to",
    "run_name",
}


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
        if self.path.is_dir() and {p.name for p in self.path.iterdir()} <= {f"{_RECORD}.new"}:
            return
        try:
            old = json.loads((self.path / _RECORD).read_text(encoding="utf-8"))
            if old.get("format") != FORMAT and not overwrite:
                raise InputError(
                    f"{self.path} holds a run of another version of this project. Give "
                    "--overwrite to start afresh, or another --output-dir"
                )
            different = _differences(old, record)
            if not (self.path / "metrics.json").is_file():
                different += _other_circumstances(old, record)
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


def run_record(
    project: ProjectArguments,
    args: FinetuneArguments,
    prepared: Prepared,
    encoder: EncoderName,
) -> dict[str, Any]:
    """Every argument of the run, and what else its result depends on: the content of args.json."""
    training = {k: v for k, v in args.to_dict().items() if not k.endswith("_token")}
    return {
        "format": FORMAT,
        "project": asdict(project),
        "training": json.loads(json.dumps(training, default=str)),
        "dataset": {"fingerprint": prepared.fingerprint, "labels": prepared.labels},
        "encoder": encoder.fingerprint(),
        "processes": args.world_size,
        "versions": {name: version(name) for name in (*_COMPUTING, *_OTHERS)},
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    for section, kind in (("project", ProjectArguments), ("training", FinetuneArguments)):
        # A flag that is newer than the run: the run had its default.
        defaults = {field.name: field.default for field in fields(kind)}
        for name in new[section]:
            before, now = old[section].get(name, defaults.get(name)), new[section][name]
            if name not in _NOT_COMPARED and before != now:
                found.append(f"--{name.replace('_', '-')} ({before} in that run, {now} given)")
    if old["dataset"]["labels"] != new["dataset"]["labels"]:
        found.append("genres (another label list)")
    elif old["dataset"]["fingerprint"] != new["dataset"]["fingerprint"]:
        found.append("data (the prepared dataset has changed)")
    if old["encoder"] != new["encoder"]:
        found.append("weights (the encoder's files have changed)")
    return found


def _other_circumstances(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What an unfinished run cannot be resumed with: the result would be neither run's."""
    found = []
    if old["processes"] != new["processes"]:
        found.append(
            f"number of processes ({old['processes']} in that run, {new['processes']} now)"
        )
    for name in _COMPUTING:
        before, now = old["versions"][name], new["versions"][name]
        if before != now:
            found.append(f"version of {name} ({before} in that run, {now} installed)")
    return found
