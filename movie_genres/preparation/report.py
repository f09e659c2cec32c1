"""report.json of a prepared dataset: what was read, kept and dropped, and in which splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from movie_genres.defaults import encoder_tokenizer
from movie_genres.preparation.duplicates import in_order
from movie_genres.preparation.films import REPEATED, Films
from movie_genres.preparation.selection import Selection
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.identity import unused_split
from movie_genres.reading.records import OWN_SPLIT
from movie_genres.reading.sources import Source
from movie_genres.texts.fields import TextFields
from movie_genres.texts.language import languages_of

MAX_LENGTH = 256
"""The default --max-length of finetune.py, in tokens."""
COOCCURRING = 30
"""The most frequent genres, whose common films report.json lists and a figure shows."""
_SETS_AT_ONCE = 2048
_LENGTH_PERCENTILES = (5, 25, 50, 75, 95, 100)
_TOKENISED = 2000
"""Texts whose tokens are counted, evenly spread over the kept ones."""
_DETECTED = 300
"""Plots whose language is detected, likewise."""


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
    films, kept = selected.films, selected.films.usable
    return {
        **_rows(selected, kept),
        "genres": _genres(selected, kept),
        **_labels_per_film(films, kept),
        "lengths": _percentiles(films.words[kept]),
        "tokens": _tokens(films, kept),
        "language": languages_of(list(films.cells(_sample(kept, _DETECTED), "plot"))),
        "cleaning": dict(films.rules.most_common()),
        "duplicates": _duplicates(selected, kept),
        "text_fields": fields.to_json(),
        "genre_named_in": {name: round(share, 4) for name, share in leaks.items()},
        "unreadable": [f"{sources[i].name}, {words}" for i, words in films.defects],
        "notes": [note for source in sources for note in _notes(source)],
        "genre_format": " and ".join(dict.fromkeys(str(s.genre_format) for s in sources)),
        "min_genre_count": selected.min_genre_count,
        "seed": selected.seed,
        "train_only": selected.n_train_only,
        "aliases_sha256": aliases_sha256,
        **_unknown_genres(selected, sources),
        "source": _source(sources),
        "sources": [
            _source([source]) | {"year": source.year, "split_column": source.split_column,
                                 "read": int((films.source == number).sum()),
                                 "kept": int((films.source[kept] == number).sum())}
            for number, source in enumerate(sources)
        ],
    }  # fmt: skip


def _rows(selected: Selection, kept: np.ndarray) -> dict[str, Any]:
    """How many rows were read, kept and rejected, and in which splits they are."""
    films, split = selected.films, selected.split
    rejected = films.rejected()
    assert len(films) == len(kept) + rejected.total() == len(kept) + (split < 0).sum()
    rows = {
        "read": len(films),
        "kept": len(kept),
        "rejected": dict(rejected.most_common()),
        "rejected_share": rejected.total() / len(films),
        "splits": {name: int((split == number).sum()) for number, name in enumerate(SPLITS)},
        "splits_from": dict(selected.splits_from),
    }
    if selected.overlap is None:
        return rows
    overlap = {**selected.overlap.films, "removed from train": selected.overlap.removed}
    return rows | {"overlap": overlap}


def _labels_per_film(films: Films, kept: np.ndarray) -> dict[str, Any]:
    sizes = np.array([len(genres) for genres in films.genre_sets])[films.genres[kept]]
    films_of_size = {str(n): int(count) for n, count in enumerate(np.bincount(sizes)) if count}
    return {"labels_per_row": float(sizes.mean()), "labels_per_film": films_of_size}


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
        "split": films.label_counts("split"),
    }


def _notes(source: Source) -> list[str]:
    """What is to be known about a source itself."""
    notes = [*source.table.notes, *source.notes]
    unused = None if source.split or source.train_only else unused_split(source.head)
    if unused and source.split_column is None:
        notes.append(
            f"the column '{unused}' of {source.name} holds names of splits, which were not kept: "
            + ("--keep-splits" if unused == OWN_SPLIT else f"--split-column {unused}")
            + " keeps them"
        )
    return notes


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


def _sample(kept: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows, evenly spread."""
    return kept[:: max(1, -(-len(kept) // count))]


def _tokens(films: Films, kept: np.ndarray) -> dict[str, Any]:
    """Lengths in tokens of the default encoder, of a sample."""
    tokenizer = Tokenizer.from_file(str(encoder_tokenizer()))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = list(films.cells(_sample(kept, _TOKENISED), "text"))
    lengths = [len(encoded.ids) for encoded in tokenizer.encode_batch_fast(texts)]
    return {
        "counted": len(lengths),
        "percentiles": _percentiles(lengths),
        "longer_than": {
            str(length): float(np.mean(np.array(lengths) > length)) for length in (128, 256, 512)
        },
        "lengths": lengths,
    }


def _duplicates(selected: Selection, kept: np.ndarray) -> dict[str, Any]:
    films = selected.films
    group = in_order(selected.groups.film[kept])
    sizes = np.bincount(group)
    first_source = np.zeros(len(sizes), dtype=np.int64)
    first_source[group[::-1]] = films.source[kept][::-1]
    across = np.unique(group[films.source[kept] != first_source[group]])
    return {
        "repeated_rows": films.rejected()[REPEATED],
        "groups_of_several_rows": int((sizes > 1).sum()),
        "rows_in_such_groups": int(sizes[sizes > 1].sum()),
        "groups_across_sources": len(across),
        "plots_with_different_genres": selected.groups.label_conflicts,
        "pairs_joined_by_title": selected.groups.by_title,
        "titles_of_several_films": selected.groups.n_titles_alone,
        "such_titles": list(selected.groups.titles_alone),
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
