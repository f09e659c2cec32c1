"""Encoders of many architectures: trained, saved, and loaded by plain `pipeline`; or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from encoders import MAKERS, REFUSED, Maker
from transformers import AutoTokenizer, pipeline

import finetune
from movie_genres.command_line import exit_code
from movie_genres.evaluation.judge import TextModel
from movie_genres.model.encoder import EncoderName, load_encoder, sample_batch
from movie_genres.training.seed_runs import Trained

Arguments = Callable[..., list[str]]


def write_encoder(folder: Path, tiny_encoder: Path, maker: Maker, **more: object) -> Path:
    """An encoder with the tokenizer of the tiny one."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    torch.manual_seed(0)
    maker(vocab_size=len(tokenizer), **more).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", MAKERS)
def test_what_was_trained_is_what_plain_pipeline_loads(
    tiny_arguments: Arguments, tiny_encoder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, name: str, precision: str,
) -> None:  # fmt: skip
    """A few steps above frozen layers, on cached activations where the architecture has them."""
    texts = ["the ghost in the cellar. a scream", "jokes", "sheriff and horse and gunfight " * 20]
    measured: list[np.ndarray] = []

    def save(job: finetune.Job, trained: Trained) -> None:
        model = TextModel(trained.model, job.loaded.tokenizer, job.project.max_length)
        measured.append(torch.sigmoid(torch.from_numpy(model.logits(texts))).numpy())
        model.save(job.run.model)

    monkeypatch.setattr(finetune, "finish", save)
    encoder = write_encoder(tmp_path / "encoder", tiny_encoder, MAKERS[name])
    arguments = tiny_arguments(
        tmp_path / "run", "--model-name-or-path", str(encoder), "--frozen-share", "0.5",
        "--max-steps", "3", "--learning-rate", "0.002", "--precision", precision,
        "--eval-strategy", "no", "--save-strategy", "no", "--load-best-model-at-end", "False",
    )  # fmt: skip
    assert finetune.main(arguments) == 0
    classifier = pipeline(
        "text-classification", model=str(tmp_path / "run" / "model"), top_k=None, truncation=True
    )
    found = [{s["label"]: s["score"] for s in scores} for scores in classifier(texts)]
    labels = ["Comedy", "Horror", "Western"]
    assert np.allclose([[row[n] for n in labels] for row in found], measured[0], atol=1e-5)
    assert np.ptp(measured[0], axis=0).max() > 1e-3  # it says different things of different texts


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xlnet", "depends on the padding of its batch"),
        ("funnel", "depends on the padding of its batch"),
        ("gpt2", "classifies every token"),
        ("squeezebert", "train it whole: --frozen-share 0"),
    ],
)
def test_an_encoder_that_cannot_classify_texts_is_refused_before_any_training(
    tiny_arguments: Arguments, tiny_encoder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], name: str, message: str,
) -> None:  # fmt: skip
    encoder = write_encoder(tmp_path / "encoder", tiny_encoder, REFUSED[name])
    arguments = tiny_arguments(
        tmp_path / "run", "--model-name-or-path", str(encoder), "--frozen-share", "0.5"
    )
    assert exit_code(lambda: finetune.main(arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_an_encoder_whose_tokenizer_pads_on_the_left_reads_the_last_position(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = write_encoder(tmp_path / "encoder", tiny_encoder, REFUSED["xlnet"])
    path = encoder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "left"}))
    load_encoder(EncoderName(str(encoder), None, None), ["a", "b"], 16)


def test_a_tokenizer_without_a_padding_token_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder", tiny_encoder, MAKERS["bert"])
    path = encoder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": None}))
    with pytest.raises(finetune.InputError, match="no padding token"):
        load_encoder(EncoderName(str(encoder), None, None), ["a", "b"], 16)


@pytest.mark.parametrize(
    ("name", "positions", "readable"),
    [("bert", 40, 40), ("roberta", 40, 39), ("mpnet", 40, 38), ("bart", 40, 40)],
)
def test_the_longest_text_that_the_message_allows_can_be_read(
    tiny_encoder: Path, tmp_path: Path, name: str, positions: int, readable: int
) -> None:
    folder = write_encoder(
        tmp_path / "encoder", tiny_encoder, MAKERS[name], max_position_embeddings=positions
    )
    encoder, labels = EncoderName(str(folder), None, None), ["a", "b"]
    with pytest.raises(finetune.InputError, match=f"--max-length 41 is outside 8 to {readable},"):
        load_encoder(encoder, labels, 41)
    loaded = load_encoder(encoder, labels, readable)
    assert sample_batch(loaded.tokenizer, readable)["input_ids"].shape[1] == readable


def test_an_encoder_that_fails_in_the_precision_of_the_training_is_refused(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiply = torch.nn.Linear.forward

    def no_bf16(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("Unsupported dtype BFloat16")  # as a Fourier transform says
        return multiply(layer, x)

    monkeypatch.setattr(torch.nn.Linear, "forward", no_bf16)
    encoder = EncoderName(str(tiny_encoder), None, None)
    load_encoder(encoder, ["a", "b"], 16)
    with pytest.raises(
        finetune.InputError,
        match=r"in bf16 \(RuntimeError: Unsupported dtype BFloat16\); give --precision float32",
    ):
        load_encoder(encoder, ["a", "b"], 16, precision="bf16")
