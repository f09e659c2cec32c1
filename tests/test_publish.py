"""publish.py and finetune.py --push_to_hub on the loopback Hub, and what the gate refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from loopback_hub import TOKEN, Fault, LoopbackHub, Repo
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import finetune
import publish
from movie_genres.command_line import exit_code
from movie_genres.decisions.scores import compute_scores
from movie_genres.errors import InputError, PublishError
from movie_genres.evaluation import card as card_module
from movie_genres.evaluation.card import TEMPLATE, render_card
from movie_genres.hub.gate import check_card
from movie_genres.hub.publication import stage_run
from movie_genres.hub.repository import HubTarget
from movie_genres.hub.trainer_arguments import pop_hub_arguments
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import parse_finetune_args

NAME = "tester/movie-genres"


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def published(repo: Repo) -> set[str]:
    return set(repo.files) - {".gitattributes"}


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


PULL = """
import sys, numpy, torch
from datasets import load_dataset
from transformers import pipeline
classifier = pipeline(model=sys.argv[1], revision=sys.argv[2], top_k=None, truncation=True)
batch = classifier.tokenizer(sys.argv[5:], padding=True, truncation=True, return_tensors="pt")
with torch.inference_mode():
    numpy.save(sys.argv[4], classifier.model(**batch).logits.numpy())
