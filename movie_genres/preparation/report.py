"""report.json of a prepared dataset: what was read, kept and dropped; and notes about the data."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from movie_genres.defaults import encoder_tokenizer
from movie_genres.preparation.duplicates import in_order
from movie_genres.preparation.fields import TextFields
from movie_genres.preparation.films import REPEATED, Films
from movie_genres.preparation.selection import Selection
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.sources import Source

MAX_LENGTH = 256
"""The default --max-length of finetune.py, in tokens."""
COOCCURRING = 30
"""The most frequent genres, whose common films report.json lists and a figure shows."""
_SHOWN = 10
_SETS_AT_ONCE = 2048
_MANY = 0.2
"""Share of rejected rows from which a note says so."""
_LENGTH_PERCENTILES = (5, 25, 50, 75, 95, 100)
_TOKENISED = 2000
"""Texts whose tokens are counted, evenly spread over the kept ones."""


def build_report(
    selected: Selection,
    sources: Sequence[Source],
    *,
    fields: TextFields,
    leaks: Mapping[str, float],
    aliases_sha256: str,
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        selected: All rows.
        sources: Where they are from.
        fields: The composition of the text.
        leaks: As `leak_shares` gives them.
        aliases_sha256: Of the alias table.

    Raises:
        AssertionError: If a row is neither kept nor rejected: a defect of this project.
    """
    films = selected.films
    kept = films.usable
    rejected = films.rejected()
    per_film = np.array([len(genres) for genres in films.genre_sets])[films.genres[kept]]
    assert len(films) == len(kept) + rejected.total() == len(kept) + (selected.split < 0).sum()
    return {
        "read": len(films),
        "kept": len(kept),
        "rejected": dict(rejected.most_common()),
        "rejected_share": rejected.total() / len(films),
        "splits": {name: int((selected.split == i).sum()) for i, name in enumerate(SPLITS)},
        "genres": _genres(selected, kept),
        "labels_per_row": float(per_film.mean()),
        "labels_per_film": {str(n): int(c) for n, c in enumerate(np.bincount(per_film)) if c},
        "lengths": _percentiles(films.words[kept]),
        "tokens": _tokens(films, kept),
        "cleaning": dict(films.rules.most_common()),
        "duplicates": _duplicates(selected, kept),
        "text_fields": fields.to_json(),
        "genre_named_in": {name: round(share, 4) for name, share in leaks.items()},
        "unreadable": [f"{sources[i].name}, {words}" for i, words in films.defects],
        "notes": [note for source in sources for note in source.table.notes],
        "genre_format": " and ".join(dict.fromkeys(str(s.genre_format) for s in sources)),
        "min_genre_count": selected.min_genre_count,
        "seed": selected.seed,
        "train_only": selected.n_train_only,
        "aliases_sha256": aliases_sha256,
        **_unknown_genres(selected, sources),
        "source": _source(sources),
        "sources": [
            _source([source]) | {"read": int((films.source == number).sum()),
                                 "kept": int((films.source[kept] == number).sum())}
            for number, source in enumerate(sources)
        ],
    }  # fmt: skip


def _genres(selected: Selection, kept: np.ndarray) -> dict[str, Any]:
    films = selected.films
    counts = dict(films.genre_counts(kept).most_common())
    per_split = {
        name: films.genre_counts(np.flatnonzero(selected.split == number))
        for number, name in enumerate(SPLITS)
    }
    sets = films.multi_hot_sets(list(counts))
    together = _films_together(sets, np.bincount(films.genres[kept], minlength=len(sets)))
    return {
        "kept": counts,
        "per_split": {name: {g: found[g] for g in counts} for name, found in per_split.items()},
        "cooccurrence": together[:COOCCURRING, :COOCCURRING].tolist(),
        "inseparable": _inseparable(list(counts), together),
        "below_min_count": dict(selected.below_min_count),
        "raw": films.label_counts("raw"),
        "dropped": films.label_counts("dropped"),
        "unlisted": films.label_counts("unlisted"),
    }


def _unknown_genres(
    selected: Selection, sources: Sequence[Source]
) -> dict[str, dict[str, list[str]]]:
    """By source, the genres that it never uses, if these are unknown for its films."""
    if selected.used is None:
        return {}
    by_source = {
        source.name: [selected.labels[label] for label in np.flatnonzero(~used)]
        for source, used in zip(sources, selected.used, strict=True)
    }
    return {"unknown_genres": by_source}


