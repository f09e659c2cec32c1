"""What was read, kept and dropped: the report of a prepared dataset and its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import yaml

from movie_genres.genres import GenreFormat
from movie_genres.sources import Source
from movie_genres.splits import SPLITS

_SHOWN = 10
_LENGTH_PERCENTILES = (5, 25, 50, 75, 95, 100)


def build_report(
    films: pd.DataFrame,
    kept: pd.DataFrame,
    source: Source,
    *,
    genre_format: GenreFormat,
    below_min_count: Mapping[str, int],
    min_genre_count: int,
    seed: int,
    aliases_sha256: str,
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        films: Every row read: columns reason ("" = kept), dropped and unlisted (raw labels).
        kept: The rows kept: columns plot, genres, split, group.
        source: Where they come from.
        genre_format: How the source writes its genres.
        below_min_count: Genres dropped for fewer films than `min_genre_count`, with their numbers.
        min_genre_count: The least number of films of a genre.
        seed: Of the splits.
        aliases_sha256: Of the alias table.
    """
    rejected = Counter(films.loc[films["reason"] != "", "reason"])
    counts = _label_counts(kept["genres"])
    by_split = {split: kept.loc[kept["split"] == split, "genres"] for split in SPLITS}
    group_sizes = kept["group"].value_counts()
    return {
        "read": len(films),
        "kept": len(kept),
        "rejected": dict(rejected.most_common()),
        "rejected_share": rejected.total() / len(films),
        "splits": {split: len(genres) for split, genres in by_split.items()},
        "genres": {
            "kept": counts,
            "per_split": {
                split: {genre: _label_counts(genres).get(genre, 0) for genre in counts}
                for split, genres in by_split.items()
            },
            "below_min_count": dict(below_min_count),
            "dropped": _label_counts(films["dropped"]),
            "unlisted": _label_counts(films["unlisted"]),
        },
        "labels_per_row": float(kept["genres"].map(len).mean()),
        "lengths": _word_lengths(kept["plot"]),
        "duplicates": {
            "repeated_rows": rejected["repeats an earlier row"],
            "groups_of_several_rows": int((group_sizes > 1).sum()),
            "rows_in_such_groups": int(group_sizes[group_sizes > 1].sum()),
        },
        "genre_format": str(genre_format),
        "min_genre_count": min_genre_count,
        "seed": seed,
        "source": {
            "name": source.name,
            "sha256": source.sha256,
            "description": source.description,
            "license": source.license,
            "columns": source.columns,
        },
        "aliases_sha256": aliases_sha256,
    }


def _label_counts(labels: pd.Series) -> dict[str, int]:
    return dict(Counter(label for row in labels for label in row).most_common())


def _word_lengths(texts: pd.Series) -> dict[str, int]:
    values = np.percentile([len(text.split()) for text in texts], _LENGTH_PERCENTILES)
    names = [f"p{p}" if p < 100 else "max" for p in _LENGTH_PERCENTILES]
    return {name: round(float(value)) for name, value in zip(names, values, strict=True)}


def suspicions(report: Mapping[str, Any]) -> list[str]:
    """Things about the data that a user should know before training, one sentence each."""
    found = []
    rare = report["genres"]["below_min_count"]
    for genre, count in list(rare.items())[:_SHOWN]:
        found.append(
            f"the genre '{genre}' has {count} films: dropped below --min-genre-count "
            f"{report['min_genre_count']}"
        )
    if len(rare) > _SHOWN:
        found.append(f"so were {len(rare) - _SHOWN} other genres (report.json lists them)")
    unlisted = report["genres"]["unlisted"]
    if unlisted:
        shown = ", ".join(f"'{name}' ({count})" for name, count in list(unlisted.items())[:_SHOWN])
        found.append(
            f"{len(unlisted)} raw label(s) are not in the alias table and keep their own name: "
            f"{shown}; add them to the table (--aliases) to merge or drop them"
        )
    for split, counts in report["genres"]["per_split"].items():
        absent = [genre for genre, count in counts.items() if count == 0]
        if absent:
            found.append(f"{split} has no film of: {', '.join(absent)}")
    share = report["splits"]["train"] / report["kept"]
    if abs(share - 0.8) > 0.05:
        found.append(
            f"train has {share:.0%} of the films, not 80 %: many rows share an id or a plot and "
            "must stay together"
        )
    if report["rejected_share"] > 0.2:
        found.append(
            f"{report['rejected_share']:.0%} of the rows were rejected: see rejected.csv for why"
        )
    return found


def render_dataset_card(report: Mapping[str, Any]) -> str:
    """The `README.md` of a prepared folder: front matter for the Hub, then counts and reasons."""
    source, genres = report["source"], report["genres"]
    front = {
        "language": ["en"],
        "pretty_name": f"Movie genres: {source['name']}",
        "task_categories": ["text-classification"],
        "task_ids": ["multi-label-classification"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in report["splits"]
                ],
            }
        ],
    }
    if source["license"]:
        front["license"] = source["license"]
    splits = report["splits"]
    genre_rows = [
        f"| {genre} | {count} | " + " | ".join(str(genres["per_split"][s][genre]) for s in splits)
        for genre, count in genres["kept"].items()
    ]
    rejected_rows = [f"| {reason} | {count} |" for reason, count in report["rejected"].items()]
    dropped = ", ".join(f"{name} ({count})" for name, count in genres["dropped"].items())
    notes = [f"- {line}" for line in suspicions(report)]
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# Movie plots and genres: {source['name']}",
        "",
        f"Source: {source['description']}. SHA-256 of the file: `{source['sha256']}`.",
        f"Licence of the texts: {source['license'] or 'that of the source; not stated here'}.",
        "",
        f"{report['read']:,} rows were read, {report['kept']:,} kept "
        f"({', '.join(f'{split} {count:,}' for split, count in splits.items())}), "
        f"{report['read'] - report['kept']:,} rejected. Each rejected row stands in `rejected.csv` "
        "with its row number and reason.",
        "",
        "`text` is the cleaned title and plot; `labels` is multi-hot in the order of "
        "`labels.json`. Films with the same plot or id are never in two splits.",
        "",
        "| genre | films | " + " | ".join(splits) + " |",
        "|---|---:|" + "---:|" * len(splits),
        *[f"{row} |" for row in genre_rows],
        "",
        *(
            ["| rejected because | rows |", "|---|---:|", *rejected_rows, ""]
            if rejected_rows
            else []
        ),
        "![Films per genre](figures/genre_counts.png)",
        "",
        f"Words per plot: {', '.join(f'{k} {v}' for k, v in report['lengths'].items())}. "
        f"Genres per film: {report['labels_per_row']:.2f}.",
        "",
        *(
            ["Raw labels that are no plot genres and were dropped: " + dropped + ".", ""]
            if dropped
            else []
        ),
        *(["Worth knowing:", "", *notes, ""] if notes else []),
    ]
    return "\n".join(lines)
