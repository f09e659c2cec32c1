"""The folder of a run: what it was asked for, whether it is complete, where it can go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from safetensors import safe_open
from safetensors.numpy import save_file

from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.model.encoder import EncoderName
from movie_genres.model.head import LinearHead
from movie_genres.preparation.loading import Prepared
from movie_genres.training.arguments import FinetuneArguments, ProjectArguments
from movie_genres.training.checkpoints import is_intact, kept_folder
from movie_genres.training.soup import MemberFolder

_COMPUTING = ("torch", "transformers", "accelerate", "scikit-learn")
"""Packages that the numbers come from."""
_OTHERS = ("datasets", "huggingface-hub")

FORMAT = 4
"""Of a run folder; another one is not read."""

_RECORD = "args.json"
_PROBABILITIES, _HEAD = "probabilities.npy", "head.safetensors"
_OUTPUTS = (
    "README.md", "mistakes.md", "predictions.parquet", "model", "figures", "evaluations",
    "checkpoints",
)  # fmt: skip

# Arguments that change what is shown or where it runs, not what comes out.
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
    def first_pass(self) -> Path:
        return self.checkpoints / "first_pass"

    def member(self, number: int) -> MemberFolder:
        """Where the result of a training stands, from 1."""
        return MemberFolder(self.checkpoints / f"trained-{number}")

    def training(self, number: int) -> Path:
        """Where the checkpoints of a training stand, from 1, if there are several."""
        return self.checkpoints / f"training-{number}"

    def clear(self) -> None:
        """Remove what only a run that is not complete needs, and is large."""
        shutil.rmtree(self.first_pass, ignore_errors=True)

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
                f"{path} is damaged; remove it, and the same command makes it again from what is "
                "beside it"
            ) from None

    def check(self, record: Mapping[str, Any], *, overwrite: bool) -> None:
        """See whether the run can start or go on here; changes nothing.

        Args:
            record: What `run_record` gives.
            overwrite: Whether a run that is there is to be replaced.

        Raises:
            InputError: If the path is no folder, holds something else, or a run of other arguments
                or data, or an unfinished one of other processes or versions (unless it is to be
                replaced).
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

        In an order that leaves, wherever it is interrupted, a folder that `check` knows again.
        """
        if overwrite:
            # metrics.json first: without it no one takes what is left for a complete run.
            for name in ("metrics.json", *_OUTPUTS):
                path = self.path / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / _RECORD, record)
        self.checkpoints.mkdir(exist_ok=True)

    def soft_labels(self, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The teacher's probabilities, made by the first process and kept for all and for later."""
        folder, process = self.checkpoints / "soft_labels", PartialState()
        intact = is_intact(folder)
        process.wait_for_everyone()
        if process.is_main_process and not intact:
            with kept_folder(folder) as new:
                np.save(new / _PROBABILITIES, make(), allow_pickle=False)
        process.wait_for_everyone()
        return np.load(folder / _PROBABILITIES, allow_pickle=False)

    def save_probe(self, head: LinearHead, seconds: float) -> None:
        """Keep the head that training starts from: for resuming, and as a baseline."""
        made = {"weight": head.weight, "bias": head.bias, "seconds": np.array([seconds])}
        with kept_folder(self.probe) as new:
            save_file(made, str(new / _HEAD))

    def load_probe(self) -> tuple[LinearHead, float]:
        """The head and the seconds that it took."""
        with safe_open(str(self.probe / _HEAD), framework="numpy") as file:
            head = LinearHead(file.get_tensor("weight"), file.get_tensor("bias"))
            return head, float(file.get_tensor("seconds")[0])


def run_record(
    project: ProjectArguments,
    args: FinetuneArguments,
    prepared: Prepared,
    encoder: EncoderName,
) -> dict[str, Any]:
    """Every argument of the run, and what else its result depends on."""
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
        # A flag that is newer than the run: it was made as if with the default.
        defaults = {field.name: field.default for field in fields(kind)}
        for name in new[section]:
            before, now = old[section].get(name, defaults.get(name)), new[section][name]
            if name not in _NOT_COMPARED and before != now:
                found.append(f"--{name.replace('_', '-')} ({before} there, {now} asked)")
    if old["dataset"]["labels"] != new["dataset"]["labels"]:
        found.append("genres (another label list)")
    elif old["dataset"]["fingerprint"] != new["dataset"]["fingerprint"]:
        found.append("data (the prepared dataset has changed)")
    if old["encoder"] != new["encoder"]:
        found.append("weights (the encoder's files have changed)")
    return found


def _other_circumstances(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What an unfinished run cannot go on with: its end would be neither run's."""
    found = []
    if old["processes"] != new["processes"]:
        found.append(f"number of processes ({old['processes']} there, {new['processes']} now)")
    for name in _COMPUTING:
        before, now = old["versions"][name], new["versions"][name]
        if before != now:
            found.append(f"version of {name} ({before} there, {now} installed)")
    return found
