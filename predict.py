"""A model folder or Hub id -> genres for new plots.

python predict.py --model runs/demo/model "Two detectives hunt a killer who quotes Dante."
python predict.py --model runs/demo/model --explain "A shark comes. A sheriff hunts it."
python predict.py --model runs/demo/model --input films.csv --output genres.jsonl
python predict.py --model runs/demo/model --input films.csv.gz --output genres.parquet --onnx
cat plots.txt | python predict.py --model runs/demo/model        # a line of genres for each line

A genre is given when its probability reaches the threshold in the model's config; --threshold and
--objective replace these thresholds. Files are read and written a chunk at a time, so memory does
not grow with their length; after Ctrl-C, a signal or a power cut the same command resumes.
PyTorch and transformers are imported once the arguments and --input have been checked.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.inference.precisions import PRECISIONS, check_precision
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.signals import StoppedError

if TYPE_CHECKING:
    from movie_genres.inference.classifier import GenreClassifier, Prediction
    from movie_genres.inference.explanation import Explanation
    from movie_genres.inference.films import FilmsFile
    from movie_genres.posters.pictures import PictureFolder

OF_FILES = (
    *("restart", "overwrite", "skip_broken", "keep_columns"),
    *("text_column", "title_column", "encoding", "sheet", "image_dir"),
)
"""Arguments that go with --input."""
CLOSED_PIPE = 128 + 13
"""Exit code of a filter whose reader has gone: 128 and the number of SIGPIPE."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Genres for new plots.")
    add = parser.add_argument
    add("plots", nargs="*", metavar="PLOT", help="a plot; lines of standard input if none")
    add("--model", required=True, help="model folder, folder of a run, or Hub id")
    add("--title", help="title of the film, if one plot is given")
    add(
        "--explain",
        action="store_true",
        help="print the sentences of a plot that speak for each of its genres, and how much lower "
        "the probability is without them; for plots given as arguments",
    )
    _add_files(parser.add_argument_group("films in a file").add_argument)
    _add_decisions(parser.add_argument_group("the decisions"))
    _add_runtime(parser.add_argument_group("the computation").add_argument)
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    check_args(args)
    return args


def _add_files(add: Callable[..., object]) -> None:
    add("--input", type=Path, help="file of films, as prepare_dataset.py --source takes them")
    add(
        "--output",
        type=Path,
        help="CSV, JSONL or Parquet file to write: row number, id, title, text, genres, "
        "probabilities",
    )
    add(
        "--keep-columns",
        action="store_true",
        help="write the other columns of --input too, as text",
    )
    add("--overwrite", action="store_true", help="replace an existing --output")
    add(
        "--restart",
        action="store_true",
        help="start again: discard the parts that an interrupted command left for --output",
    )
    add("--skip-broken", action="store_true", help="leave out rows of --input that cannot be read")
    add("--text-column", help="column of the plots; found by name or content if not given")
    add("--title-column", help="column of the titles; found by name if not given")
    add(
        "--image-dir",
        type=Path,
        metavar="FOLDER",
        help="folder of posters named by the films' ids (862.jpg); the model must read posters",
    )
    add("--sheet", help="sheet of an Excel workbook; the only one if not given")
    add("--encoding", help="encoding of a text file; found out if not given")


def _add_decisions(group: argparse._ArgumentGroup) -> None:
    thresholds = group.add_mutually_exclusive_group()
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
    group.add_argument(
        "--never-empty",
        action="store_true",
        default=None,
        help="give the most probable genre to a film that reaches no threshold",
    )


def _add_runtime(add: Callable[..., object]) -> None:
    add(
        "--precision",
        choices=PRECISIONS,
        help="float32 (default; the published scores were measured in it), bf16, or auto: bf16 (on "
        "older GPUs fp16) if the device computes in it, else float32; with --onnx: int8 (default) "
        "or float32",
    )
    add(
        "--onnx",
        action="store_true",
        help="use the model's ONNX file, on the CPU; in int8 a probability depends slightly on "
        "the other films of its batch",
    )


def check_args(args: argparse.Namespace) -> None:
    """Raises: InputError: If arguments contradict each other, or a value is not allowed."""
    if (args.input is None) != (args.output is None):
        raise InputError("--input and --output go together")
    if args.input is not None and (args.plots or args.title):
        raise InputError("give plots as arguments or --input, not both")
    if args.title and len(args.plots) != 1:
        raise InputError("--title goes with exactly one plot")
    if args.explain and not args.plots:
        raise InputError("--explain goes with plots that are given as arguments")
    for name in OF_FILES:
        if getattr(args, name) and args.input is None:
            raise InputError(f"--{name.replace('_', '-')} goes with --input")
    if args.output is not None:
        from movie_genres.inference.prediction_files import check_output  # and with it pyarrow

        check_output(args.output, args.input, overwrite=args.overwrite)
    check_precision(args.precision, onnx=args.onnx)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        if args.input is not None:
            predict_films(args)
        elif args.plots:
            predict_plots(args)
        else:
            predict_lines(args)
        sys.stdout.flush()
    except StoppedError as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except BrokenPipeError:  # who reads the output has enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    return 0


