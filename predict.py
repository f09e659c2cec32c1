"""A model folder or Hub id -> genres for new plots.

python predict.py --model runs/demo/model "Two detectives hunt a killer who quotes Dante."
python predict.py --model runs/demo/model --title Jaws "A shark hunts bathers."
python predict.py --model runs/demo/model --input films.csv --output genres.jsonl
cat plots.txt | python predict.py --model runs/demo/model        # one plot per line

A genre is given when its probability reaches the threshold that the model carries; --threshold and
--objective decide otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import transformers

from movie_genres.classifier import GenreClassifier, Prediction
from movie_genres.columns import field_names
from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.fields import PLOT, TITLE
from movie_genres.sources import read_table

SUFFIXES = (".csv", ".jsonl", ".parquet")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Genres for new plots.")
    parser.add_argument("plots", nargs="*", metavar="PLOT", help="a plot; standard input if none")
    parser.add_argument("--model", required=True, help="model folder or Hub id")
    parser.add_argument("--title", help="title of the film, if one plot is given")
    parser.add_argument("--input", type=Path, help="CSV, JSONL or Parquet file of films")
    parser.add_argument("--output", type=Path, help="CSV, JSONL or Parquet file to write")
    parser.add_argument("--text-column", help="column of the plots; found by name if not given")
    parser.add_argument("--title-column", help="column of the titles; found by name if not given")
    cut = parser.add_mutually_exclusive_group()
    cut.add_argument(
        "--threshold", type=float, help="cut all genres here, not at the model's own thresholds"
    )
    cut.add_argument(
        "--objective", help="decide by the thresholds that the model carries for it, e.g. f1_macro"
    )
    parser.add_argument(
        "--never-empty",
        action="store_true",
        default=None,
        help="give the most probable genre to a film that reaches no threshold",
    )
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    if (args.input is None) != (args.output is None):
        raise InputError("--input and --output go together")
    if args.input is not None and (args.plots or args.title):
        raise InputError("give plots as arguments or --input, not both")
    if args.title and len(args.plots) != 1:
        raise InputError("--title goes with exactly one plot")
    if args.output is not None and args.output.is_dir():
        raise InputError(f"--output {args.output} is a folder; name a file")
    for path in (args.input, args.output):
        if path is not None and path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: the file name must end in one of {', '.join(SUFFIXES)}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if args.input is not None:
        table = read_table(args.input)
        names = field_names(list(table.columns), args.text_column, args.title_column)
        films = [
            {names[column]: cell for column, cell in row.items()}
            for row in table.to_dict("records")
        ]
    else:
        films = [{TITLE: args.title or "", PLOT: plot} for plot in args.plots or read_lines()]
    plots = [film[PLOT] for film in films]
    titles = [film.get(TITLE, "") for film in films]
    if not any(plot.strip() for plot in plots):
        raise InputError("no plot given: neither as argument, nor on standard input or in --input")
    classifier = GenreClassifier.from_pretrained(
        args.model,
        threshold=args.threshold,
        objective=args.objective,
        never_empty=args.never_empty,
    )
    absent = [n for n in classifier.fields.names if n not in films[0] and n != TITLE]
    if absent:
        print(
            f"note: the model also reads {', '.join(absent)}; blank here (--input takes columns)",
            file=sys.stderr,
        )
    predictions = classifier(films)
    blank = sum(not plot.strip() for plot in plots)
    if blank:
        print(
            f"note: {blank:,} of {len(plots):,} films have no plot and get no genre",
            file=sys.stderr,
        )
    if args.output is not None:
        write_predictions(args.output, titles, plots, predictions)
        print(f"wrote the genres of {len(predictions):,} films to {args.output}")
    else:
        for film_title, plot, prediction in zip(titles, plots, predictions, strict=True):
            print_prediction(film_title or shorten(plot), prediction)
    return 0


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


def write_predictions(
    path: Path, titles: list[str], plots: list[str], predictions: list[Prediction]
) -> None:
    """Columns title, text, genres, probabilities; the file appears whole or not at all."""
    rows = [
        {
            "title": title,
            "text": plot,
            "genres": list(prediction.genres),
            "probabilities": prediction.probabilities,
        }
        for title, plot, prediction in zip(titles, plots, predictions, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    try:
        if path.suffix.lower() == ".parquet":
            pd.DataFrame(rows).to_parquet(new, index=False)
        elif path.suffix.lower() == ".csv":
            # Names in cells as prepare_dataset.py reads them again.
            flat = [
                row
                | {
                    "genres": "|".join(row["genres"]),
                    "probabilities": json.dumps(row["probabilities"]),
                }
                for row in rows
            ]
            pd.DataFrame(flat).to_csv(new, index=False)
        else:
            with new.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
