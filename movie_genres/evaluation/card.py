"""metrics.json -> the model card README.md, by the template model_card.md.

Everything that a card says comes from the template and from metrics.json, its key "card" included,
so a card can be rendered again, under another name too, and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from movie_genres.markdown import literal

TEMPLATE = Path(__file__).parents[2] / "model_card.md"
PLOTS_ALONE = "this model, reading the plots only"
BASELINE_NAMES = {
    "prior": "genre frequencies alone",
    "tfidf_logreg": "TF-IDF + logistic regression",
    "linear_probe": "frozen encoder + logistic regression",
}

MODEL_INDEX = {
    "f1_micro": ("f1", "F1, micro"),
    "f1_macro": ("f1", "F1, macro"),
    "precision_micro": ("precision", "precision, micro"),
    "recall_micro": ("recall", "recall, micro"),
    "average_precision_macro": (
        "mean_average_precision",
        "average precision, macro (mAP)",
    ),
    "subset_accuracy": ("accuracy", "subset accuracy (all genres of a film right)"),
}
"""Scores in the card's metadata: the Hub's name of the metric, and ours."""

_LISTED = 12
"""Genres that one sentence lists."""
RARE = 20
"""Test films below which a genre's scores are called uncertain."""

_CALIBRATION_TEXT = {
    "none": "none beyond undoing the shift that class weights cause. A temperature, or a slope and "
    "shift per genre, did not lower the cross-validated log-loss by more than a standard error.",
    "temperature": "one temperature for all genres, folded into the last layer.",
    "affine": "a slope and a shift of the logit per genre, folded into the last layer.",
    "stored": "as stored with the model.",
}

_CITATIONS = {
    "CMU Movie Summary Corpus": """\
@inproceedings{bamman-etal-2013-learning,
  title = {Learning Latent Personas of Film Characters},
  author = {Bamman, David and O'Connor, Brendan and Smith, Noah A.},
  booktitle = {Proceedings of the 51st Annual Meeting of the ACL},
  pages = {352--361},
  year = {2013}
}""",
    "sentence-transformers/": """\
@inproceedings{reimers-gurevych-2019-sentence,
  title = {Sentence-{BERT}: Sentence Embeddings using {S}iamese {BERT}-Networks},
  author = {Reimers, Nils and Gurevych, Iryna},
  booktitle = {Proceedings of EMNLP-IJCNLP 2019},
  pages = {3982--3992},
  year = {2019}
}""",
}  # fmt: skip


def render_card(metrics: Mapping[str, Any], repo_id: str | None = None) -> str:
    """The model card of a run.

    Args:
        metrics: The content of metrics.json, with what `artifacts.card_inputs` gives as "card".
        repo_id: Name of the published model, "you/name". None for the card in the run's folder,
            whose code loads the model beside it.

    Raises:
        LookupError, TypeError, jinja2.UndefinedError: If something that the card needs is missing.
    """
    return fill_template(card_variables(metrics, repo_id))


def fill_template(variables: Mapping[str, Any]) -> str:
    """Raises: jinja2.UndefinedError: If a variable of the template is not given."""
    template = template_environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(variables)


