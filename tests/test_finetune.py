"""finetune.py from end to end, with a tiny random BERT."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from transformers import BertModel

import finetune
import predict
from movie_genres.command_line import exit_code
from movie_genres.decisions.scores import SCORE_NAMES
from movie_genres.decisions.thresholds import OBJECTIVES, decide
from movie_genres.errors import InputError
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.preparation.loading import load_prepared

Arguments = Callable[..., list[str]]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_holds_what_the_contract_says(finished_run: Path) -> None:
    assert {path.name for path in finished_run.iterdir()} == {
        "README.md", "args.json", "checkpoints", "evaluations", "figures", "metrics.json",
        "mistakes.md", "model", "predictions.parquet",
    }  # fmt: skip
    assert {path.name for path in (finished_run / "model").iterdir()} == {
        "config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert {path.stem for path in (finished_run / "figures").iterdir()} == {
        "co_confusion", "confusion_matrices", "genre_f1", "precision_recall", "reliability",
        "reliability_per_genre", "threshold_sweep",
    }  # fmt: skip
    metrics = read_json(finished_run / "metrics.json")
    assert set(metrics["test"]) == {"fixed", "global", "per_genre", "chosen"}
    for scores in [*metrics["test"].values(), *metrics["baselines"].values()]:
        assert set(scores) == set(SCORE_NAMES)
    assert set(metrics["baselines"]) == {"prior", "tfidf_logreg", "linear_probe"}
    assert metrics["test"]["chosen"] == metrics["test"][metrics["chosen_policy"]]
    assert set(metrics["objectives"]) == set(OBJECTIVES)
    selection = metrics["selection"]["policy"]
    assert selection["adopted"] == metrics["chosen_policy"]
    assert set(selection["cross_validated"]) == {"fixed", "global", "per_genre"}
    compared = selection["cross_validated"][selection["adopted"]]
    assert 0 <= compared["behind_best"] <= compared["standard_error"]
    assert compared["value"] == pytest.approx(
        metrics["validation"][selection["adopted"]][selection["objective"]]
    )
    difference = metrics["differences"]["tfidf_logreg"]["f1_micro"]
    assert difference["difference"] == pytest.approx(
        metrics["test"]["chosen"]["f1_micro"] - metrics["baselines"]["tfidf_logreg"]["f1_micro"]
    )
    for row in metrics["per_genre"].values():
        low, high = row["intervals"]["f1"]
        assert low <= row["f1"] <= high
    assert metrics["train"]["seconds"] > 0
    assert metrics["train"]["useful_tokens_per_second"] > 0


def test_confusion_matrices_are_written_at_every_evaluation(finished_run: Path) -> None:
    files = sorted((finished_run / "evaluations").iterdir())
    assert len(files) == 2
    for path in files:
        evaluation = read_json(path)
        assert list(evaluation["confusion"]) == ["Comedy", "Horror", "Western"]
        for counts in evaluation["confusion"].values():
            assert sum(counts.values()) == len(load_validation(finished_run))
        assert evaluation["metrics"]["eval_average_precision_macro"] > 0


def load_validation(run: Path) -> list:
    dataset = read_json(run / "args.json")["project"]["dataset_dir"]
    return load_prepared(Path(dataset)).splits["validation"]


def test_the_model_in_a_fresh_process_gives_by_plain_pipeline_what_was_measured(
    finished_run: Path,
) -> None:
    code = """
