"""What is worth knowing about a prepared dataset, in sentences, from its report."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from movie_genres.preparation.films import REPEATED
from movie_genres.preparation.report import MAX_LENGTH

_SHOWN = 10
_MANY = 0.2
"""Share of rejected rows from which a note says so."""


def suspicions(report: Mapping[str, Any]) -> list[str]:
    """What a user should know about the data before training; one sentence each."""
    return [
        *report["notes"],
        *_unreadable(report),
        *_rare_and_unlisted(report["genres"], report["min_genre_count"]),
        *_uneven_splits(report),
        *_given_splits(report),
        *_same_titles(report["duplicates"]),
        *_texts(report),
        *_same_files(report["sources"]),
    ]


def _unreadable(report: Mapping[str, Any]) -> list[str]:
    found = [f"could not be read: {words}" for words in report["unreadable"]]
    repeated = report["rejected"].get(REPEATED, 0) / report["read"]
    if repeated > _MANY:
        found.append(
            f"{repeated:.0%} of the rows repeat the title and plot of an earlier row, which got "
            "the genres of all of them"
        )
    if report["rejected_share"] - repeated > _MANY:
        found.append(
            f"{report['rejected_share'] - repeated:.0%} of the rows were rejected: see "
            "rejected.csv for why"
        )
    for source in report["sources"]:
        if not source["kept"]:
            found.append(f"{source['name']} adds no film: see rejected.csv for why")
        if source["columns"]["title"] is None:
            found.append(
                f"{source['name']} has no column of titles that could be found: the texts are "
                "without them (--title-column)"
            )
    return found


def _rare_and_unlisted(genres: Mapping[str, Any], min_count: int) -> list[str]:
    rare, unlisted = genres["below_min_count"], genres["unlisted"]
    found = [
        f"the genre '{genre}' has {count} film{'s' * (count > 1)}: dropped below "
        f"--min-genre-count {min_count}"
        for genre, count in list(rare.items())[:_SHOWN]
    ]
    if len(rare) > _SHOWN:
        found.append(f"so were {len(rare) - _SHOWN} other genres (report.json lists them)")
    if unlisted:
        shown = ", ".join(f"'{name}' ({count})" for name, count in list(unlisted.items())[:_SHOWN])
        found.append(
            f"{len(unlisted)} raw label(s) are not in the alias table and keep their own name: "
            f"{shown}; add them to the table (--aliases) to merge or drop them"
        )
    if split := genres["split"]:
        shown = ", ".join(f"'{name}' ({count})" for name, count in list(split.items())[:_SHOWN])
        found.append(
            f"{len(split)} label(s) look like several genres side by side and were read as these: "
            f"{shown}; --known-genres {shlex.quote(next(iter(split)))} keeps such a one whole"
        )
    if any(label.casefold().startswith(("and ", "& ")) for label in unlisted):
        found.append(
            "some labels look like pieces of one that contains the separator: name it with "
            "--known-genres or in the alias table to keep it whole"
        )
    pairs = genres["inseparable"]
    found += [
        f"'{a}' and '{b}' always occur together: for a model they are one genre"
        for a, b in pairs[:_SHOWN]
    ]
    if len(pairs) > _SHOWN:
        found.append(f"so do {len(pairs) - _SHOWN} other pairs of genres (report.json lists them)")
    return found


def _uneven_splits(report: Mapping[str, Any]) -> list[str]:
    found = []
    for split, counts in report["genres"]["per_split"].items():
        absent = [genre for genre, count in counts.items() if count == 0]
        if absent:
            found.append(f"{split} has no film of: {', '.join(absent)}")
    if "overlap" in report:
        return found + _conflicts(report["duplicates"])
    added = report["train_only"]
    share = (report["splits"]["train"] - added) / (report["kept"] - added)
    if abs(share - 0.8) > 0.05:
        found.append(
            f"train has {share:.0%} of the films, not 80 %: many rows share an id or a plot and "
            "must stay together"
        )
    return found + _conflicts(report["duplicates"])


def _conflicts(duplicates: Mapping[str, Any]) -> list[str]:
    conflicts = duplicates["plots_with_different_genres"]
    if not conflicts:
        return []
    return [
        f"{conflicts:,} plot(s) are in several rows with different genres: each of these "
        "rows got the genres of all of them"
    ]


def _given_splits(report: Mapping[str, Any]) -> list[str]:
    """How splits of the data's own were completed, and what is in several of them."""
    overlap = report.get("overlap", {})
    found = [
        f"the data has no {split} split: it was {origin}"
        for split, origin in report["splits_from"].items()
        if overlap and origin.startswith("drawn")
    ]
    if removed := overlap.get("removed from train"):
        found.append(
            f"{removed:,} row(s) were removed from train, because their films are in validation "
            f"({overlap['train and validation']:,} films) or test ({overlap['train and test']:,})"
        )
    if both := overlap.get("validation and test"):
        found.append(
            f"{both:,} film(s) are in validation and in test, as the data has it: what is decided "
            "on validation has seen them"
        )
    return found


