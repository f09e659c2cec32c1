"""A model folder or Hub id -> genres for new plots.

python predict.py --model runs/demo/model "Two detectives hunt a killer who quotes Dante."
python predict.py --model runs/demo/model --title Jaws "A shark hunts bathers."
python predict.py --model runs/demo/model --input films.csv --output genres.jsonl
python predict.py --model runs/demo/model --input films.csv.gz --output genres.parquet --onnx
cat plots.txt | python predict.py --model runs/demo/model        # one plot per line

A genre is given when its probability reaches the threshold in the model's config; --threshold and
--objective replace these thresholds. Files are read and written a chunk at a time, so memory does
not grow with their length; after Ctrl-C, a signal or a power cut the same command resumes.
PyTorch and transformers are imported once the arguments and --input have been checked.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.inference.precisions import PRECISIONS, check_precision
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.signals import StoppedError

if TYPE_CHECKING:
    from movie_genres.inference.classifier import GenreClassifier, Prediction


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Genres for new plots.")
    parser.add_argument("plots", nargs="*", metavar="PLOT", help="a plot; standard input if none")
    parser.add_argument("--model", required=True, help="model folder or Hub id")
    parser.add_argument("--title", help="title of the film, if one plot is given")
    parser.add_argument(
        "--input", type=Path, help="file of films, as prepare_dataset.py --source takes them"
    )
    parser.add_argument("--output", type=Path, help="CSV, JSONL or Parquet file to write")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="start again: discard the parts that an interrupted command left for --output",
    )
    parser.add_argument(
        "--skip-broken", action="store_true", help="leave out rows of --input that cannot be read"
    )
    parser.add_argument("--text-column", help="column of the plots; found by name if not given")
    parser.add_argument("--title-column", help="column of the titles; found by name if not given")
    parser.add_argument("--sheet", help="sheet of an Excel workbook; the only one if not given")
    thresholds = parser.add_mutually_exclusive_group()
    thresholds.add_argument(
        "--threshold",
        type=float,
        help="one threshold in [0, 1] for all genres, instead of those in the model's config",
    )
    thresholds.add_argument(
        "--objective",
        help="use the thresholds in the model's config that were tuned for this objective, "
        "e.g. f1_macro",
    )
    parser.add_argument(
        "--never-empty",
        action="store_true",
        default=None,
        help="give the most probable genre to a film that reaches no threshold",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="float32 (default; the published scores were measured in it), bf16, or auto: bf16 (on "
        "older GPUs fp16) if the device computes in it, else float32; with --onnx: int8 (default) "
        "or float32",
    )
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="use the model's ONNX file, on the CPU; in int8 a probability depends slightly on "
        "the other films of its batch",
    )
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    check_args(args)
    return args


def check_args(args: argparse.Namespace) -> None:
    """Raises: InputError: If arguments contradict each other, or a value is not allowed."""
    if (args.input is None) != (args.output is None):
        raise InputError("--input and --output go together")
    if args.input is not None and (args.plots or args.title):
        raise InputError("give plots as arguments or --input, not both")
    if args.title and len(args.plots) != 1:
        raise InputError("--title goes with exactly one plot")
    if args.output is not None:
        from movie_genres.inference.prediction_files import check_output  # and with it pyarrow

        check_output(args.output)
    for flag in ("restart", "skip_broken", "text_column", "title_column", "sheet"):
        if getattr(args, flag) and args.input is None:
            raise InputError(f"--{flag.replace('_', '-')} goes with --input")
    check_precision(args.precision, onnx=args.onnx)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.input is None:
        predict_plots(args)
        return 0
    try:
        predict_films(args)
    except StoppedError as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    return 0


def predict_plots(args: argparse.Namespace) -> None:
    """Print the genres of plots given as arguments or on standard input."""
    plots = args.plots or read_lines()
    if not any(plot.strip() for plot in plots):
        raise InputError("no plot given: neither as argument, nor on standard input or in --input")
    classifier = load_classifier(args)
    report_missing_fields(classifier, (TITLE, PLOT))
    report_missing_plots(sum(not plot.strip() for plot in plots), len(plots))
    titles = [args.title or ""] * len(plots)
    for title, plot, prediction in zip(titles, plots, classifier(plots, titles), strict=True):
        print_prediction(title or shorten(plot), prediction)


def predict_films(args: argparse.Namespace) -> None:
    """Write the genres of the films in --input to --output."""
    from movie_genres.inference.bulk import open_films, predict_file

    with tempfile.TemporaryDirectory() as folder:
        films = open_films(
            args.input,
            Path(folder),
            text_column=args.text_column,
            title_column=args.title_column,
            sheet=args.sheet,
            skip_broken=args.skip_broken,
        )
        for note in films.notes:
            print(f"note: {note}", file=sys.stderr)
        classifier = load_classifier(args)
        report_missing_fields(classifier, films.names.values())
        report_missing_plots(films.n_without_plot, films.n_films)
        predict_file(classifier, films, args.output, restart=args.restart)
    print(f"wrote the genres of {films.n_films:,} films to {args.output}")


def load_classifier(args: argparse.Namespace) -> GenreClassifier:
    import transformers

    from movie_genres.inference.classifier import GenreClassifier

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return GenreClassifier.from_pretrained(
        args.model,
        threshold=args.threshold,
        objective=args.objective,
        never_empty=args.never_empty,
        precision=args.precision,
        onnx=args.onnx,
    )


def report_missing_fields(classifier: GenreClassifier, given: Collection[str]) -> None:
    missing = [name for name in classifier.fields.names if name not in given and name != TITLE]
    if missing:
        print(
            f"note: the model was also trained on {', '.join(missing)}, which the input does not "
            "have; --input reads such columns",
            file=sys.stderr,
        )


def report_missing_plots(n_missing: int, n_films: int) -> None:
    if n_missing:
        print(
            f"note: {n_missing:,} of {n_films:,} films have no plot and get no genre",
            file=sys.stderr,
        )


def read_lines() -> list[str]:
    try:
        return [line.strip() for line in sys.stdin if line.strip()]
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8") from None


def shorten(plot: str, width: int = 60) -> str:
    return plot if len(plot) <= width else plot[: width - 1].rstrip() + "…"


def print_prediction(name: str, prediction: Prediction) -> None:
    print(name)
    for genre, probability in prediction.genres.items():
        print(f"  {genre:<18} {probability:.2f}")
    if not prediction.genres:
        best = max(prediction.probabilities, key=lambda genre: prediction.probabilities[genre])
        print(f"  no genre reaches its threshold; nearest: {best} "
              f"{prediction.probabilities[best]:.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(exit_code(main))
