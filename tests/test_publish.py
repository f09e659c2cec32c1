"""publish.py and finetune.py --push_to_hub on the loopback Hub, and the gate's refusals."""

from __future__ import annotations

import json
import os
import re
import shutil
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
from huggingface_hub import constants
from loopback_hub import TOKEN, Fault, LoopbackHub, Repo
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import finetune
import publish
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError, PublishError
from movie_genres.hub import trial
from movie_genres.hub.gate import Place
from movie_genres.hub.repository import HubTarget, take_hub_target
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import parse_finetune_args

NAME = "tester/movie-genres"


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def quick_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's trial in this process: the same code without ten seconds of imports."""

    def run_trial(request: dict[str, Any], place: Place) -> dict[str, Any] | str:
        asked = {key: value for key, value in request.items() if key != "kind"} | {"revision": None}
        if place.commit is not None:  # what was pulled back, under its name
            (place.room / place.repo_id).parent.mkdir()
            (place.room / place.repo_id).symlink_to(place.folder)
        with monkeypatch.context() as patch:
            patch.chdir(place.room)
            patch.setattr(constants, "HF_HUB_OFFLINE", True)
            try:
                return trial.try_model(**asked)
            except (InputError, KeyError, NameError) as error:
                return f"{type(error).__name__}: {error}"

    monkeypatch.setattr("movie_genres.hub.gate.run_trial", run_trial)


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
    # Everything as a user has it: commands and the stranger's code in processes of their own.
    hub.faults += [Fault("/commit/", 429, {"Retry-After": "2"}), Fault("repos/create", 500)]
    before = contents(run)
    command = [sys.executable, str(ROOT / "publish.py"), str(run), "--repo-id", NAME]
    done = subprocess.run(
        [*command, "--tag", "v1.0"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    commit = hub.model(NAME).head
    assert f"published: {hub.endpoint}/{NAME}/tree/{commit}" in done.stdout
    assert "trying again in 2 s (1 of 5)" in done.stderr
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
    hub: LoopbackHub, quick_trial: None, tiny_arguments: Callable[..., list[str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
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


def test_the_wish_to_publish_is_taken_off_before_a_trainer_sees_it(tmp_path: Path) -> None:
    flags = ["--output-dir", str(tmp_path), "--push_to_hub", "--hub_model_id", NAME]
    flags += ["--hub_token", TOKEN]
    _, args = parse_finetune_args([*flags, "--hub_private_repo", "False"])
    assert take_hub_target(args) == (HubTarget(NAME, public=True), TOKEN)
    assert not args.push_to_hub and args.hub_token is None and args.hub_model_id is None
    assert take_hub_target(args) is None
    for private in ([], ["--hub_private_repo", "True"]):
        _, args = parse_finetune_args([*flags, *private])
        assert take_hub_target(args) == (HubTarget(NAME, public=False), TOKEN)


def test_only_what_belongs_is_listed_and_uploaded(
    hub: LoopbackHub, quick_trial: None, run: Path, capsys: pytest.CaptureFixture[str]
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
        shown = rf"{len(content):,}  {name}" if belongs else rf"left out +{name}"
        assert re.search(shown, printed), name
    card = hub.model(NAME).files["README.md"].content.decode()
    assert f'model="{NAME}"' in card and "# movie-genres\n" in card


def test_the_files_for_other_runtimes_and_the_page_go_along(
    hub: LoopbackHub, quick_trial: None, run: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="requirements-onnx.txt is not installed")
    pytest.importorskip("onnxscript", reason="requirements-onnx.txt is not installed")
    before = contents(run)
    page = "tester/movie-genres-demo"
    assert publish.main([str(run), "--repo-id", NAME, "--onnx", "--space", page]) == 0
    files = hub.model(NAME).files
    assert {"onnx/model.onnx", "onnx/model_quantized.onnx"} <= set(files)
    assert f'pipeline("text-classification", "{NAME}"' in files["README.md"].content.decode()
    assert "float32" in json.loads(files["metrics.json"].content)["onnx"]
    space = hub.repos["spaces", page]
    assert space.private
    classifier = "movie_genres/inference/classifier.py"
    assert {"app.py", "requirements.txt", classifier} <= set(space.files)
    assert f"- {NAME}\n" in space.files["README.md"].content.decode()
    assert contents(run) == before


def test_a_dry_run_shows_files_and_card_and_asks_no_one(
    hub: LoopbackHub, quick_trial: None, run: Path, capsys: pytest.CaptureFixture[str],
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


def other_cut(run: Path) -> None:
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
        card = (run / "README.md").read_text(encoding="utf-8")
        assert re.search(old, card)
        (run / "README.md").write_text(re.sub(old, new, card, count=1), encoding="utf-8")

    return edit


def damage(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(b"not what it was")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_threshold, r"the threshold of Horror is 0.9 in config.json, 0\.\d+ in metrics.json"),
        (other_labels, "has the genres Comedy, Mystery, Western; metrics.json has others"),
        (stale_fingerprint, "were tuned for another label list"),
        (other_weights, "probabilities by pipeline differ from predictions.parquet by up to"),
        (other_cut, "probabilities by classifier differ"),
        (other_activation, "probabilities by pipeline differ"),
        (other_predictions, r"tp of Comedy is \d+ in metrics.json, \d+ by predictions.parquet"),
        (edit_card(r"\*\*this model\*\* \| \*\*0", "**this model** | **1"), "F1 micro of this mod"),
        (edit_card("value: 0", "value: 1"), "F1, micro is 1.* in the card's metadata"),
        (edit_card(r"\| Horror \|.*\n", ""), "the card has no row for Horror"),
        (edit_card("(?m)^genres = .*$", "genres = nothing"), "NameError: name 'nothing' is not"),
        (edit_card("(?m)^genres = .*$", "genres = []"), "the card's code gives other genres"),
        (edit_card("(?m)^scores = .*$", "scores = classifier('a saloon')[0]"), "other genres"),
        (edit_card("language: en", "language: [en"), "front matter of README.md cannot be read"),
        (damage("model/config.json"), "config.json is damaged"),
        (damage("metrics.json"), "metrics.json is damaged"),
        (damage("predictions.parquet"), "predictions.parquet is damaged"),
        (damage("model/model.safetensors"), "--model .* cannot be loaded"),
        (edit_card('model="model"', 'model="other"'), 'does not load model="model" exactly once'),
        (
            lambda run: (run / "metrics.json").unlink(),
            "no completed run with a model: metrics.json",
        ),
    ],
)
def test_what_is_not_what_was_measured_is_refused_and_nothing_is_sent(
    hub: LoopbackHub, quick_trial: None, run: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(run)
    with pytest.raises(InputError, match=message):
        publish.main([str(run), "--repo-id", NAME])
    # (The client may ask what it runs under, once a day.)
    asked = [line for line in hub.log if line != "GET /api/agent-harnesses"]
    assert asked == ["GET /api/whoami-v2"]


def test_a_decision_within_the_tolerance_of_its_threshold_is_a_tie(
    hub: LoopbackHub, quick_trial: None, run: Path
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
    edit_card(r"(\| Horror (?:\| [\d.]+ ){5})\| [\d.]+", rf"\1| {probability:.3f}")(run)
    # On the other side of the threshold, nearer than the tolerance.
    y_prob[0, 1] = np.nextafter(probability, 1) + 5e-6
    rows["probabilities"] = list(y_prob)
    rows.to_parquet(run / "predictions.parquet")
    assert publish.main([str(run), "--repo-id", NAME]) == 0


def test_a_commit_that_comes_back_otherwise_is_named_and_stays_private_without_a_tag(
    hub: LoopbackHub, quick_trial: None, run: Path
) -> None:
    hub.faults.append(Fault("GET /cdn/", corrupt=True, times=99))
    with pytest.raises(PublishError, match="came back with other content") as failure:
        publish.main([str(run), "--repo-id", NAME, "--public", "--tag", "v1.0"])
    repo = hub.model(NAME)
    assert f"{NAME}/tree/{repo.head} is not shown to be what was" in str(failure.value)
    assert "revert that commit" in str(failure.value)
    assert repo.private and repo.tags == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere", "--repo-id", NAME], "/nowhere is no completed run"),
        (["--dataset", "/nowhere", "--repo-id", NAME], "/nowhere is no prepared dataset"),
        (["--repo-id", NAME], "give a run or --dataset"),
        (["run", "--dataset", "data", "--repo-id", NAME], "give a run or --dataset"),
        (["run", "--repo-id", "genres"], "is not of the form you/name"),
        (["run", "--repo-id", NAME, "--tag", "best"], "is no version like v1.0"),
    ],
)
def test_bad_arguments_end_in_one_line(
    hub: LoopbackHub, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert exit_code(lambda: publish.main(arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
