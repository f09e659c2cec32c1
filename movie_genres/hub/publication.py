"""A run, a prepared dataset or the demo page -> the Hub: gate, draft, pull back, gate again, main.

A copy of the files that belong in the repository is staged. The gate checks that copy and the
upload sends it, so what was checked is what is published. The run itself is only read. The commit
goes to a branch first; `main` gets it, a tag marks it and the repository is opened after the last
check.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movie_genres.errors import InputError, PublishError
from movie_genres.evaluation.card import render_card
from movie_genres.files import file_sha256, write_json
from movie_genres.hub.gate import Location, Measured, check_card, check_dataset, check_model
from movie_genres.hub.poster_gate import check_posters
from movie_genres.hub.repository import DRAFT, Repository, belongs
from movie_genres.hub.space import SPACE_FILES, check_page, stage_space

MODEL_FILES = (
    "README.md", "metrics.json", "figures/*.png",
    "config.json", "*.safetensors", "*.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model",
    "sentence_bert_config.json", "onnx/*.onnx",
    "poster/config.json", "poster/preprocessor_config.json",
    "poster/*.safetensors", "poster/*.safetensors.index.json",
)  # fmt: skip
_SLOW_TOKENIZER_FILES = (
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",  # SentencePiece
)
"""Not read where there is a tokenizer.json, so nothing would check them beside one."""
DATASET_FILES = (
    "README.md",
    "labels.json",
    "report.json",
    "rejected.csv",
    "figures/*.png",
    "data/*.parquet",
)


@dataclass(frozen=True)
class Staged:
    """A copy of the files that are to be on the Hub, and the gate that they must pass."""

    kind: str
    """Of the repository: model, dataset or space."""
    source: str
    """What was copied, for messages."""
    repo_id: str
    parent: Path
    """The copy is in the folder `parent / repo_id`."""
    patterns: tuple[str, ...]
    """What a repository of this kind consists of."""
    not_uploaded: list[str]
    """Files of the source that do not match them."""
    gate: Callable[[Location], list[str]]
    """Returns what differs from the source, a sentence for each difference."""
    model_id: str | None = None
    """Of a space: the model that it loads from the Hub."""

    @property
    def folder(self) -> Path:
        return self.parent / self.repo_id

    @property
    def files(self) -> dict[str, Path]:
        """By their path in the repository."""
        return _files_in(self.folder)

    def check(self) -> None:
        """Raises: InputError: If the copy does not pass the gate."""
        location = Location(
            folder=self.folder,
            repo_id=self.repo_id,
            commit=None,
            working_directory=self.parent,
            environment={"HF_HUB_OFFLINE": "1"},
        )
        if found := self.gate(location):
            raise InputError(f"{self.source} is not published: {_listed(found)}")


def publish_run(
    run: Path, repo_id: str, repository: Repository | None, *, onnx: bool = False
) -> None:
    """Publish a completed run.

    Args:
        run: Folder that finetune.py wrote.
        repo_id: Its name on the Hub.
        repository: Of that name; None for a dry run, which lists and checks what would be uploaded.
        onnx: Export the model for other runtimes as well.

    Raises:
        InputError: If the run is incomplete or does not pass the gate; nothing was sent.
        PublishError: If the Hub fails, or what is pulled back from it does not pass the gate.
    """
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        _publish(stage_run(run, repo_id, Path(scratch), onnx=onnx), repository)


def publish_dataset(folder: Path, repo_id: str, repository: Repository | None) -> None:
    """Publish a folder that prepare_dataset.py wrote; otherwise as `publish_run`."""
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        _publish(stage_dataset(folder, repo_id, Path(scratch)), repository)


def publish_page(model: Path, model_id: str, repo_id: str, repository: Repository | None) -> None:
    """Publish the demo page of a model on the Hub as a Space; otherwise as `publish_run`.

    Args:
        model: Folder of the model, by which the page is checked.
        model_id: The model's name on the Hub.
    """
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        staged = Staged(
            kind="space",
            source="space/",
            repo_id=repo_id,
            parent=Path(scratch),
            patterns=SPACE_FILES,
            not_uploaded=[],
            gate=lambda location: check_page(location.folder, model, model_id),
            model_id=model_id,
        )
        stage_space(model_id, staged.folder)
        _publish(staged, repository)


def _publish(staged: Staged, repository: Repository | None) -> None:
    print_files(staged)
    print("checking the files, and what a fresh process loads from them", flush=True)
    staged.check()
    if repository is None:
        print(f"\n{(staged.folder / 'README.md').read_text(encoding='utf-8')}")
        print("dry run: nothing was sent")
        return
    repository.create()
    if staged.model_id is not None:
        repository.give_reader_token(staged.model_id)
    draft, base = repository.draft(staged.folder, staged.patterns)
    print(f"uploaded as commit {draft}; checking what is pulled back from it", flush=True)
    check_published(repository, staged, draft)
    commit = repository.merge(draft, base, staged.folder, staged.patterns)
    repository.release(commit)
    print(f"published: {repository.address(commit)}")


def print_files(staged: Staged) -> None:
    """Print what is uploaded, with sizes, and what is not."""
    sizes = {name: path.stat().st_size for name, path in staged.files.items()}
    print(f"{staged.kind} {staged.repo_id}: {len(sizes)} files, {sum(sizes.values()):,} bytes")
    for name, size in sizes.items():
        print(f"  {size:>13,}  {name}")
    for name in staged.not_uploaded:
        print(f"   not uploaded  {name}")
    if "\nlicense:" not in (staged.folder / "README.md").read_text(encoding="utf-8"):
        print("note: the card names no licence, without which others may not use the files")


def check_published(repository: Repository, staged: Staged, commit: str) -> None:
    """Pull a commit into an empty cache and compare it with what was sent and measured.

    Raises:
        PublishError: If they differ.
    """
    with tempfile.TemporaryDirectory(prefix="pulled-") as scratch:
        cache, elsewhere = Path(scratch) / "cache", Path(scratch) / "elsewhere"
        elsewhere.mkdir()
        pulled = repository.pull(commit, list(staged.files), cache)
        found = [
            f"the content of {name} differs from what was sent"
            for name, path in staged.files.items()
            if not (pulled / name).is_file() or file_sha256(pulled / name) != file_sha256(path)
        ]
        if not found:
            location = Location(
                folder=pulled,
                repo_id=staged.repo_id,
                commit=commit,
                working_directory=elsewhere,
                environment=repository.environment(cache),
            )
            found = staged.gate(location)
    if found:
        raise PublishError(
            f"{repository.address(commit)} did not pass the check: {_listed(found)}; `main` is as "
            f"it was, and the same command again replaces the branch `{DRAFT}` with this commit"
        )


def _listed(found: list[str]) -> str:
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more


def stage_run(run: Path, repo_id: str, parent: Path, *, onnx: bool = False) -> Staged:
    """Copy a completed run's model, metrics.json and figures; render its card under `repo_id`.

    Args:
        parent: Folder to copy into.
        onnx: Add files for other runtimes, and their scores to metrics.json and card.

    Raises:
        InputError: If the run is incomplete or damaged, or its README.md was edited.
    """
    for name in ("model/config.json", "metrics.json", "predictions.parquet"):
        if not (run / name).is_file():
            raise InputError(
                f"{run} is no completed run with a model: {name} is missing{_instead(run)}"
            )
    measured = Measured.of_run(run)
    edited = check_card(run) if (run / "README.md").exists() else []
    if edited:
        raise InputError(
            f"{run} is not published: {edited[0]}; remove README.md, and the card is rendered from "
            "metrics.json"
        )
    check_provenance(measured.metrics["card"], run)
    sources = _files_in(run / "model") | {"metrics.json": run / "metrics.json"}
    sources |= {f"figures/{name}": path for name, path in _files_in(run / "figures").items()}
    folder = parent / repo_id
    unread = _SLOW_TOKENIZER_FILES if "tokenizer.json" in sources else ()
    not_uploaded = _copy(sources, [p for p in MODEL_FILES if p not in unread], folder)
    metrics = measured.metrics
    limit = folder / "sentence_bert_config.json"
    if not limit.exists():  # in a run of an earlier version
        write_json(limit, {"max_seq_length": metrics["card"]["max_length"]})
    if onnx:
        metrics = metrics | {"onnx": _add_onnx(folder, run)}
    (folder / "README.md").write_text(render_card(metrics, repo_id), encoding="utf-8")
    return Staged(
        kind="model",
        source=str(run),
        repo_id=repo_id,
        parent=parent,
        patterns=MODEL_FILES,
        not_uploaded=not_uploaded,
        gate=lambda location: (
            check_model(location, measured) or check_posters(location, measured, run)
        ),
    )


def _instead(folder: Path) -> str:
    if (folder / "metrics.json").is_file() and not (folder / "model").exists():
        return "; a report has no model, publish the run that it is about"
    if (folder / "config.json").is_file():
        return f"; this is a model alone, publish its run: {folder.resolve().parent}"
    return ""


def check_provenance(card: Mapping[str, Any], run: Path) -> None:
    """Refuse a model of which nothing is known: its card would name no training, base or licence.

    Raises:
        InputError: If so.
    """
    # Earlier versions of evaluate_model.py wrote only the model's path, as "model".
    if set(card["training"]) <= {"model"} and card["base_model"] is None:
        raise InputError(
            f"{run} is not published: nothing says how its model was trained (its config.json has "
            "no `provenance`); publish the run that trained it, or train it again"
        )


def _add_onnx(folder: Path, run: Path) -> dict[str, Any]:
    # Imported here: torch and ONNX Runtime are not needed without these files.
    from movie_genres.evaluation.predictions import Predictions
    from movie_genres.hub.onnx_export import add_onnx
    from movie_genres.model.folders import load_model

    model, tokenizer = load_model(str(folder))
    predictions = Predictions.read(run / "predictions.parquet")
    return add_onnx(model, tokenizer, predictions, model_folder=folder, report_folder=folder)


def stage_dataset(folder: Path, repo_id: str, parent: Path) -> Staged:
    """Copy a prepared dataset.

    Raises:
        InputError: If the folder was not written by prepare_dataset.py.
    """
    # Imported here: it imports torch, which publishing a model does not need in this process.
    from movie_genres.preparation.loading import load_prepared

    counts = load_prepared(folder).report["splits"]
    return Staged(
        kind="dataset",
        source=str(folder),
        repo_id=repo_id,
        parent=parent,
        patterns=DATASET_FILES,
        not_uploaded=_copy(_files_in(folder), DATASET_FILES, parent / repo_id),
        gate=lambda location: check_dataset(location, counts),
    )


def _files_in(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _copy(sources: Mapping[str, Path], patterns: Sequence[str], folder: Path) -> list[str]:
    """Copy the files that match one of the patterns; return the names of the others."""
    for name, path in sources.items():
        if belongs(name, patterns):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    return [name for name in sources if not belongs(name, patterns)]