def _same_titles(duplicates: Mapping[str, Any]) -> list[str]:
    count, shown = duplicates["titles_of_several_films"], duplicates["such_titles"]
    if not count:
        return []
    return [
        f"{count:,} title(s) are taken for several films each, because their plots are not alike: "
        + ", ".join(f"'{title}'" for title in shown)
        + ", ..." * (count > len(shown))
    ]


def films_and_splits(report: Mapping[str, Any]) -> str:
    """A sentence for the card: how the splits came about, and what keeps a film in one."""
    origins = report["splits_from"]
    shares = "80 / 10 / 10, stratified by genre"
    came = [f"{split}: {origin}" for split, origin in origins.items()]
    how = shares if "overlap" not in report else "; ".join(came)
    both = report.get("overlap", {}).get("validation and test", 0)
    but = f", but for {both:,} that the data has in validation and in test" if both else ""
    return (
        f"Splits: {how}. A film is in one split{but}: rows are one film if they have one id, the "
        "same or nearly the same plot (and it is no stub), or one title and the same year or an "
        f"alike plot; {_repeated(report['duplicates'])}."
    )


def _repeated(duplicates: Mapping[str, Any]) -> str:
    if not duplicates["groups_of_several_rows"]:
        return "no film is in several rows"
    return (
        f"{duplicates['groups_of_several_rows']:,} films are in "
        f"{duplicates['rows_in_such_groups']:,} rows"
    )


def _texts(report: Mapping[str, Any]) -> list[str]:
    found = []
    longer = report["tokens"]["longer_than"][str(MAX_LENGTH)]
    if longer > 0.1:
        found.append(
            f"{longer:.0%} of the texts are longer than {MAX_LENGTH} tokens and will be truncated "
            "(finetune.py --max-length)"
        )
    languages = report.get("language", ["en"])
    if languages != ["en"]:
        found.append(
            f"the plots are in {', '.join(languages) or 'no language that could be detected'}: the "
            "default encoder was trained on English (finetune.py --model-name-or-path)"
        )
    text = report["text_fields"]
    for name, share in report["genre_named_in"].items():
        if name not in text["names"]:
            found.append(
                f"the field '{name}' was left out: it names one of the film's own genres in "
                f"{share:.0%} of the films"
            )
        if share > 0.1 and name in text["names"] and not text["masked"]:
            found.append(
                f"the field '{name}' names one of the film's own genres in {share:.0%} of the "
                "films: --mask-genre-names masks them"
            )
    return found


def _same_files(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    seen: Counter[str] = Counter(source["sha256"] for source in sources)
    return [
        f"{' and '.join(s['name'] for s in sources if s['sha256'] == sha256)} are the same file"
        for sha256, times in seen.items()
        if times > 1
    ]
