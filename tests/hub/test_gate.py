"""What the gate refuses: card, scores, ONNX files, tokenizer that are not what was measured."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import Fault, LoopbackHub

import evaluate_model
import publish
from movie_genres.errors import InputError, PublishError
from movie_genres.evaluation.card import render_card
from movie_genres.files import file_sha256
from movie_genres.hub import gate
from movie_genres.hub.publication import Staged, stage_run
from movie_genres.hub.subprocess_check import _same_tokens

NAME = "tester/movie-genres"


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def checked(run: Path, parent: Path) -> Staged:
    staged = stage_run(run, NAME, parent / "staged")
    staged.check()
    return staged


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\+0\.\d{3} \(", "+0.999 ("),  # a difference from a baseline
        (r"(\| Horror \|.*\| )0\.\d{3}( \| 0\.\d{3}–)", r"\g<1>0.001\2"),  # its ECE
        (r"(\| `f1_macro` \| \w+ \| )0\.\d{3}", r"\g<1>0.999"),  # an objective's row
        (r"(95 % interval .*?)0\.\d{3}–", r"\g<1>0.111–"),
        (r"\(20 films\)", "(499 films)"),
        (r"at most 32 tokens", "at most 384 tokens"),
    ],
)
def test_an_edited_figure_of_a_card_is_refused(
    run: Path, tmp_path: Path, old: str, new: str
) -> None:
    card = run / "README.md"
    content = card.read_text(encoding="utf-8")
    edited = re.sub(old, new, content, count=1)
    assert edited != content
    card.write_text(edited, encoding="utf-8")
    with pytest.raises(InputError, match=r"line \d+ of README.md is .* by metrics.json"):
        stage_run(run, NAME, tmp_path / "staged")


def better_score(metrics: dict[str, Any]) -> None:
    metrics["test"]["chosen"]["average_precision_macro"] += 0.1


def more_films(metrics: dict[str, Any]) -> None:
    metrics["card"]["dataset"]["splits"]["test"] = 499


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (better_score, r"average_precision_macro is 0\.\d+ in metrics.json, 0\.\d+ by predictions"),
        (more_films, "has 499 films in metrics.json, 20 in predictions.parquet"),
    ],
)
def test_scores_that_the_predictions_do_not_give_are_refused_although_the_card_agrees(
    run: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_json(run / "metrics.json", change)
    (run / "README.md").unlink()  # it is rendered from the edited file
    with pytest.raises(InputError, match=message):
        checked(run, tmp_path)


@pytest.fixture(scope="module")
def exported_once(
    finished_run: Path, prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    pytest.importorskip("onnxruntime", reason="requirements-onnx.txt is not installed")
    pytest.importorskip("onnxscript", reason="requirements-onnx.txt is not installed")
    folder = tmp_path_factory.mktemp("exported") / "run"
    arguments = ["--model", str(finished_run / "model"), "--dataset-dir", str(prepared_folder)]
    assert evaluate_model.main([*arguments, "--output-dir", str(folder), "--onnx"]) == 0
    return folder


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported_once, tmp_path / "exported"))


def empty(name: str) -> Callable[[Path], object]:
    return lambda run: (run / "model" / name).write_bytes(b"")


def measured_anew(run: Path, precision: str) -> None:
    """metrics.json and card as if this were the file whose scores were measured."""

    def change(metrics: dict[str, Any]) -> None:
        row = metrics["onnx"][precision]
        row["sha256"] = file_sha256(run / "model" / row["file"])

    edit_json(run / "metrics.json", change)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    (run / "README.md").write_text(render_card(metrics), encoding="utf-8")


def other_weights(name: str, precision: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        import onnx
        from onnx import numpy_helper

        path = run / "model" / name
        model = onnx.load(path)
        [bias] = [t for t in model.graph.initializer if t.name.endswith("classifier.bias")]
        values = numpy_helper.to_array(bias) + 2
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        onnx.save(model, path)
        measured_anew(run, precision)

    return spoil


def unreadable(run: Path) -> None:
    empty("onnx/model.onnx")(run)
    measured_anew(run, "float32")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty("onnx/model.onnx"), "onnx/model.onnx is not the file whose scores are in metrics"),
        (empty("onnx/model_quantized.onnx"), "onnx/model_quantized.onnx is not the file whose"),
        (
            lambda run: (run / "model/onnx/model_fp16.onnx").write_bytes(b"of another"),
            "metrics.json has no scores of onnx/model_fp16.onnx; --onnx exports the model again",
        ),
        (
            lambda run: (run / "model/onnx/model_quantized.onnx").unlink(),
            "onnx/model_quantized.onnx, whose scores are in metrics.json, is missing",
        ),
        (unreadable, r"model.onnx cannot be loaded"),
        (other_weights("onnx/model.onnx", "float32"), "probabilities by onnx/model.onnx differ"),
        (
            other_weights("onnx/model_quantized.onnx", "int8"),
            "probabilities by onnx/model_quantized.onnx differ from predictions.parquet by up to",
        ),
    ],
)
def test_onnx_files_that_are_not_those_that_were_measured_are_refused(
    check_in_this_process: None, exported: Path, tmp_path: Path,
    spoil: Callable[[Path], object], message: str,
) -> None:  # fmt: skip
    spoil(exported)
    with pytest.raises(InputError, match=message):
        checked(exported, tmp_path)


def test_an_export_as_it_was_measured_passes_and_its_card_has_code_for_each_runtime(
    check_in_this_process: None, exported: Path, run: Path, tmp_path: Path
) -> None:
    card = (checked(exported, tmp_path).folder / "README.md").read_text(encoding="utf-8")
    runtimes = ("InferenceSession(", "@huggingface/transformers", f'"{NAME}", {{ dtype')
    assert all(words in card for words in runtimes)
    without = (checked(run, tmp_path / "other").folder / "README.md").read_text(encoding="utf-8")
    assert not any(words in without for words in runtimes)
    assert str(tmp_path) not in card + without


def test_onnx_files_that_nothing_can_run_are_refused(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="cannot be checked without onnxruntime: python -m pip"):
        checked(exported, tmp_path)


def test_only_the_tokenizer_file_that_is_read_is_published(
    check_in_this_process: None, run: Path, tmp_path: Path
) -> None:
    for name in ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "added_tokens.json"):
        (run / "model" / name).write_bytes(b"")
    staged = checked(run, tmp_path)
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert {name for name in staged.files if "token" in name or "vocab" in name} == tokenizer
    assert "vocab.txt" in staged.not_uploaded and "spiece.model" in staged.not_uploaded


def test_a_tokenizer_file_that_by_itself_gives_other_tokens_is_noticed(run: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    path, texts = run / "model" / "tokenizer.json", ["the Ghost", "a sheriff in the saloon " * 40]
    assert _same_tokens(path, tokenizer, texts)
    edit_json(path, lambda file: file["normalizer"].update(lowercase=False))
    assert not _same_tokens(path, tokenizer, texts)


def test_the_card_says_how_a_server_serves_it_right(
    check_in_this_process: None, run: Path, tmp_path: Path
) -> None:
    folder = checked(run, tmp_path).folder
    card = (folder / "README.md").read_text(encoding="utf-8")
    [body] = re.findall(r"predict .*\\\n +-d '(.*)'", card)
    assert json.loads(body)["raw_scores"] is True and json.loads(body)["truncate"] is True
    # Without this file the server truncates at the encoder's last position, 64.
    name = "sentence_bert_config.json"
    limit = {"max_seq_length": 32}
    assert json.loads((folder / name).read_text(encoding="utf-8")) == limit
    assert "makes it truncate to 32 tokens" in card
    (run / "model" / name).unlink()  # as in a run of an earlier version
    again = checked(run, tmp_path / "again").folder
    assert json.loads((again / name).read_text(encoding="utf-8")) == limit
    (run / "model" / name).write_text('{"max_seq_length": 64}')
    with pytest.raises(InputError, match="32 tokens are read by metrics.json, 64 by sentence_bert"):
        checked(run, tmp_path / "other")


def test_an_update_of_a_public_repository_that_comes_back_changed_is_never_on_main(
    hub: LoopbackHub, check_in_this_process: None, run: Path
) -> None:
    assert publish.main([str(run), "--repo-id", NAME, "--public", "--tag", "v1.0"]) == 0
    repo = hub.model(NAME)
    first = repo.head
    (run / "figures" / "genre_f1.png").write_bytes(b"another picture")
    hub.faults.append(Fault("GET /cdn/", corrupt=True, times=99))
    with pytest.raises(PublishError, match="`main` is as it was"):
        publish.main([str(run), "--repo-id", NAME, "--public", "--tag", "v2.0"])
    assert not repo.private and repo.head == first and repo.tags == {"v1.0": first}
