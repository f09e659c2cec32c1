"""Fixtures: hand-written films, a prepared folder, and a random BERT of a few kilobytes."""

from __future__ import annotations

import csv
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may look for the network
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # which the loopback Hub does not speak

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils._http import default_client_factory
from loopback_hub import TOKEN, LoopbackHub
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

import prepare_dataset
from movie_genres.errors import InputError

ROOT = Path(__file__).parent.parent

# Words that give a genre away, so that even a tiny model can learn something.
GENRE_WORDS = {
    "Comedy": ["jokes", "clumsy", "wedding", "laughs", "prank"],
    "Horror": ["ghost", "blood", "cellar", "scream", "curse"],
    "Western": ["sheriff", "saloon", "desert", "horse", "gunfight"],
}
OTHER_WORDS = [
    *["the", "a", "man", "woman", "finds", "old", "house", "town", "and", "with"],
    *["in", "night", "day", "friend", "goes", "home", "road", "river", "letter", "train"],
]


def made_up_films(count: int) -> list[dict[str, str]]:
    """Films whose plots mix the words of their genres with others, the same at every call."""
    choices = [["Comedy"], ["Horror"], ["Western"], ["Comedy", "Western"], ["Comedy", "Horror"]]
    films = []
    for number in range(count):
        genres = choices[number % len(choices)]
        words = [GENRE_WORDS[g][(number // 3 + i) % 5] for i in range(3) for g in genres]
        others = [OTHER_WORDS[(number * 7 + 3 * i) % 20] for i in range(4 + number % 9)]
        plot = " ".join(itertools.chain(*itertools.zip_longest(words, others, fillvalue="then")))
        films.append(
            {
                "id": str(1000 + number),
                "title": f"Film {number}",
                "overview": f"{plot} number {number}.",
                "genres": "|".join(genres),
            }
        )
    return films


def further_films(count: int) -> list[dict[str, str]]:
    """Made-up films beside the first `count`, told the other way round."""
    films = made_up_films(count + 60)[count:]
    for film in films:
        film["overview"] = " ".join(film["overview"].replace("then", "later").split()[::-1])
    return films


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def prepare(source: Path, output: Path, *more: str) -> int:
    """Prepare one source with genres from five films on."""
    arguments = ["--source", str(source), "--output-dir", str(output), "--min-genre-count", "5"]
    return prepare_dataset.main([*arguments, *more])


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """A model of a few kilobytes is slower on several threads than on one."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("movie_genres.model.devices.use_all_cores", lambda local_processes: None)
        yield


@pytest.fixture
def drawn_figures() -> None:
    """For tests of data that only drawing could fail on: see `undrawn_figures`."""


@pytest.fixture(autouse=True)
def undrawn_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not drawn, which would be half of the time of a tiny run.

    Those of the shared folders, `prepared_folder` and `finished_run`, are drawn.
    """
    if "drawn_figures" not in request.fixturenames:
        monkeypatch.setattr(Figure, "savefig", lambda figure, path, **more: path.touch())
        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)


@pytest.fixture
def films_csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "films.csv", made_up_films(120))


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    source = write_csv(folder / "films.csv", made_up_films(200))
    arguments = ["--source", str(source), "--output-dir", str(folder / "prepared")]
    assert prepare_dataset.main([*arguments, "--min-genre-count", "5"]) == 0
    return folder / "prepared"


@pytest.fixture(scope="session")
def partly_known(prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared films, with a third of the cells unknown, unevenly: most in the first films."""
    folder = tmp_path_factory.mktemp("partly") / "prepared"
    shutil.copytree(prepared_folder, folder)
    for path in sorted((folder / "data").glob("*.parquet")):
        rows = pd.read_parquet(path)
        rng = np.random.default_rng(len(rows))
        labels = np.array(rows["labels"].tolist())
        share = np.linspace(0.9, 0.0, min(8, len(rows)))
        unknown = rng.random(labels.shape) < np.resize(share, len(rows))[:, None]
        rows["labels"] = list(np.where(unknown, np.nan, labels).astype(np.float32))
        rows.to_parquet(path)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer BERT and a tokenizer that knows the words above."""
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted(
        {*itertools.chain(*GENRE_WORDS.values()), *OTHER_WORDS, "film", "number", "then"}
    )
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *"0123456789"]
    vocabulary += [f"##{digit}" for digit in range(10)] + words
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.3,  # features that differ, or the probe has nothing to stand on
        max_position_embeddings=64,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_arguments(prepared_folder: Path, tiny_encoder: Path) -> Callable[[Path], list[str]]:
    """Arguments of finetune.py for a run of seconds; one flag to add: where it goes."""

    def arguments(output_dir: Path, *more: str) -> list[str]:
        return [
            "--model-name-or-path", str(tiny_encoder), "--dataset-dir", str(prepared_folder),
            "--output-dir", str(output_dir), "--max-length", "32", "--learning-rate", "1.1e-3",
            "--num-train-epochs", "2", "--frozen-share", "0", "--precision", "float32",
            "--per-device-train-batch-size", "16", "--class-weights", "sqrt", "--soup", "1", *more,
        ]  # fmt: skip

    return arguments


@pytest.fixture(scope="session")
def finished_run(
    tiny_arguments: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a completed tiny run."""
    import finetune

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert finetune.main(tiny_arguments(folder)) == 0
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A Hub that this process, and those it starts, take for the real one."""
    with LoopbackHub() as server:
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        # transformers keeps its first client: that of a Hub that is gone waits and tries again.
        monkeypatch.setattr("transformers.utils.hub._hf_api", None)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        huggingface_hub.set_client_factory(default_client_factory)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def check_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The subprocess check without a subprocess: the same code, less ten seconds of imports."""

    from movie_genres.hub.subprocess_check import predict_by_name

    def run_check(
        request: dict[str, Any], working_directory: Path, environment: dict[str, str]
    ) -> dict[str, Any] | str:
        arguments = {key: value for key, value in request.items() if key != "check"}
        if request["revision"] is not None:  # what was pulled back, as a folder of its name
            pulled = Path(environment["HF_HUB_CACHE"]).glob("models--*/snapshots/*")
            folder = working_directory / request["repo_id"]
            folder.parent.mkdir()
            folder.symlink_to(next(pulled))
            arguments["revision"] = None
        with monkeypatch.context() as patch:
            patch.chdir(working_directory)
            patch.setattr(constants, "HF_HUB_OFFLINE", True)
            try:
                return predict_by_name(**arguments)
            except (InputError, KeyError, NameError) as error:
                return f"{type(error).__name__}: {error}"

    monkeypatch.setattr("movie_genres.hub.gate.run_subprocess_check", run_check)
