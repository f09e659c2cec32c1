"""A model + a prepared dataset -> scores, figures, card; with --retune also new decisions.

    python evaluate_model.py --model runs/demo/model --dataset-dir data/prepared \\
        --output-dir runs/demo-again
    python evaluate_model.py --model runs/demo/model --dataset-dir data/mine \\
        --output-dir runs/retuned --retune --objective f1_macro
    python evaluate_model.py --model runs/demo/model --dataset-dir data/prepared \\
        --output-dir runs/demo-onnx --onnx
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from datasets import disable_progress_bars
from transformers import PreTrainedModel

from movie_genres.command_line import dashes, exit_code
from movie_genres.decisions.stored import label_names, undo_calibration
from movie_genres.errors import InputError
from movie_genres.evaluation.artifacts import ModelMetadata, result_table, write_results
from movie_genres.evaluation.judge import (
    TextModel,
    judge_as_stored,
    judge_baselines,
    tune_and_judge,
)
from movie_genres.evaluation.predictions import Predictions
from movie_genres.hub.onnx_export import add_onnx, check_installed
from movie_genres.inference.classifier import check_multi_label
from movie_genres.model.folders import load_model, model_folder, stored_max_length
from movie_genres.preparation.loading import Prepared, load_prepared
from movie_genres.texts.fields import TextFields
from movie_genres.training.arguments import check_objective

if TYPE_CHECKING:
    from movie_genres.posters.model import PosterModel


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Judge a model on a prepared dataset.")
    parser.add_argument("--model", required=True, help="model folder or Hub id")
    parser.add_argument("--dataset-dir", type=Path, required=True, help="prepared dataset")
    parser.add_argument("--output-dir", type=Path, required=True, help="new folder for the report")
    parser.add_argument(
        "--retune",
        action="store_true",
        help="fit calibration and thresholds again on the validation split and write a new model/",
    )
    parser.add_argument(
        "--objective",
        help="with --retune (default f1_micro): what the thresholds are for, as in finetune.py",
    )
    parser.add_argument(
        "--never-empty",
        action="store_true",
        help="with --retune: give the most probable genre to a film that reaches no threshold",
    )
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="write a model/ with onnx/ for other runtimes, float32 and int8, and score both",
    )
    parser.add_argument("--seed", type=int, default=0, help="of folds and resamples")
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    for flag in ("objective", "never_empty"):
        if getattr(args, flag) and not args.retune:
            name = flag.replace("_", "-")
            raise InputError(f"--{name} changes the decisions, so it goes with --retune")
    if args.onnx:
        check_installed()
    args.model = model_folder(args.model)
    args.objective = check_objective(args.objective or "f1_micro")
    folder = args.output_dir
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output-dir {args.output_dir} is not an empty folder; name another")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    prepared = load_prepared(args.dataset_dir)
    model, tokenizer = load_model(args.model)
    check_multi_label(model.config, args.model)
    check_labels(label_names(model.config), prepared, args.model)
    check_fields(model, prepared, args.model)
    text_model = TextModel(model, tokenizer, stored_max_length(tokenizer, model.config))
    metadata = model_metadata(args, text_model)
    sweep = None
    poster = load_posters(args, model, prepared)
    if args.retune:
        # The fusion was fitted to other text logits.
        model.config.__dict__.pop("poster_fusion", None)
        model.config.provenance = metadata.provenance(prepared)
        stored = undo_calibration(model, prepared.labels)
        results, sweep = tune_and_judge(
            text_model,
            prepared,
            pos_weight=stored.pos_weight,
            objective=args.objective,
            never_empty=args.never_empty,
            seed=args.seed,
            model_folder=args.output_dir / "model",
        )
    else:
        results = judge_as_stored(text_model, prepared, name=args.model)
    baselines = judge_baselines(
        prepared,
        objective=check_objective(results.thresholds.objective),
        never_empty=results.thresholds.never_empty,
        seed=args.seed,
    )
    if poster is not None:
        posters = judge_with_posters(args, poster, text_model, prepared)
        results = replace(results, posters=posters)
    results = replace(results, baselines=baselines)
    write_results(args.output_dir, results, prepared, metadata, sweep=sweep)
    if args.onnx:
        write_onnx(text_model, args)
    print(f"Test split of {args.dataset_dir}, threshold policy '{results.thresholds.policy}':\n")
    print(result_table(results.metrics()))
    print(f"\nreport   {args.output_dir / 'README.md'}")
    return 0


def load_posters(
    args: argparse.Namespace, model: PreTrainedModel, prepared: Prepared
) -> PosterModel | None:
    """The poster model, if there is one and enough films of the data have a poster."""
    if not getattr(model.config, "poster_fusion", None):
        return None
    from movie_genres.posters.fitting import check_posters
    from movie_genres.posters.model import PosterModel

    try:
        check_posters(prepared, ("validation", "test") if args.retune else ("test",))
    except InputError as error:
        print(f"note: the text alone is judged: {error}")
        return None
    poster = PosterModel.load(args.model, "--model")
    if not hasattr(poster.model.config, "n_posters"):
        raise InputError(
            f"{args.model} does not say what its posters were fitted on (n_posters in "
            "poster/config.json): an earlier version trained it; train it again"
        )
    return poster


def judge_with_posters(
    args: argparse.Namespace, poster: PosterModel, text_model: TextModel, prepared: Prepared
) -> dict[str, Any]:
    """What metrics.json says of the posters; with --retune they are tuned again, too."""
    from movie_genres.posters.fitting import tune_posters
    from movie_genres.posters.judging import judge_posters

    config, name = text_model.model.config, args.model
    if args.retune:
        name = str(args.output_dir / "model")
        stored = undo_calibration(poster.model, prepared.labels)
        tune_posters(
            poster, text_model.logits, config, prepared, Path(name),
            pos_weight=stored.pos_weight, objective=args.objective,
            never_empty=args.never_empty, seed=args.seed,
        )  # fmt: skip
    return judge_posters(name, text_model.logits, config, prepared, args.output_dir)


def write_onnx(text_model: TextModel, args: argparse.Namespace) -> None:
    if not args.retune:
        text_model.save(args.output_dir / "model")
        if getattr(text_model.model.config, "poster_fusion", None):
            from movie_genres.posters.model import FOLDER, PosterModel

            PosterModel.load(args.model, "--model").save(args.output_dir / "model" / FOLDER)
    found = add_onnx(
        text_model.model,
        text_model.tokenizer,
        Predictions.read(args.output_dir / "predictions.parquet"),
        model_folder=args.output_dir / "model",
        report_folder=args.output_dir,
    )
    for precision, row in found.items():
        scores = row["test"]
        print(
            f"{row['file']} ({precision}): {row['bytes']:,} bytes, probabilities within "
            f"{row['largest_difference']:.1g}, F1 micro {scores['f1_micro']:.3f}, F1 macro "
            f"{scores['f1_macro']:.3f}, mAP {scores['average_precision_macro']:.3f}"
        )
    print()


def check_labels(labels: list[str], prepared: Prepared, name: str) -> None:
    if labels != prepared.labels:
        only_model = sorted(set(labels) - set(prepared.labels))
        only_data = sorted(set(prepared.labels) - set(labels))
        raise InputError(
            f"{name} and the prepared dataset have different genres (model only: "
            f"{', '.join(only_model) or 'none'}; data only: {', '.join(only_data) or 'none'}); "
            "prepare the data with the aliases and --min-genre-count of the model"
        )


def check_fields(model: PreTrainedModel, prepared: Prepared, name: str) -> None:
    own = TextFields.from_json(getattr(model.config, "text_fields", None), name)
    data = prepared.fields
    if own != data:
        raise InputError(
            f"{name} reads texts of {', '.join(own.names)}, the prepared dataset has texts of "
            f"{', '.join(data.names)} (or masks other words); prepare it with the same "
            "--text-fields and --mask-genre-names"
        )


def model_metadata(args: argparse.Namespace, text_model: TextModel) -> ModelMetadata:
    """What the card says about the model: what its config says of where it is from."""
    stored = getattr(text_model.model.config, "provenance", None) or {}
    is_folder = Path(args.model).exists()
    # A path says nothing to another reader of the card, and something about this machine.
    name = "A model" if is_folder else f"The model `{args.model}`"
    judged = "calibration and thresholds fitted again on" if args.retune else "judged on"
    training = {} if is_folder else {"model": f"`{args.model}`, not trained further"}
    return ModelMetadata(
        name=args.output_dir.resolve().name,
        model_id="model" if args.retune or args.onnx else args.model,
        origin=f"{stored.get('origin', name)}; {judged}",
        base_model=stored.get("base_model") or (None if is_folder else args.model),
        license=stored.get("license"),
        max_length=text_model.max_length,
        training=stored.get("training", training),
        trained_on=stored.get("trained_on", ""),
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