splits = load_dataset(sys.argv[3])
print({name: len(rows) for name, rows in splits.items()}, splits["test"][0]["labels"])
"""


def test_what_is_pulled_from_the_hub_by_name_is_what_was_trained_and_prepared(
    hub: LoopbackHub, run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    # As for a user: the commands, and the code that loads the model, run in their own processes.
    hub.faults += [Fault("preupload", 429, {"Retry-After": "2"}), Fault("repos/create", 500)]
    before = contents(run)
    command = [sys.executable, str(ROOT / "publish.py"), str(run), "--repo-id", NAME]
    done = subprocess.run(
        [*command, "--tag", "v1.0"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    commit = hub.model(NAME).head
    assert f"published: {hub.endpoint}/{NAME}/tree/{commit}" in done.stdout
    assert "answers 500 Internal Server Error; trying again in 2 s (1 of 3)" in done.stderr
    assert "Waiting 3.0s before retry" in done.stderr
    assert hub.model(NAME).private and hub.model(NAME).tags == {"v1.0": commit}
    assert len(hub.model(NAME).commits) == 2
    model, figures = (contents(run / name) for name in ("model", "figures"))
    assert published(hub.model(NAME)) == {
        "README.md", "metrics.json", *model, *(f"figures/{name}" for name in figures)
    }  # fmt: skip
    assert contents(run) == before
    assert TOKEN not in done.stdout + done.stderr
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]

    dataset = ["--dataset", str(prepared_folder), "--repo-id", "tester/plots"]
    assert publish.main(dataset) == 0
    assert hub.repos["datasets", "tester/plots"].private
    card = hub.repos["datasets", "tester/plots"].files["README.md"].content
    assert card == (prepared_folder / "README.md").read_bytes()

    texts = ["the ghost", "a sheriff finds the old saloon", "jokes with a friend " * 20]
    arguments = [NAME, "v1.0", "tester/plots", str(tmp_path / "logits.npy"), *texts]
    pulled = subprocess.run(
        [sys.executable, "-c", PULL, *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "HF_HOME": str(tmp_path / "stranger")},
    )  # fmt: skip
    local = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    with torch.inference_mode():
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        expected = local(**batch).logits.numpy()
    assert np.array_equal(np.load(tmp_path / "logits.npy"), expected)
    prepared = load_prepared(prepared_folder)
    counts = {name: len(rows) for name, rows in prepared.splits.items()}
    assert pulled.stdout.strip() == f"{counts} {prepared.splits['test'][0]['labels']}"


def test_finetune_publishes_the_run_it_has_trained(
    hub: LoopbackHub, check_in_this_process: None, tiny_arguments: Callable[..., list[str]],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("HF_TOKEN")
    run = tmp_path / "run"
    push = ["--push_to_hub", "--hub_model_id", NAME, "--hub_token", TOKEN]
    assert finetune.main(tiny_arguments(run, *push)) == 0
    repo = hub.model(NAME)
    assert repo.private and len(repo.commits) == 2
    assert {name.split("/")[0] for name in published(repo)} == {
        "README.md", "metrics.json", "figures", *contents(run / "model")
    }  # fmt: skip
    # The stock Trainer's own push would have made its repository and saved the token.
    assert hub.requests("repos/create") == 1
    assert not [p for p in run.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert TOKEN not in "".join(capsys.readouterr())
    # The completed run, given the same command, is published again without a change.
    assert finetune.main(tiny_arguments(run, *push)) == 0
    assert "is complete" in capsys.readouterr().out
    assert len(repo.commits) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--push_to_hub"], "--push_to_hub and --hub_model_id you/name go together"),
        (["--hub_model_id", NAME], "go together"),
        (["--push_to_hub", "--hub_model_id", "genres"], "is not of the form you/name"),
        (
            ["--push_to_hub", "--hub_model_id", NAME, "--hub_strategy", "checkpoint"],
            "--hub_strategy is not taken",
        ),
        (["--push_to_hub", "--hub_model_id", NAME, "--hub_token", "hf_wrong"], "refuses the token"),
    ],
)
def test_finetune_refuses_what_cannot_be_published_before_it_trains(
    hub: LoopbackHub, tiny_arguments: Callable[..., list[str]], tmp_path: Path,
    flags: list[str], message: str,
) -> None:  # fmt: skip
    with pytest.raises(InputError, match=message):
        finetune.main(tiny_arguments(tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()


def test_the_publishing_arguments_are_reset_before_a_trainer_sees_them(tmp_path: Path) -> None:
    flags = ["--output-dir", str(tmp_path), "--push_to_hub", "--hub_model_id", NAME]
    flags += ["--hub_token", TOKEN]
    _, args = parse_finetune_args([*flags, "--hub_private_repo", "False"])
    assert pop_hub_arguments(args) == (HubTarget(NAME, public=True), TOKEN)
    assert not args.push_to_hub and args.hub_token is None and args.hub_model_id is None
    assert pop_hub_arguments(args) is None
    for private in ([], ["--hub_private_repo", "True"]):
        _, args = parse_finetune_args([*flags, *private])
        assert pop_hub_arguments(args) == (HubTarget(NAME, public=False), TOKEN)


def test_only_what_belongs_is_listed_and_uploaded(
    hub: LoopbackHub, check_in_this_process: None, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "model" / "checkpoint-10").mkdir()
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin", "events.log", ".cache",
                 "checkpoint-10/model.safetensors"):  # fmt: skip
        (run / "model" / name).write_bytes(b"not this")
    assert publish.main([str(run), "--repo-id", NAME, "--public"]) == 0
    printed = capsys.readouterr().out
    assert not hub.model(NAME).private
    for name, content in contents(run / "model").items():
        belongs = content != b"not this"
        assert (name in hub.model(NAME).files) == belongs
        shown = rf"{len(content):,}  {name}" if belongs else rf"not uploaded  {name}"
        assert re.search(shown, printed), name
    card = hub.model(NAME).files["README.md"].content.decode()
    assert f'model="{NAME}"' in card and "# movie-genres\n" in card


def test_the_files_for_other_runtimes_and_the_page_go_along(
    hub: LoopbackHub, check_in_this_process: None, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_TOKEN", TOKEN)
    monkeypatch.setattr("movie_genres.hub.publication.check_page", lambda *arguments: [])
    pytest.importorskip("onnxruntime", reason="requirements-onnx.txt is not installed")
    pytest.importorskip("onnxscript", reason="requirements-onnx.txt is not installed")
    before = contents(run)
    page = "tester/movie-genres-demo"
    assert publish.main([str(run), "--repo-id", NAME, "--onnx", "--space", page]) == 0
    files = hub.model(NAME).files
    assert {"onnx/model.onnx", "onnx/model_quantized.onnx"} <= set(files)
    assert f'pipeline("text-classification", "{NAME}"' in files["README.md"].content.decode()
    metrics = json.loads(files["metrics.json"].content)
    assert "float32" in metrics["onnx"]
    assert files["README.md"].content.decode() == render_card(metrics, NAME)
    space = hub.repos["spaces", page]
    assert space.private
    classifier = "movie_genres/inference/classifier.py"
    assert {"app.py", "requirements.txt", classifier} <= set(space.files)
    assert f"- {NAME}\n" in space.files["README.md"].content.decode()
    assert contents(run) == before


def test_a_dry_run_prints_files_and_card_and_sends_no_request(
    hub: LoopbackHub, check_in_this_process: None, run: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("HF_TOKEN")
    before = contents(run)
    assert publish.main([str(run), "--repo-id", NAME, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    size = (run / "model" / "model.safetensors").stat().st_size
    assert f"{size:,}  model.safetensors" in printed
    assert f'model="{NAME}"' in printed and printed.endswith("dry run: nothing was sent\n")
    assert hub.log == []
    assert contents(run) == before


def other_threshold(run: Path) -> None:
    edit_json(run / "model" / "config.json", lambda c: c["thresholds"].update(Horror=0.9))


def other_labels(run: Path) -> None:
    edit_json(run / "model" / "config.json", lambda c: c["id2label"].update({"1": "Mystery"}))


def stale_fingerprint(run: Path) -> None:
    edit_json(run / "model" / "config.json", lambda c: c.update(label_fingerprint="0" * 16))


def other_weights(run: Path) -> None:
    path = run / "model" / "model.safetensors"
    weights = load_file(path)
    weights["classifier.bias"] += 2e-4
    save_file(weights, path, metadata={"format": "pt"})


def other_max_length(run: Path) -> None:
    edit_json(run / "model" / "tokenizer_config.json", lambda c: c.update(model_max_length=8))


def other_activation(run: Path) -> None:
    edit_json(
        run / "model" / "config.json",
        lambda c: c.update(problem_type="single_label_classification"),
    )


def other_predictions(run: Path) -> None:
    rows = pd.read_parquet(run / "predictions.parquet")
    rows["y_true"] = [1 - row for row in rows["y_true"]]
    rows.to_parquet(run / "predictions.parquet")


def edit_card(old: str, new: str) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        path = run / "README.md"
        path.write_text(substitute(old, new, path.read_text(encoding="utf-8")), encoding="utf-8")

    return edit


def substitute(old: str, new: str, text: str) -> str:
    assert re.search(old, text)
    return re.sub(old, new, text, count=1)


def drop_key(name: str) -> Callable[[Path], None]:
    return lambda run: edit_json(run / "metrics.json", lambda metrics: metrics.pop(name))


def damage(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(b"not what it was")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_threshold, r"the threshold of Horror is 0.9 in config.json, 0\.\d+ in metrics.json"),
        (
            other_labels,
            "are Comedy, Mystery, Western in config.json, Comedy, Horror, Western in metrics.json",
        ),
        (stale_fingerprint, "were tuned for another label list"),
        (other_weights, "probabilities by pipeline differ from predictions.parquet by up to"),
        (other_max_length, "probabilities by classifier differ"),
        (other_activation, "is no multi-label model"),
        (other_predictions, r"tp of Comedy is \d+ in metrics.json, \d+ by predictions.parquet"),
        (
            edit_card(r"\*\*this model\*\* \| \*\*0", "**this model** | **1"),
            r"line \d+ of README.md is '\| \*\*this model\*\* \| \*\*1.* but '.*\*\*0.*' by "
            "metrics.json; remove README.md, and the card is rendered",
        ),
        (edit_card("value: 0", "value: 1"), r"line \d+ of README.md is '      value: 1"),
        (edit_card(r"\| Horror \|.*\n", ""), r"but '\| Horror \| .*' by metrics.json"),
        (edit_card("- en\n", "- [en\n"), r"is '- \[en', but '- en' by"),
        (edit_card(r"(?s)\n## Citation.*", ""), r"is '', but '## Citation' by"),
        (
            edit_card("(?m)^genres = .*$", "genres = nothing"),
            "is 'genres = nothing', but 'genres =",
        ),
        (
            drop_key("card"),
            "written by an earlier version, .* train it again",
        ),
        (
            drop_key("calibration"),
            "metrics.json is damaged, no card can be rendered from it: 'cali",
        ),
        (drop_key("thresholds"), "metrics.json was not written by finetune.py"),
        (damage("model/config.json"), "config.json is damaged"),
        (damage("metrics.json"), "metrics.json is damaged"),
        (damage("predictions.parquet"), "predictions.parquet is damaged"),
        (damage("model/model.safetensors"), "--model .* cannot be loaded"),
        (
            lambda run: (run / "metrics.json").unlink(),
            "no completed run with a model: metrics.json",
        ),
    ],
)
def test_what_is_not_what_was_measured_is_refused_and_nothing_is_sent(
    hub: LoopbackHub,
    check_in_this_process: None,
    run: Path,
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    spoil(run)
    with pytest.raises(InputError, match=message):
        publish.main([str(run), "--repo-id", NAME])
    # (The client may ask what it runs under, once a day.)
    asked = [line for line in hub.log if line != "GET /api/agent-harnesses"]
    assert asked == ["GET /api/whoami-v2"]


def test_the_gate_compares_the_staged_card_with_its_metrics(run: Path, tmp_path: Path) -> None:
    staged = stage_run(run, NAME, tmp_path / "staged")
    edit_card("Predicts the genres", "Guesses the genres")(staged.folder)
    with pytest.raises(InputError, match="README.md is 'Guesses .*, but 'Predicts .* by metrics"):
        staged.check()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(?m)^genres = .*$", "genres = nothing", "NameError: name 'nothing' is not"),
        ("(?m)^genres = .*$", "genres = []", "the card's code predicts other genres"),
        (
            "(?m)^scores = .*$",
            "scores = classifier('a saloon')[0]",
            "other genres or probabilities",
        ),
    ],
)
def test_a_card_whose_code_does_not_give_the_model_s_genres_is_refused(
    hub: LoopbackHub, check_in_this_process: None, run: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str,
) -> None:  # fmt: skip
    template = tmp_path / "model_card.md"
    content = TEMPLATE.read_text(encoding="utf-8")
    template.write_text(substitute(old, new, content), encoding="utf-8")
    monkeypatch.setattr(card_module, "TEMPLATE", template)
    (run / "README.md").unlink()
    with pytest.raises(InputError, match=message):
        publish.main([str(run), "--repo-id", NAME])
    assert hub.requests("repos/create") == 0


def test_a_run_without_a_card_is_published_with_the_one_that_its_metrics_give(
    hub: LoopbackHub, check_in_this_process: None, run: Path
) -> None:
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    (run / "README.md").unlink()
    assert publish.main([str(run), "--repo-id", NAME]) == 0
    assert hub.model(NAME).files["README.md"].content.decode() == render_card(metrics, NAME)


def test_a_decision_within_the_tolerance_of_its_threshold_is_a_tie(
    hub: LoopbackHub, check_in_this_process: None, run: Path
) -> None:
    rows = pd.read_parquet(run / "predictions.parquet")
    probability = float(rows["probabilities"][0][1])
    for path in (run / "model" / "config.json", run / "metrics.json"):
        edit_json(path, lambda c: c["thresholds"].update(Horror=probability))
    # What was decided is what the counts in metrics.json were made of: they change with it.
    y_true, y_prob = (np.stack(rows[name]) for name in ("y_true", "probabilities"))
    decided = y_prob[:, 1] >= probability
    row: dict[str, float] = {
        cell: int((a & b).sum())
        for cell, a, b in [
            ("tp", y_true[:, 1] == 1, decided), ("fp", y_true[:, 1] == 0, decided),
            ("fn", y_true[:, 1] == 1, ~decided), ("tn", y_true[:, 1] == 0, ~decided),
        ]
    }  # fmt: skip
    row["threshold"] = probability
    edit_json(run / "metrics.json", lambda c: c["per_genre"]["Horror"].update(row))
    thresholds = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["thresholds"]
    y_pred = (y_prob >= list(thresholds.values())).astype(int)
    scores = compute_scores(y_true, y_pred, y_prob)
    edit_json(run / "metrics.json", lambda c: c["test"]["chosen"].update(scores))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    (run / "README.md").write_text(render_card(metrics), encoding="utf-8")
    assert check_card(run) == []
    # On the other side of the threshold, nearer than the tolerance.
    y_prob[0, 1] = np.nextafter(probability, 1) + 5e-6
    rows["probabilities"] = list(y_prob)
    rows.to_parquet(run / "predictions.parquet")
    assert publish.main([str(run), "--repo-id", NAME]) == 0


def test_a_commit_whose_files_come_back_changed_is_named_and_stays_private_without_a_tag(
    hub: LoopbackHub, check_in_this_process: None, run: Path
) -> None:
    hub.faults.append(Fault("GET /cdn/", corrupt=True, times=99))
    with pytest.raises(
        PublishError, match="the content of .* differs from what was sent"
    ) as failure:
        publish.main([str(run), "--repo-id", NAME, "--public", "--tag", "v1.0"])
    repo = hub.model(NAME)
    draft = repo.branches["draft"][-1][0]
    assert f"{NAME}/tree/{draft} did not pass the check: " in str(failure.value)
    assert "`main` is as it was" in str(failure.value)
    assert repo.private and repo.tags == {} and len(repo.commits) == 1
    # The same command again is not hindered by the branch, and leaves none.
    hub.faults.clear()
    assert publish.main([str(run), "--repo-id", NAME]) == 0
    assert set(repo.branches) == {"main"} and len(repo.commits) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere", "--repo-id", NAME], "/nowhere is no completed run"),
        (["--dataset", "/nowhere", "--repo-id", NAME], "/nowhere is no prepared dataset"),
        (["--repo-id", NAME], "name either a run or a --dataset"),
        (["run", "--dataset", "data", "--repo-id", NAME], "name either a run or a --dataset"),
        (["run", "--repo-id", "genres"], "is not of the form you/name"),
        (["run", "--repo-id", NAME, "--tag", "best"], "is not a version like v1.0"),
    ],
)
def test_bad_arguments_end_in_one_line(
    hub: LoopbackHub, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert exit_code(lambda: publish.main(arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