import json, sys
import pandas as pd
from transformers import BertModel, pipeline
rows = pd.read_parquet(sys.argv[2])
classifier = pipeline("text-classification", model=sys.argv[1], top_k=None, truncation=True)
print(json.dumps([{s["label"]: s["score"] for s in row} for row in classifier(list(rows["text"]))]))
"""
    predictions = finished_run / "predictions.parquet"
    done = subprocess.run(
        [sys.executable, "-c", code, str(finished_run / "model"), str(predictions)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    published = json.loads(done.stdout.strip().splitlines()[-1])
    labels = ["Comedy", "Horror", "Western"]
    measured = np.stack(pd.read_parquet(predictions)["probabilities"])
    assert np.allclose([[row[label] for label in labels] for row in published], measured, atol=1e-5)


def test_the_stored_decisions_are_the_report_s(finished_run: Path) -> None:
    metrics = read_json(finished_run / "metrics.json")
    config = read_json(finished_run / "model" / "config.json")
    assert config["thresholds"] == pytest.approx(metrics["thresholds"])
    assert config["problem_type"] == "multi_label_classification"
    rows = pd.read_parquet(finished_run / "predictions.parquet")
    classifier = GenreClassifier.from_pretrained(str(finished_run / "model"))
    y_pred = decide(classifier.probabilities(list(rows["text"])), classifier.decisions.thresholds)
    y_true = np.stack(rows["y_true"])
    for label, (name, row) in enumerate(metrics["per_genre"].items()):
        assert row["tp"] == (y_true[:, label] * y_pred[:, label]).sum(), name
        assert row["support"] == y_true[:, label].sum(), name


def test_the_card_s_figures_and_metadata_are_the_run_s(finished_run: Path) -> None:
    card = (finished_run / "README.md").read_text(encoding="utf-8")
    metrics = read_json(finished_run / "metrics.json")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pipeline_tag"] == "text-classification"
    reported = {m["name"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert reported["F1, micro"] == round(metrics["test"]["chosen"]["f1_micro"], 4)
    for name, row in metrics["per_genre"].items():
        figures = [f"{row[k]:.3f}" for k in ("precision", "recall", "f1", "average_precision")]
        line = f"| {name} | {row['support']} | {' | '.join(figures)} | {row['threshold']:.3f} |"
        assert line in card
    for scores in metrics["baselines"].values():
        assert f"| {scores['f1_micro']:.3f} | {scores['f1_macro']:.3f} |" in card
    for path in {part.split(")")[0] for part in card.split("](")[1:]}:
        assert (finished_run / path).is_file(), path


def test_the_same_seed_gives_the_same_metrics_with_gradient_checkpointing_too_and_another_others(
    tiny_arguments: Arguments, finished_run: Path, tmp_path: Path
) -> None:
    def scores(folder: Path) -> dict:
        metrics = read_json(folder / "metrics.json")
        return {k: metrics[k] for k in ("test", "validation", "thresholds", "baselines")}

    assert finetune.main(tiny_arguments(tmp_path / "again", "--gradient-checkpointing")) == 0
    assert scores(tmp_path / "again") == scores(finished_run)
    assert finetune.main(tiny_arguments(tmp_path / "other", "--seed", "7")) == 0
    assert scores(tmp_path / "other")["test"] != scores(finished_run)["test"]


EVERY_FOUR_STEPS = [
    *["--eval-strategy", "steps", "--eval-steps", "4", "--save-strategy", "steps"],
    *["--save-steps", "4", "--save-total-limit", "10", "--num-train-epochs", "2"],
]


@pytest.mark.parametrize("last_kept", ["checkpoint-10", "checkpoint-12", None])
def test_an_interrupted_run_ends_with_the_metrics_of_a_whole_one(
    tiny_arguments: Arguments,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    last_kept: str | None,
) -> None:
    # Stopped between two epochs, within one, and before the first checkpoint.
    in_epoch = last_kept == "checkpoint-12"
    flags = EVERY_FOUR_STEPS if in_epoch else []
    whole = finished_run
    if in_epoch:
        whole = tmp_path / "whole"
        assert finetune.main(tiny_arguments(whole, *flags)) == 0
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    for name in ("metrics.json", "model", "README.md", "figures", "predictions.parquet"):
        target = stopped / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    shutil.rmtree(stopped / "checkpoints" / "weights-1")
    last_step = int(last_kept.split("-")[1]) if last_kept else 0
    for checkpoint in (stopped / "checkpoints").glob("checkpoint-*"):
        if int(checkpoint.name.split("-")[1]) > last_step:
            shutil.rmtree(checkpoint)
    assert (stopped / "checkpoints" / (last_kept or "probe")).exists()
    capsys.readouterr()
    assert finetune.main(tiny_arguments(stopped, *flags)) == 0
    assert ("resuming from" in capsys.readouterr().out) == (last_kept is not None)
    resumed, expected = (read_json(run / "metrics.json") for run in (stopped, whole))
    assert resumed["test"] == expected["test"]
    assert resumed["thresholds"] == expected["thresholds"]


def test_a_completed_run_prints_its_table_and_trains_no_more(
    tiny_arguments: Arguments, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished_run / "metrics.json").stat().st_mtime_ns
    assert finetune.main(tiny_arguments(finished_run)) == 0
    assert "is complete" in (printed := capsys.readouterr().out)
    assert "TF-IDF + logistic regression" in printed
    assert (finished_run / "metrics.json").stat().st_mtime_ns == before


def test_a_run_of_other_arguments_is_not_mixed_with_this_one(
    tiny_arguments: Arguments, finished_run: Path
) -> None:
    with pytest.raises(
        InputError, match=r"--learning-rate \(0.0011 in that run, 0.5 given\).*--overwrite"
    ):
        finetune.main(tiny_arguments(finished_run, "--learning-rate", "0.5"))


def test_other_data_is_not_mixed_with_an_old_run(
    tiny_arguments: Arguments, finished_run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    record = read_json(run / "args.json")
    record["dataset"]["labels"] = ["Comedy", "Horror", "War"]
    (run / "args.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="another label list"):
        finetune.main(tiny_arguments(run))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset-dir", "/nowhere"], "is no prepared dataset"),
        (["--model-name-or-path", "/nowhere"], "is no model folder"),
        (["--max-length", "1000"], r"--max-length 1000 is outside 8 to 64"),
        (["--train-length", "40"], "--train-length 40 is neither 0 nor in 8 to 32"),
        (["--frozen-share", "2"], r"--frozen-share 2.0 is not in \[0, 1\]"),
        (
            ["--lerning-rate", "1"],
            r"unknown argument\(s\): --lerning-rate 1; did you mean --learning-rate\?",
        ),
        (["--bf16", "--precision", "fp16"], "give one of them"),
        (["--probe-c", "nan"], r"--probe-c nan is not in \[0, inf\)"),
        (["--learning-rate", "nan"], "--learning_rate nan"),
        (["--seed", "-1"], "--seed -1 is not in"),
        (["--per-device-train-batch-size", "0"], "--per_device_train_batch_size 0 is less than 1"),
        (["--metric-for-best-model", "bleu"], "--metric_for_best_model 'bleu' is not one of"),
        (["--resume-from-checkpoint", "x"], "resumes from the last checkpoint"),
        (["--label-smoothing-factor", "0.1"], "does not smooth"),
        (["--dataloader-drop-last"], "every film counts"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(
    tiny_arguments: Arguments,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    arguments = tiny_arguments(tmp_path / "run", *flags)
    if "--bf16" in flags:
        index = arguments.index("--precision")
        del arguments[index : index + 2]
    with pytest.raises(InputError, match=message):
        finetune.main(arguments)
    assert exit_code(lambda: finetune.main(arguments)) == 2
    # Nothing is left behind that would stand in the way of the corrected command.
    assert not (tmp_path / "run").exists()


def test_a_bad_argument_beside_overwrite_costs_no_finished_run(
    tiny_arguments: Arguments, finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    with pytest.raises(InputError, match="--max-length 1000"):
        finetune.main(tiny_arguments(run, "--overwrite", "--max-length", "1000"))
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before


def test_overwrite_starts_afresh_and_leaves_other_files_alone(
    tiny_arguments: Arguments, finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "notes.txt").write_text("mine")
    arguments = tiny_arguments(run, "--overwrite", "--num-train-epochs", "1")
    assert finetune.main(arguments) == 0
    assert len(list((run / "evaluations").iterdir())) == 1
    assert (run / "notes.txt").read_text() == "mine"


def test_what_was_measured_is_what_is_published_also_after_training_in_bf16(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert finetune.main(tiny_arguments(run, "--precision", "bf16")) == 0
    rows = pd.read_parquet(run / "predictions.parquet")
    published = GenreClassifier.from_pretrained(str(run / "model"))
    measured = np.stack(rows["probabilities"])
    assert np.allclose(published.probabilities(list(rows["text"])), measured, atol=1e-6)


def test_a_run_that_stopped_early_does_not_train_on_when_it_is_finished_later(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ["--early-stopping-patience", "1", "--num-train-epochs", "6", "--learning-rate", "0"]
    assert finetune.main(tiny_arguments(run, *flags)) == 0
    checkpoints = {path.name for path in (run / "checkpoints").iterdir()}
    first = read_json(run / "metrics.json")
    assert len(list((run / "evaluations").iterdir())) == 2  # the second was no better
    (run / "metrics.json").unlink()
    shutil.rmtree(run / "checkpoints" / "weights-1")
    assert finetune.main(tiny_arguments(run, *flags)) == 0
    assert {path.name for path in (run / "checkpoints").iterdir()} == checkpoints
    assert read_json(run / "metrics.json")["test"] == first["test"]


def test_the_probe_is_the_same_baseline_where_layers_start_at_random(
    tiny_arguments: Arguments, tiny_encoder: Path, tmp_path: Path
) -> None:
    # The encoder alone, without the pooler: transformers fills it in at random.
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, encoder)
    BertModel.from_pretrained(tiny_encoder, add_pooling_layer=False).save_pretrained(encoder)
    run = tmp_path / "run"
    # Without learning the model is the probe; so the baseline must score what the model scores.
    flags = ["--model-name-or-path", str(encoder), "--learning-rate", "0"]
    assert finetune.main(tiny_arguments(run, *flags)) == 0
    metrics = read_json(run / "metrics.json")
    assert metrics["baselines"]["linear_probe"] == pytest.approx(metrics["test"]["chosen"])


def test_a_model_trained_on_the_start_of_texts_is_tuned_and_judged_by_what_it_reads_at_use(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert (
        finetune.main(tiny_arguments(run, "--train-length", "10", "--num-train-epochs", "1")) == 0
    )
    rows = pd.read_parquet(run / "predictions.parquet")
    texts = list(rows["text"])
    published = GenreClassifier.from_pretrained(str(run / "model"))
    assert published.max_length == 32
    measured = np.stack(rows["probabilities"])
    assert np.allclose(published.probabilities(texts), measured, atol=1e-5)
    published.max_length = 10
    assert not np.allclose(published.probabilities(texts), measured, atol=1e-3)
    state = read_json(run / "checkpoints" / "checkpoint-10" / "trainer_state.json")
    dataset = read_json(run / "args.json")["project"]["dataset_dir"]
    films = len(load_prepared(Path(dataset)).splits["train"])
    assert state["num_input_tokens_seen"] <= 10 * films
    assert "to 10 tokens in training, 32 at use" in (run / "README.md").read_text()


def test_a_model_without_its_tokenizer_is_refused(
    tiny_arguments: Arguments, finished_run: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    for number, source in enumerate((finished_run / "model", tiny_encoder)):
        folder = tmp_path / str(number)
        shutil.copytree(source, folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (folder / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match="has no tokenizer files"):
        predict.main(["--model", str(tmp_path / "0"), "the ghost"])
    with pytest.raises(InputError, match="has no tokenizer files"):
        finetune.main(tiny_arguments(tmp_path / "run", "--model-name-or-path", str(tmp_path / "1")))


def test_a_folder_of_something_else_is_not_written_into(
    tiny_arguments: Arguments, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(InputError, match="holds something else"):
        finetune.main(tiny_arguments(tmp_path / "photos", "--overwrite"))
    assert (tmp_path / "photos" / "cat.png").exists()
