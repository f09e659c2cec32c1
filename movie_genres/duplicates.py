"""Films that are the same film: repeated rows are dropped, rows of one plot stay together.

A plot that stands in train and in test would let the model recite instead of generalise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_NO_ID = frozenset(("", "0", "-", "n/a", "na", "nan", "none", "null", "unknown"))
_NOT_WORD = re.compile(r"\W+")


def text_key(text: str) -> str:
    """The words of a text alone: two texts that differ in case, blanks or signs share it."""
    return " ".join(_NOT_WORD.sub(" ", text.casefold()).split())


def id_key(identifier: str) -> str:
    """The identifier, or blank where a database writes that it has none."""
    return "" if identifier.strip().casefold() in _NO_ID else identifier.strip()


def same_film_groups(keys: Sequence[Sequence[str]]) -> np.ndarray:
    """Group rows that share any key, directly or through other rows.

    Args:
        keys: One sequence of n_rows strings for each kind of key (identifier, plot, ...). Blank
            strings match nothing.

    Returns:
        Group numbers, shape (n_rows,), counted from 0 in order of first appearance.
    """
    n_rows = len(keys[0])
    edges: list[tuple[int, int]] = []
    for column in keys:
        first_row: dict[str, int] = {}
        for row, key in enumerate(column):
            if key:
                edges.append((first_row.setdefault(key, row), row))
    source, target = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (source, target)), (n_rows, n_rows))
    component = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
