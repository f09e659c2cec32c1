"""evaluate_model.py --onnx: the same answers in ONNX Runtime and in transformers.js."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import ROOT
from scipy.special import expit
from sklearn.metrics import f1_score

import evaluate_model
from movie_genres.errors import InputError
from movie_genres.evaluation.predictions import Predictions
from movie_genres.hub import onnx_export
from movie_genres.hub.gate import check_card
from movie_genres.hub.onnx_export import add_onnx, check_installed
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.runtimes import ONNX_REQUIREMENTS, OnnxRuntime, compute_logits
from movie_genres.model.folders import load_model


@pytest.fixture(scope="module")
def exported(
    finished_run: Path, prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What evaluate_model.py --onnx writes."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    arguments = ["--model", str(finished_run / "model"), "--dataset-dir", str(prepared_folder)]
    assert evaluate_model.main([*arguments, "--output-dir", str(folder), "--onnx"]) == 0
    return folder


@pytest.fixture(scope="module")
def classifier(exported: Path) -> GenreClassifier:
    return GenreClassifier.from_pretrained(str(exported / "model"))


def read_figures(run: Path) -> dict[str, dict[str, Any]]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))["onnx"]


def test_both_files_are_complete_and_named_as_transformers_js_expects(exported: Path) -> None:
    files = {path.name: path for path in (exported / "model" / "onnx").iterdir()}
    assert set(files) == {"model.onnx", "model_quantized.onnx"}
    operators = {}
    for name, path in files.items():
        graph = onnx.load(path, load_external_data=False).graph
        assert not any(tensor.external_data for tensor in graph.initializer)
        assert [entry.name for entry in graph.output] == ["logits"]
        operators[name] = {node.op_type for node in graph.node}
    assert "MatMulInteger" in operators["model_quantized.onnx"] - operators["model.onnx"]
    assert (exported / "model" / "tokenizer.json").is_file()


def test_the_figures_of_both_files_are_those_of_the_test_split(
    exported: Path, classifier: GenreClassifier
) -> None:
    rows = Predictions.read(exported / "predictions.parquet")
    for row in read_figures(exported).values():
        path = exported / "model" / row["file"]
        session = onnxruntime.InferenceSession(path)
        y_prob = []
        # By length, 1,024 tokens at a time, as int8 scores hang on the batch.
        lengths = [len(ids) for ids in classifier.tokenizer(rows.texts, truncation=True).input_ids]
        order = np.argsort([-length for length in lengths], kind="stable")
        start = 0
        while start < len(order):
            stop = start + 1024 // lengths[order[start]]
            texts = [rows.texts[row] for row in order[start:stop]]
            start = stop
            batch = classifier.tokenizer(texts, padding=True, truncation=True, return_tensors="np")
            y_prob.append(expit(session.run(None, dict(batch))[0].astype(float)))
        ordered = np.empty_like(rows.y_prob)
        ordered[order] = np.concatenate(y_prob)
        y_pred = ordered >= classifier.decisions.thresholds
        assert row["bytes"] == path.stat().st_size
        assert row["largest_difference"] == pytest.approx(np.abs(ordered - rows.y_prob).max())
        assert row["changed_decisions"] == (y_pred != rows.y_pred).sum()
        expected = f1_score(rows.y_true, y_pred, average="micro", zero_division=0)
        assert row["test"]["f1_micro"] == pytest.approx(expected)
    figures = read_figures(exported)
    assert figures["float32"]["largest_difference"] < 1e-5
    assert figures["int8"]["largest_difference"] > figures["float32"]["largest_difference"]


def test_the_card_has_size_and_scores_of_each_file(exported: Path) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    for precision, row in read_figures(exported).items():
        cells = next(line for line in card.splitlines() if f"({precision})" in line).split(" | ")
        assert cells[0] == f"| {row['file']} ({precision})"
        assert [float(cell.strip(" |").split()[0]) for cell in cells[1:]] == pytest.approx(
            [
                round(row["bytes"] / 1e6, 1),
                *(round(row["test"][name], 3) for name in
                  ("f1_micro", "f1_macro", "average_precision_macro", "subset_accuracy")),
                float(f"{row['largest_difference']:.1g}"),
                row["changed_decisions"],
            ]
        )  # fmt: skip
    assert check_card(exported) == []


def test_a_text_has_the_same_scores_alone_and_beside_a_longer_one(
    exported: Path, classifier: GenreClassifier
) -> None:
    texts = ["the ghost", "a clumsy sheriff laughs in the saloon and " * 20, "jokes"]
    runtime = OnnxRuntime(exported / "model" / "onnx" / "model.onnx", "float32")
    tokenizer, together = classifier.tokenizer, classifier.probabilities(texts)
    for number, text in enumerate(texts):
        alone = compute_logits(runtime, tokenizer, [text], max_length=classifier.max_length)
        assert np.allclose(expit(alone[0]), together[number], atol=1e-5)


def test_the_card_s_code_gives_the_same_scores_and_genres_in_transformers_js(
    exported: Path, classifier: GenreClassifier
) -> None:
    if not shutil.which("node") or not (ROOT / "tests" / "node_modules").is_dir():
        pytest.skip("needs Node 20 and: npm install --prefix tests --ignore-scripts")
    card = (exported / "README.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```js\n(.*?)```", card, flags=re.DOTALL)[0]
    # The second is longer than the model reads: transformers.js drops its closing token.
    texts = ["Film 1. the ghost and a curse", "jokes at a wedding " * 40, "a sheriff’s horse, café"]
    code = f"""
        import {{ env }} from "@huggingface/transformers";
        env.allowRemoteModels = false;
        env.localModelPath = {json.dumps(f"{exported}/")};
        {snippet}
        const others = await classifier({json.dumps(texts)}, {{ top_k: null }});
        console.log(JSON.stringify([scores, genres.map(({{ label }}) => label), others]));
    """
    done = subprocess.run(
        ["node", "--input-type=module"],
        input=code, cwd=ROOT / "tests", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores, genres, others = json.loads(done.stdout.splitlines()[-1])
    film = re.findall(r'classifier\("(.*?)"', snippet)[0]
    expected = classifier.probabilities([film, *texts])
    labels = classifier.decisions.labels
    for row, found in zip(expected, [scores, *others], strict=True):
        by_name = {entry["label"]: entry["score"] for entry in found}
        assert np.allclose([by_name[label] for label in labels], row, atol=1e-4)
    decided = classifier.decisions.decide(expected[:1])[0]
    assert set(genres) == {name for name, given in zip(labels, decided, strict=True) if given}


def test_a_text_whose_closing_token_was_dropped_has_the_scores_of_a_closed_one(
    exported: Path, classifier: GenreClassifier
) -> None:
    session = onnxruntime.InferenceSession(exported / "model" / "onnx" / "model.onnx")
    texts = ["jokes at a wedding " * 40, "the ghost"]
    closed = classifier.tokenizer(texts, truncation=True, padding=True, return_tensors="np")
    opened = {name: values.copy() for name, values in closed.items()}
    assert opened["input_ids"][0, -1] == classifier.tokenizer.sep_token_id
    opened["input_ids"][0, -1] = classifier.tokenizer.convert_tokens_to_ids("wedding")
    logits = [session.run(None, dict(batch))[0] for batch in (closed, opened)]
    assert np.array_equal(*logits)


def test_an_export_that_gives_other_probabilities_leaves_nothing(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Predictions.read(exported / "predictions.parquet")
    model, tokenizer = load_model(str(exported / "model"))
    done = exported / "model" / "onnx" / "model.onnx"
    monkeypatch.setattr(
        onnx_export, "export_float32", lambda model, tokenizer, path: shutil.copy(done, path)
    )
    report = Path(shutil.copytree(exported, tmp_path / "run", ignore=lambda *_: ["model"]))
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    arguments: dict[str, Any] = {"report_folder": report, "model_folder": tmp_path}
    with pytest.raises(InputError, match=r"differ by up to 0.1 from PyTorch's; run without --onnx"):
        add_onnx(model, tokenizer, replace(rows, y_prob=rows.y_prob + 0.1), **arguments)
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.glob("onnx*"))


def test_missing_packages_are_named_before_the_work_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find: Callable[[str], Any] = onnx_export.importlib.util.find_spec
    monkeypatch.setattr(
        onnx_export.importlib.util, "find_spec", lambda n: None if n == "onnxscript" else find(n)
    )
    with pytest.raises(InputError, match=r"needs onnxscript: python -m pip install -r req"):
        check_installed()
    assert (ROOT / ONNX_REQUIREMENTS).is_file()
    flags = ["--model", ".", "--dataset-dir", ".", "--output-dir", str(tmp_path / "o"), "--onnx"]
    with pytest.raises(InputError, match="--onnx needs onnxscript"):
        evaluate_model.parse_args(flags)