def _percentiles(values: np.ndarray | Sequence[int]) -> dict[str, int]:
    found = np.percentile(values, _LENGTH_PERCENTILES)
    names = [f"p{p}" if p < 100 else "max" for p in _LENGTH_PERCENTILES]
    return {name: round(float(value)) for name, value in zip(names, found, strict=True)}


def _tokens(films: Films, kept: np.ndarray) -> dict[str, Any]:
    """Lengths in tokens of the default encoder, of a sample."""
    tokenizer = Tokenizer.from_file(str(encoder_tokenizer()))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    sample = kept[:: -(-len(kept) // _TOKENISED)]
    texts = list(films.cells(sample, "text"))
    lengths = [len(encoded.ids) for encoded in tokenizer.encode_batch_fast(texts)]
    return {
        "counted": len(lengths),
        "percentiles": _percentiles(lengths),
        "longer_than": {
            str(length): float(np.mean(np.array(lengths) > length)) for length in (128, 256, 512)
        },
        "lengths": lengths,
    }


def _duplicates(selected: Selection, kept: np.ndarray) -> dict[str, int]:
    films = selected.films
    group = in_order(selected.groups[kept])
    sizes = np.bincount(group)
    first_source = np.zeros(len(sizes), dtype=np.int64)
    first_source[group[::-1]] = films.source[kept][::-1]
    across = np.unique(group[films.source[kept] != first_source[group]])
    return {
        "repeated_rows": films.rejected()[REPEATED],
        "groups_of_several_rows": int((sizes > 1).sum()),
        "rows_in_such_groups": int(sizes[sizes > 1].sum()),
        "groups_across_sources": len(across),
        "plots_with_different_genres": selected.label_conflicts,
    }


def _source(sources: Sequence[Source]) -> dict[str, Any]:
    """Name, hash, description and licence of the sources as one."""
    licences = {source.license for source in sources}
    joined = "".join(source.sha256 for source in sources)
    return {
        "name": ", ".join(source.name for source in sources),
        "sha256": joined if len(sources) == 1 else hashlib.sha256(joined.encode()).hexdigest(),
        "description": "; ".join(source.description for source in sources),
        "license": licences.pop() if len(licences) == 1 else None,
        "columns": sources[0].columns | sources[0].extra,
        "genre_format": str(sources[0].genre_format),
    }


def suspicions(report: Mapping[str, Any]) -> list[str]:
    """What a user should know about the data before training; one sentence each."""
    return [
        *report["notes"],
        *_unreadable(report),
        *_rare_and_unlisted(report["genres"], report["min_genre_count"]),
        *_uneven_splits(report),
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


def _films_together(sets: np.ndarray, films_of_set: np.ndarray) -> np.ndarray:
    """Films that have two genres, for each pair; on the diagonal those that have the one.

    In floating point, exact up to 2**53 films, because products of integers are slow; by parts,
    because thousands of genres make a large array.
    """
    together = np.zeros((sets.shape[1],) * 2)
    for start in range(0, len(sets), _SETS_AT_ONCE):
        part = sets[start : start + _SETS_AT_ONCE].astype(float)
        together += part.T @ (part * films_of_set[start : start + _SETS_AT_ONCE, None])
    return together.astype(np.int64)


def _inseparable(names: Sequence[str], together: np.ndarray) -> list[list[str]]:
    """Pairs of genres that only occur together, which no model can distinguish."""
    films = together.diagonal()
    same = (together == films[:, None]) & (together == films[None, :])
    return [[names[a], names[b]] for a, b in np.argwhere(np.triu(same, 1)).tolist()]


def _uneven_splits(report: Mapping[str, Any]) -> list[str]:
    found = []
    for split, counts in report["genres"]["per_split"].items():
        absent = [genre for genre, count in counts.items() if count == 0]
        if absent:
            found.append(f"{split} has no film of: {', '.join(absent)}")
    added = report["train_only"]
    share = (report["splits"]["train"] - added) / (report["kept"] - added)
    if abs(share - 0.8) > 0.05:
        found.append(
            f"train has {share:.0%} of the films, not 80 %: many rows share an id or a plot and "
            "must stay together"
        )
    conflicts = report["duplicates"]["plots_with_different_genres"]
    if conflicts:
        found.append(
            f"{conflicts:,} plot(s) are in several rows with different genres: each of these "
            "rows got the genres of all of them"
        )
    return found


def _texts(report: Mapping[str, Any]) -> list[str]:
    found = []
    longer = report["tokens"]["longer_than"][str(MAX_LENGTH)]
    if longer > 0.1:
        found.append(
            f"{longer:.0%} of the texts are longer than {MAX_LENGTH} tokens and will be truncated "
            "(finetune.py --max-length)"
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
