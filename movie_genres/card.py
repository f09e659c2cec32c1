"""Results -> the published model's README.md, by the template model_card.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

TEMPLATE = Path(__file__).parent.parent / "model_card.md"

HEADLINE = {
    "f1_micro": "F1, micro",
    "f1_macro": "F1, macro",
    "average_precision_macro": "average precision, macro (mAP)",
    "subset_accuracy": "subset accuracy (all genres of a film right)",
}


def card_data(
    metrics: Mapping[str, Any],
    *,
    model_name: str,
    base_model: str | None,
    model_license: str | None,
    dataset_name: str,
    dataset_id: str,
) -> ModelCardData:
    """The card's metadata: base model, licence, pipeline tag, metrics, model-index.

    Args:
        metrics: The content of metrics.json.
        base_model: A Hub id, or None if the encoder is known by a folder only.
        model_license: A licence identifier of the Hub's list, or None if unknown.
        dataset_id: A name in the form of a Hub dataset id.
    """
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Multi-label text classification",
            dataset_type=dataset_id,
            dataset_name=dataset_name,
            dataset_split="test",
            metric_type="f1" if name.startswith("f1") else "accuracy",
            metric_name=title,
            metric_value=round(metrics["test"]["chosen"][name], 4),
        )
        for name, title in HEADLINE.items()
        if not name.startswith("average")
    ] + [
        EvalResult(
            task_type="text-classification",
            task_name="Multi-label text classification",
            dataset_type=dataset_id,
            dataset_name=dataset_name,
            dataset_split="test",
            metric_type="mean_average_precision",
            metric_name=HEADLINE["average_precision_macro"],
            metric_value=round(metrics["test"]["chosen"]["average_precision_macro"], 4),
        )
    ]
    return ModelCardData(
        language="en",
        license=model_license,
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=base_model,
        datasets=[dataset_id] if "/" in dataset_id else None,
        metrics=["f1", "accuracy"],
        tags=["multi-label-classification", "movies", "genres"],
        model_name=model_name,
        eval_results=results,
    )


def render_card(data: ModelCardData, variables: Mapping[str, Any]) -> str:
    """Fill the template.

    Raises:
        jinja2.UndefinedError: If the template asks for a variable that is not given: a card with
            an empty space is worse than none.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML; the strings are the run's own
    )
    environment.filters["score"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(card_data=data.to_yaml(), **variables)
