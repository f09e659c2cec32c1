"""PyTorch in each precision and ONNX Runtime give the same logits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from benchmarks import use
from movie_genres.errors import InputError
from movie_genres.hub import onnx_export
from movie_genres.inference import runtimes
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.runtimes import length_sorted_batches, predict_logits
from movie_genres.model.folders import load_model

TEXTS = ["the ghost", "a sheriff finds the old saloon and " * 5, "jokes with a friend", ""]


@pytest.fixture(scope="module")
def with_onnx(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with both files in onnx/."""
    folder = tmp_path_factory.mktemp("with_onnx") / "model"
    shutil.copytree(finished_run / "model", folder)
    model, tokenizer = load_model(str(folder))
    (folder / "onnx").mkdir()
    float32, int8 = (folder / "onnx" / name for name in runtimes.ONNX_FILES.values())
    onnx_export.export_float32(model, tokenizer, float32)
    onnx_export.quantize(float32, int8)
    return str(folder)


@pytest.mark.parametrize(
    ("onnx", "precision", "tolerance"),
    [
        (False, None, 1e-5),
        (False, "bf16", 0.02),
        (False, "auto", 0.02),
        (True, "float32", 1e-5),
        (True, None, 0.1),
    ],
)
def test_every_runtime_gives_the_probabilities_of_the_model_as_it_is(
    with_onnx: str, onnx: bool, precision: str | None, tolerance: float
) -> None:
    model, tokenizer = load_model(with_onnx)
    expected = expit(predict_logits(model, tokenizer, TEXTS, max_length=32))
    classifier = GenreClassifier.from_pretrained(with_onnx, precision=precision, onnx=onnx)
    found = classifier.probabilities(TEXTS)
    assert np.abs(found - expected).max() <= tolerance
    if precision == "bf16" or (onnx and precision is None):
        assert not np.allclose(found, expected, atol=1e-6)  # it does compute otherwise


def test_the_identity_depends_on_runtime_precision_and_decisions(with_onnx: str) -> None:
    arguments = [{}, {"precision": "bf16"}, {"onnx": True}, {"onnx": True, "precision": "float32"},
                 {"threshold": 0.5}, {"never_empty": True}]  # fmt: skip
    identities = [
        GenreClassifier.from_pretrained(with_onnx, **each).identity() for each in arguments
    ]
    assert len({tuple(identity.values()) for identity in identities}) == len(arguments)
    assert GenreClassifier.from_pretrained(with_onnx).identity() == identities[0]


@pytest.mark.parametrize(
    ("precision", "onnx", "message"),
    [
        ("int8", False, "--precision int8: without --onnx it is one of float32, bf16, auto"),
        ("bf16", True, "--precision bf16: with --onnx it is one of float32, int8"),
        (None, True, "has no onnx/model_quantized.onnx; write it with evaluate_model.py"),
    ],
)
def test_a_precision_that_runtime_or_model_lacks_is_refused(
    finished_run: Path, precision: str | None, onnx: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        GenreClassifier.from_pretrained(str(finished_run / "model"), precision=precision, onnx=onnx)


def test_a_damaged_onnx_file_and_a_missing_runtime_are_refused_in_one_line(
    with_onnx: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(with_onnx, tmp_path / "model"))
    (folder / "onnx" / "model_quantized.onnx").write_bytes(b"damaged")
    with pytest.raises(InputError, match="model_quantized.onnx cannot be loaded") as caught:
        GenreClassifier.from_pretrained(str(folder), onnx=True)
    assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="--onnx needs onnxruntime: python -m pip install -r"):
        GenreClassifier.from_pretrained(with_onnx, onnx=True)


def test_a_batch_holds_texts_of_similar_length_up_to_its_tokens(finished_run: Path) -> None:
    _, tokenizer = load_model(str(finished_run / "model"))
    texts = ["ghost " * n for n in (1, 2, 1, 8, 2, 1, 30)]  # two special tokens more each
    batches = [
        (rows.tolist(), padded["input_ids"].shape)
        for rows, padded in length_sorted_batches(tokenizer, texts, 20, 12)
    ]
    assert batches == [([6], (1, 20)), ([3], (1, 10)), ([1, 4, 0], (3, 4)), ([2, 5], (2, 3))]


def test_the_time_per_film_is_measured_beside_a_pipeline(
    finished_run: Path, prepared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert use.main(["--model", str(finished_run / "model"), "--dataset-dir",
                     str(prepared_folder), "--films", "30"]) == 0  # fmt: skip
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "|" in line]
    cells = {row[0].strip("| "): row for row in rows}
    ours = cells["predict.py"]
    assert float(ours[5]) < 1e-5
    assert ours[6].startswith("0 of ")
    assert ours[7] == cells["`pipeline`, row by row"][7]


def test_a_model_prepared_for_a_cpu_gives_the_same_logits(finished_run: Path) -> None:
    model, tokenizer = load_model(str(finished_run / "model"))
    expected = predict_logits(model, tokenizer, TEXTS, max_length=32)
    tuned = runtimes.TorchRuntime.tuned(model, "float32")
    assert model.base_model.encoder.layer[-1](torch.zeros(2, 5, 16)).shape == (2, 1, 16)
    found = runtimes.compute_logits(tuned, tokenizer, TEXTS, max_length=32)
    assert np.abs(found - expected).max() < 1e-5


def test_batches_in_parallel_give_the_logits_of_batches_one_after_the_other(
    finished_run: Path,
) -> None:
    model, tokenizer = load_model(str(finished_run / "model"))
    runtime = runtimes.TorchRuntime(model)
    texts = [text[: 5 * n] for n in range(1, 12) for text in TEXTS]
    alone = runtimes.compute_logits(runtime, tokenizer, texts, max_length=32, batch_tokens=64)
    runtime.use_threads(3)
    counted: list[int] = []
    before = torch.get_num_threads()
    together = runtimes.compute_logits(
        runtime, tokenizer, texts, max_length=32, batch_tokens=64, on_batch=counted.append
    )
    assert np.abs(together - alone).max() < 1e-6
    assert sum(counted) == len(texts)
    assert torch.get_num_threads() == before


def test_an_error_in_one_of_the_batches_in_parallel_is_raised(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = load_model(str(finished_run / "model"))
    runtime = runtimes.TorchRuntime(model)
    runtime.use_threads(2)

    def fail(padded: object) -> np.ndarray:
        raise RuntimeError("no memory")

    monkeypatch.setattr(runtime, "logits", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        runtimes.compute_logits(runtime, tokenizer, TEXTS * 20, max_length=32, batch_tokens=64)