def predict_plots(args: argparse.Namespace) -> None:
    """Print the genres of plots given as arguments."""
    from movie_genres.texts.text import says_nothing

    plots: list[str] = args.plots
    missing = sum(map(says_nothing, plots))
    if not any(plot.strip() for plot in plots):
        raise InputError("no plot given: neither as argument, nor on standard input or in --input")
    classifier = load_classifier(args)
    report_missing_fields(classifier, (TITLE, PLOT))
    report_missing_plots(missing, len(plots))
    if args.explain:
        for plot in plots:
            print_explanation(args.title or shorten(plot), classifier.explain(plot, args.title))
        return
    titles = [args.title or ""] * len(plots)
    for title, plot, prediction in zip(titles, plots, classifier(plots, titles), strict=True):
        print_prediction(title or shorten(plot), prediction)


def predict_lines(args: argparse.Namespace) -> None:
    """Answer each line of standard input, as soon as it comes, by one line of genres.

    It is empty if the film gets no genre, as for an empty line.
    """
    classifier = load_classifier(args)
    report_missing_fields(classifier, (TITLE, PLOT))
    for plot in read_lines():
        genres = classifier([plot])[0].genres if plot else {}
        print(", ".join(f"{genre} {p:.2f}" for genre, p in genres.items()), flush=True)


def predict_films(args: argparse.Namespace) -> None:
    """Write the genres of the films in --input to --output."""
    from movie_genres.inference.bulk import predict_file
    from movie_genres.inference.films import open_films

    with tempfile.TemporaryDirectory() as folder:
        films = open_films(
            args.input,
            Path(folder),
            text_column=args.text_column,
            title_column=args.title_column,
            sheet=args.sheet,
            encoding=args.encoding,
            skip_broken=args.skip_broken,
        )
        for note in films.notes:
            print(f"note: {note}", file=sys.stderr)
        pictures = open_pictures(args.image_dir, films) if args.image_dir is not None else None
        classifier = load_classifier(args)
        if pictures is not None:
            _ = classifier.posters  # refuses a model without them before the work
        report_missing_fields(classifier, films.names.values())
        report_missing_plots(films.n_without_plot, films.n_films)
        predict_file(
            classifier,
            films,
            args.output,
            keep_columns=args.keep_columns,
            restart=args.restart,
            overwrite=args.overwrite,
            pictures=pictures,
        )
    print(f"wrote the genres of {films.n_films:,} films to {args.output}")


def open_pictures(folder: Path, films: FilmsFile) -> PictureFolder:
    """The posters of --image-dir; how many films have one is reported.

    Raises:
        InputError: If there is no such folder, or no film has one.
    """
    from movie_genres.posters.pictures import PictureFolder  # and with it Pillow

    if films.id is None:
        raise InputError(
            "--image-dir has files named by id, and --input has no column of ids; name it `id`"
        )
    pictures = PictureFolder.open(folder)
    ids = (film.kept[films.id] for film in films.films((), (films.id,)))
    found = sum(pictures.of_film(identifier, films.id) is not None for identifier in ids)
    if not found:
        raise InputError(f"no file of --image-dir {folder} is named by an id in {films.id!r}")
    print(
        f"note: {found:,} of {films.n_films:,} films have a file in {folder}; the others, and "
        "those whose file is no usable picture, are decided by their text",
        file=sys.stderr,
    )
    return pictures


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


def read_lines() -> Iterator[str]:
    """The lines of standard input, each as soon as it is there."""
    number = 0
    try:
        for number, line in enumerate(sys.stdin, 1):  # noqa: B007
            yield line.strip()
    except UnicodeDecodeError:
        raise InputError(f"standard input is not UTF-8 after its line {number}") from None


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


def print_explanation(name: str, explanation: Explanation) -> None:
    """Print the genres, and under each the sentences without which it is less probable."""
    if not explanation.prediction.genres or not explanation.changes:
        print_prediction(name, explanation.prediction)
        if explanation.prediction.genres:
            print("  one sentence: there is nothing to leave out")
        return
    print(name)
    for genre, probability in explanation.prediction.genres.items():
        print(f"  {genre:<18} {probability:.2f}")
        reasons = explanation.reasons(genre)
        for reason in reasons:
            print(f"    {reason.change:+.2f}  {shorten(reason.sentence, 90)}")
        if not reasons:
            print("    no sentence alone makes a difference")


if __name__ == "__main__":
    sys.exit(exit_code(main))