def card_variables(metrics: Mapping[str, Any], repo_id: str | None = None) -> dict[str, Any]:
    """What the template is given; arguments and errors as for `render_card`."""
    card = dict(metrics["card"])
    if repo_id is not None:
        card |= {"model_name": repo_id.split("/")[-1], "model_id": repo_id}
    per_genre, posters = metrics["per_genre"], metrics.get("posters")
    data = card.pop("trained_on", None) or "", card["dataset"]["name"]  # older runs: the second
    cited = [entry for name in data for entry in citations(name, card["base_model"])]
    calibration = (metrics["selection"] or {}).get("calibration", {}).get("adopted", "stored")
    return card | {
        "card_data": card_data(metrics, card).to_yaml(),
        "citations": list(dict.fromkeys(cited)),
        "labels": list(per_genre),
        "chosen": metrics["test"]["chosen"],
        "others": other_rows(metrics),
        "intervals": metrics["intervals"]["chosen"],
        "differences": {
            BASELINE_NAMES[n]: s for n, s in metrics["differences"].items() if n != "prior"
        },
        "never_empty": metrics["never_empty"],
        "objectives": metrics["objectives"],
        "policies": {n: s for n, s in metrics["test"].items() if n != "chosen"},
        "policy": metrics["chosen_policy"],
        "decision_text": _decision_text(metrics),
        "per_genre": per_genre,
        "calibration": metrics["calibration"],
        "calibration_text": _CALIBRATION_TEXT[calibration],
        "tendencies": tendencies(per_genre),
        "verdict": verdict(metrics["differences"]),
        "tfidf_text": _tfidf_text(metrics.get("baseline_settings", {}).get("tfidf_logreg")),
        "interval_method": metrics["intervals"].get("method", "bootstrap over films"),
        "off_genres": [n for n, row in per_genre.items() if row["calibration_p"] < 0.05],
        "rare_films": RARE,
        "onnx": metrics.get("onnx"),
        "posters": posters and posters | {"ways": poster_rows(posters)},
    }


def verdict(differences: Mapping[str, Mapping[str, Any]]) -> str:
    """In words, whether the model is better than TF-IDF with logistic regression.

    Args:
        differences: As in metrics.json. An interval that holds 0 is within chance.
    """
    if "tfidf_logreg" not in differences:
        return ""
    found: dict[str, list[str]] = {"ahead of": [], "within chance (95 %) of": [], "behind": []}
    for score, name in (
        ("f1_micro", "F1 micro"), ("f1_macro", "F1 macro"), ("average_precision_macro", "mAP")
    ):  # fmt: skip
        row = differences["tfidf_logreg"][score]
        low, high = row["interval"]
        side = "ahead of" if low > 0 else "behind" if high < 0 else "within chance (95 %) of"
        found[side].append(f"{name} ({row['difference']:+.3f})")
    parts = [f"{side} TF-IDF in {_listed(names)}" for side, names in found.items() if names]
    return f"{'; '.join(parts)}."


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _tfidf_text(settings: Mapping[str, Any] | None) -> str:
    if settings is None:
        return ""
    words = "words and pairs of words" if settings["longest_ngram"] == 2 else "words"
    return (
        f"The TF-IDF baseline reads whole texts. Its settings, too, have the best mAP on "
        f"validation: {words}, {'1 + log of the counts' if settings['sublinear'] else 'counts'}, "
        f"C = {settings['penalty']:g}."
    )


def _decision_text(metrics: Mapping[str, Any]) -> str:
    if metrics["chosen_policy"] == "stored":
        return "The thresholds are those stored with the model. Nothing was fitted on this data."
    return (
        f"The thresholds were tuned for `{metrics['objective']}` on the validation split. The "
        f"threshold policy `{metrics['chosen_policy']}` is the simplest one within a standard "
        "error of the best, by cross-validation within that split with the calibration fitted "
        "again in each fold. The test split was used once, for the scores on this page."
    )


def card_data(metrics: Mapping[str, Any], card: Mapping[str, Any]) -> ModelCardData:
    """The card's metadata: base model, licence, pipeline tag, metrics, model-index.

    Args:
        metrics: The content of metrics.json.
        card: Its key "card", or the same under the published name.
    """
    dataset = card["dataset"]
    # The field must look like a Hub id; the data may be on no Hub, so they are not linked.
    words = "".join(c if c.isalnum() else " " for c in dataset["name"]).split()
    measured_on: dict[str, Any] = {
        "task_type": "text-classification",
        "task_name": "Multi-label text classification",
        "dataset_type": f"local/{'-'.join(words)}",
        "dataset_name": dataset["name"],
        "dataset_split": "test",
        "dataset_revision": dataset["fingerprint"],
    }
    chosen = metrics["test"]["chosen"]
    return ModelCardData(
        language=dataset.get("language") or None,  # of the plots; older runs did not detect it
        license=card["license"],
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=card["base_model"],
        metrics=sorted({kind for kind, _ in MODEL_INDEX.values()} - {"mean_average_precision"}),
        tags=["multi-label-classification", "movies", "genres"],
        model_name=card["model_name"],
        eval_results=[
            EvalResult(
                **measured_on,
                metric_type=kind,
                metric_name=title,
                metric_value=round(chosen[score], 4),
            )
            for score, (kind, title) in MODEL_INDEX.items()
        ],
    )


