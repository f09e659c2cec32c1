"""Results -> the published model's README.md, by the template model_card.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from movie_genres.errors import InputError

TEMPLATE = Path(__file__).parents[2] / "model_card.md"
_AFTER_ONNX = "## Per genre\n"
"""Heading of the section that follows the one on ONNX files."""

PLOTS_ALONE = "this model, given the plots alone"
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

RARE = 20
"""Test films below which a genre's figures are called rough."""

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


def card_data(
    metrics: Mapping[str, Any],
    *,
    model_name: str,
    base_model: str | None,
    model_license: str | None,
    dataset_name: str,
    dataset_revision: str,
) -> ModelCardData:
    """The card's metadata: base model, licence, pipeline tag, metrics, model-index.

    Args:
        metrics: The content of metrics.json.
        base_model: A Hub id, or None if the encoder is known by a folder only.
        model_license: A licence identifier of the Hub's list, or None if unknown.
        dataset_name: As the report of the prepared dataset has it.
        dataset_revision: Its fingerprint.
    """
    # The field must look like a Hub id; the data may be on no Hub, so they are not linked.
    words = "".join(c if c.isalnum() else " " for c in dataset_name).split()
    measured_on: dict[str, Any] = {
        "task_type": "text-classification",
        "task_name": "Multi-label text classification",
        "dataset_type": f"local/{'-'.join(words)}",
        "dataset_name": dataset_name,
        "dataset_split": "test",
        "dataset_revision": dataset_revision,
    }
    chosen = metrics["test"]["chosen"]
    return ModelCardData(
        language="en",
        license=model_license,
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=base_model,
        metrics=sorted({kind for kind, _ in MODEL_INDEX.values()} - {"mean_average_precision"}),
        tags=["multi-label-classification", "movies", "genres"],
        model_name=model_name,
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
    """What stands below the model in a table of test scores."""
    plots_alone = metrics.get("plots_alone")  # older runs have none
    rows = {PLOTS_ALONE: plots_alone} if plots_alone else {}
    return rows | {BASELINE_NAMES[name]: found for name, found in metrics["baselines"].items()}


def citations(source_name: str, base_model: str | None) -> list[str]:
    """BibTeX of the data and the encoder, where they are known."""
    return [
        entry
        for start, entry in _CITATIONS.items()
        if source_name.startswith(start) or (base_model or "").startswith(start)
    ]


def tendencies(per_genre: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a model does to rare and to frequent genres, by its own figures.

    Args:
        per_genre: As in metrics.json.

    Returns:
        weakest: The three genres of lowest F1, with it.
        rare: Genres of fewer than `RARE` test films.
        frequent_third, rarest_third: Names and mean recall of the thirds by test films.
        over, under: Up to three genres given at least a fifth more, or less, often than they are
            true, as (name, films given, films true).
    """
    by_films = sorted(per_genre, key=lambda name: -per_genre[name]["support"])
    third = max(1, len(by_films) // 3)
    given = {name: row["tp"] + row["fp"] for name, row in per_genre.items()}
    share = {name: given[name] / max(per_genre[name]["support"], 1) for name in per_genre}

    def mean_recall(names: list[str]) -> dict[str, Any]:
        recalls = [per_genre[name]["recall"] for name in names]
        return {"names": names, "recall": sum(recalls) / len(recalls)}

    def counted(names: list[str]) -> list[tuple[str, int, int]]:
        return [(name, given[name], per_genre[name]["support"]) for name in names[:3]]

    return {
        "weakest": sorted(((n, r["f1"]) for n, r in per_genre.items()), key=lambda p: p[1])[:3],
        "rare": [name for name, row in per_genre.items() if row["support"] < RARE],
        "frequent_third": mean_recall(by_films[:third]),
        "rarest_third": mean_recall(by_films[-third:]),
        "over": counted(sorted((n for n in share if share[n] >= 1.2), key=lambda n: -share[n])),
        "under": counted(sorted((n for n in share if share[n] <= 0.8), key=lambda n: share[n])),
    }


def template_environment() -> jinja2.Environment:
    """What the template is filled in by."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML; the strings are the run's own
    )
    environment.filters["score"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["difference"] = lambda found: (
        f"{found['difference']:+.3f} ({found['interval'][0]:+.3f} to {found['interval'][1]:+.3f})"
    )
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["megabytes"] = lambda size: f"{size / 1e6:.1f} MB"
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment


def render_card(data: ModelCardData, variables: Mapping[str, Any]) -> str:
    """Fill the template.

    Raises:
        jinja2.UndefinedError: If the template asks for a variable that is not given: a card with
            an empty space is worse than none.
    """
    return _template().render(card_data=data.to_yaml(), **variables)


def insert_onnx(card: str, onnx: Mapping[str, Any], model_id: str) -> str:
    """A filled card with the section on its ONNX files, in the place of an earlier one.

    Args:
        onnx: What `onnx_export.add_onnx` gives.
        model_id: What the section's snippet loads.

    Raises:
        InputError: If the card is not one of this template: the section has no place in it.
    """
    template = _template()
    context = template.new_context({"onnx": onnx, "model_id": model_id})
    section = "".join(template.blocks["onnx"](context))
    before, heading, after = card.partition(_AFTER_ONNX)
    if not heading:
        raise InputError(f"the card has no section {_AFTER_ONNX.strip()!r}: it is not a run's")
    title = section.splitlines()[0]
    return before.split(f"{title}\n")[0] + section + heading + after


def _template() -> jinja2.Template:
    return template_environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
