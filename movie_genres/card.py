"""Results -> the published model's README.md, by the template model_card.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from movie_genres.errors import InputError

TEMPLATE = Path(__file__).parent.parent / "model_card.md"
_AFTER_ONNX = "## Per genre\n"
"""Heading of the section that follows the one on ONNX files."""

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
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML; the strings are the run's own
    )
    environment.filters["score"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["megabytes"] = lambda size: f"{size / 1e6:.1f} MB"
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
