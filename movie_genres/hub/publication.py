"""A run, a prepared dataset or the demo page -> the Hub: gate, one commit, pull back, gate again.

What is staged is a copy of what belongs in the repository and of nothing else; the gate reads that
copy and the upload sends it, so that what was checked is what is published. The run itself is
only read. A commit is tagged, and a repository opened to the public, after the last check.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from movie_genres.defaults import file_sha256
from movie_genres.errors import InputError, PublishError
from movie_genres.hub.card_reading import published_card
from movie_genres.hub.gate import OFFLINE, Measured, Place, check_dataset, check_model
from movie_genres.hub.repository import Repository, belongs
from movie_genres.hub.space import SPACE_FILES, stage_space

MODEL_FILES = (
    "README.md", "metrics.json", "figures/*.png",
    "config.json", "*.safetensors", "*.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "*.model",  # SentencePiece
    "onnx/*.onnx",
)  # fmt: skip
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
    """A folder as it is to be on the Hub, and the gate that it must pass."""

    room: Path
    """From here, `repo_id` is the path of the folder."""
    repo_id: str
    patterns: tuple[str, ...]
    """What a repository of this kind consists of."""
    left_out: list[str]
    """Files beside them that do not belong in it."""
    gate: Callable[[Place], list[str]]
    """Says what is wrong with a place where the files are."""

    @property
    def folder(self) -> Path:
        return self.room / self.repo_id

    def files(self) -> dict[str, Path]:
        """By their path in the repository."""
        return _files_in(self.folder)


def publish_run(
    run: Path, repo_id: str, repository: Repository | None, *, onnx: bool = False
) -> None:
    """Publish a completed run.

    Args:
        run: Folder that finetune.py wrote.
        repo_id: Its name on the Hub.
        repository: Named so; None shows what would be uploaded, and gates it.
        onnx: Export the model for other runtimes as well.

    Raises:
        InputError: If the run is not whole, or does not pass the gate: nothing was sent.
        PublishError: If the Hub fails, or gives back something else than it was sent.
    """
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        staged = stage_run(run, repo_id, Path(scratch) / "staged", onnx=onnx)
        _publish(staged, str(run), "model", repository, Path(scratch))


def publish_dataset(folder: Path, repo_id: str, repository: Repository | None) -> None:
    """Publish a folder that prepare_dataset.py wrote; else as `publish_run`."""
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        staged = stage_dataset(folder, repo_id, Path(scratch) / "staged")
        _publish(staged, str(folder), "dataset", repository, Path(scratch))


def publish_page(model_id: str, repo_id: str, repository: Repository | None) -> None:
    """Publish the demo page of a model on the Hub as a Space; else as `publish_run`."""
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        room = Path(scratch) / "staged"
        stage_space(model_id, room / repo_id)
        staged = Staged(room, repo_id, SPACE_FILES, [], lambda _: [])
        _publish(staged, "space/", "space", repository, Path(scratch))


def _publish(
    staged: Staged, source: str, kind: str, repository: Repository | None, scratch: Path
) -> None:
    describe(staged, kind)
    if kind != "space":
        print("checking in a process of its own that this is what was measured", flush=True)
    found = staged.gate(Place(staged.folder, staged.repo_id, None, staged.room, OFFLINE))
    if found:
        raise InputError(f"{source} is not published: {_told(found)}")
    if repository is None:
        print(f"\n{(staged.folder / 'README.md').read_text(encoding='utf-8')}")
        print("dry run: nothing was sent")
        return
    repository.create()
    commit = repository.commit(staged.folder, staged.patterns)
    print(f"uploaded as commit {commit}; pulling it back into an empty cache", flush=True)
    check_published(repository, staged, commit, scratch)
    repository.release(commit)
    print(f"published: {repository.address(commit)}")


def describe(staged: Staged, kind: str) -> None:
    """Print what is uploaded, with sizes, and what is left out."""
    sizes = {name: path.stat().st_size for name, path in staged.files().items()}
    print(f"{kind} {staged.repo_id}: {len(sizes)} files, {sum(sizes.values()):,} bytes")
    for name, size in sizes.items():
        print(f"  {size:>13,}  {name}")
    for name in staged.left_out:
        print(f"  left out       {name}")
    if "\nlicense:" not in (staged.folder / "README.md").read_text(encoding="utf-8"):
        print("note: the card names no licence; without one, others may not use what you publish")


def check_published(repository: Repository, staged: Staged, commit: str, scratch: Path) -> None:
    """Pull a commit back into an empty cache and compare it with what was sent and measured.

    Raises:
        PublishError: If it is something else; the message names the commit to revert.
    """
    cache, room = scratch / "cache", scratch / "elsewhere"
    room.mkdir()
    files = staged.files()
    pulled = repository.pull(commit, list(files), cache)
    found = [
        f"{name} came back with other content"
        for name, path in files.items()
        if not (pulled / name).is_file() or file_sha256(pulled / name) != file_sha256(path)
    ]
    if not found:
        environment = repository.environment(cache)
        found = staged.gate(Place(pulled, staged.repo_id, commit, room, environment))
    if found:
        raise PublishError(
            f"{repository.address(commit)} is not shown to be what was measured: {_told(found)}; "
            "revert that commit, or publish again"
        )


def _told(found: list[str]) -> str:
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more


def stage_run(run: Path, repo_id: str, room: Path, *, onnx: bool = False) -> Staged:
    """Copy a completed run's model, card, metrics.json and figures, the card under its new name.

    With `onnx`, files for other runtimes are added to the copy, and to its card what they cost.

    Raises:
        InputError: If the folder is no completed run with a model of its own.
    """
    for name in ("model/config.json", "README.md", "metrics.json", "predictions.parquet"):
        if not (run / name).is_file():
            raise InputError(f"{run} is no completed run with a model: {name} is missing")
    sources = _files_in(run / "model")
    sources |= {name: run / name for name in ("README.md", "metrics.json")}
    sources |= {f"figures/{name}": path for name, path in _files_in(run / "figures").items()}
    left_out = _copy(sources, MODEL_FILES, room / repo_id)
    card = room / repo_id / "README.md"
    card.write_text(published_card(card.read_text(encoding="utf-8"), repo_id), encoding="utf-8")
    measured = Measured.of_run(run)
    if onnx:
        _add_onnx(room / repo_id, run, repo_id)
    return Staged(room, repo_id, MODEL_FILES, left_out, lambda p: check_model(p, measured))


def _add_onnx(folder: Path, run: Path, repo_id: str) -> None:
    # Not above: torch and ONNX Runtime, which publishing has no need of without these files.
    from movie_genres.evaluation.predictions import Predictions
    from movie_genres.hub.onnx_export import add_onnx
    from movie_genres.model.folders import load_model

    model, tokenizer = load_model(str(folder))
    predictions = Predictions.read(run / "predictions.parquet")
    add_onnx(
        model, tokenizer, predictions, model_folder=folder, report_folder=folder, model_id=repo_id
    )


def stage_dataset(folder: Path, repo_id: str, room: Path) -> Staged:
    """Copy a prepared dataset.

    Raises:
        InputError: If the folder is not one that prepare_dataset.py wrote.
    """
    # Not above: it imports torch, which publishing a model has no need of in this process.
    from movie_genres.preparation.loading import load_prepared

    report = load_prepared(folder).report
    left_out = _copy(_files_in(folder), DATASET_FILES, room / repo_id)
    counts = report["splits"]
    return Staged(room, repo_id, DATASET_FILES, left_out, lambda p: check_dataset(p, counts))


def _files_in(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _copy(sources: Mapping[str, Path], patterns: tuple[str, ...], folder: Path) -> list[str]:
    """Copy the files that belong; give the names of the others."""
    for name, path in sources.items():
        if belongs(name, patterns):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    return [name for name in sources if not belongs(name, patterns)]