def other_rows(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Test scores to compare the model's with, by the name of their row."""
    plots_alone = metrics.get("plots_alone")  # older runs have none
    rows = {PLOTS_ALONE: plots_alone} if plots_alone else {}
    return rows | {BASELINE_NAMES[name]: found for name, found in metrics["baselines"].items()}


def poster_rows(posters: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Scores on the test films with a poster, by the name of their row."""
    names = {"text": "the text alone", "poster": "the poster alone", "both": "text and poster"}
    return {name: posters["scores"][way] for way, name in names.items()}


def citations(source_name: str, base_model: str | None) -> list[str]:
    """BibTeX of the data and the encoder, where they are known."""
    return [
        entry
        for start, entry in _CITATIONS.items()
        if source_name.startswith(start) or (base_model or "").startswith(start)
    ]


def tendencies(per_genre: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Which genres a model finds badly, or predicts too often or too rarely.

    Args:
        per_genre: As in metrics.json.

    Returns:
        weakest: The three genres of lowest F1, with it.
        rare: Genres of fewer than `RARE` test films.
        frequent_third, rarest_third: Names and mean recall of the thirds by test films.
        most_given: (name, films predicted, films labelled) of the genre that is predicted for
            the most films too many; None where no genre is predicted too often by a fifth.
        over, under: Up to three genres predicted at least a fifth more, or less, often than
            labelled, as (name, films predicted, films labelled).
    """
    by_films = sorted(per_genre, key=lambda name: -per_genre[name]["support"])
    third = max(1, len(by_films) // 3)
    predicted = {name: row["tp"] + row["fp"] for name, row in per_genre.items()}
    share = {name: predicted[name] / max(per_genre[name]["support"], 1) for name in per_genre}

    def mean_recall(names: list[str]) -> dict[str, Any]:
        recalls = [per_genre[name]["recall"] for name in names]
        return {"names": names, "recall": sum(recalls) / len(recalls)}

    def counted(names: list[str]) -> list[tuple[str, int, int]]:
        return [(name, predicted[name], per_genre[name]["support"]) for name in names[:3]]

    return {
        "weakest": sorted(((n, r["f1"]) for n, r in per_genre.items()), key=lambda p: p[1])[:3],
        "rare": [name for name, row in per_genre.items() if row["support"] < RARE],
        "frequent_third": mean_recall(by_films[:third]),
        "rarest_third": mean_recall(by_films[-third:]),
        "over": counted(sorted((n for n in share if share[n] >= 1.2), key=lambda n: -share[n])),
        "most_given": next(
            iter(
                counted(
                    sorted(
                        (n for n in share if share[n] >= 1.2),
                        key=lambda n: per_genre[n]["support"] - predicted[n],
                    )
                )
            ),
            None,
        ),
        "under": counted(sorted((n for n in share if share[n] <= 0.8), key=lambda n: share[n])),
    }


def template_environment() -> jinja2.Environment:
    """Jinja with the template's filters; a variable that is not given is an error."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML; the strings are the run's own
    )
    environment.filters["score"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["difference"] = lambda row: (
        f"{row['difference']:+.3f} ({row['interval'][0]:+.3f} to {row['interval'][1]:+.3f})"
    )
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["megabytes"] = lambda size: f"{size / 1e6:.1f} MB"
    environment.filters["literal"] = literal
    environment.filters["literal_list"] = lambda names: ", ".join(map(literal, names))
    environment.filters["shown"] = lambda names: (
        names if len(names) <= _LISTED else [*names[:_LISTED], f"{len(names) - _LISTED} others"]
    )
    return environment
