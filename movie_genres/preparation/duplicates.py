"""Rows that are one film, by equal and nearly equal plots, so that they go to one split.

A plot in both train and test would let the model recite instead of generalise. Nearly
equal plots are found by MinHash over runs of three words, in bands (Broder, 1997; Leskovec,
Rajaraman and Ullman, ch. 3), and each pair is then compared exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEARLY_EQUAL = 0.8
"""Jaccard similarity of two plots' runs of three words from which they are the same plot."""
BANDS, BAND_ROWS = 9, 4
"""A pair at 0.8 shares a band with probability 0.991; one at 0.3 with 0.07, and is compared."""

_WORD = re.compile(r"\w+")
_WORD_CHARACTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_"
_WORDS_ONLY = bytes(c if c in _WORD_CHARACTERS else 0x20 for c in bytes(range(256)).lower())
_SEED = 1  # fixed: the same plots are neighbours in every run
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd: each half of a band decides its number


def words(text: str) -> list[bytes]:
    """The words of a text in lower case, without punctuation."""
    if text.isascii():
        return text.encode("ascii").translate(_WORDS_ONLY).split()
    return [word.encode(errors="replace") for word in _WORD.findall(text.casefold())]


def key_hash(key: bytes) -> int:
    """64 bits of a key, the same on every machine; 0 for an empty one, which equals no other."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little") if key else 0


def word_runs(found: Sequence[bytes]) -> list[bytes]:
    """Runs of three words; what is shorter is one run."""
    runs = [b"%b %b %b" % run for run in zip(found, found[1:], found[2:], strict=False)]
    return runs or [b" ".join(found)]


def plot_bands(plots: Sequence[Sequence[bytes]]) -> np.ndarray:
    """MinHash bands of plots: nearly equal plots have at least one in common.

    Args:
        plots: The words of each plot.

    Returns:
        uint64, shape (n_plots, BANDS); zeros for plots without words.
    """
    signatures = np.zeros((len(plots), BANDS * BAND_ROWS), dtype=np.uint32)
    for row, found in enumerate(plots):
        if found:
            # One object a plot: the library's calls for many plots start threads, which a process
            # forked afterwards would wait for in vain.
            minhash = RMinHash(num_perm=BANDS * BAND_ROWS, seed=_SEED)
            minhash.update(word_runs(found))
            signatures[row] = minhash.digest()
    halves = signatures.view(np.uint64).reshape(len(plots), BANDS, BAND_ROWS // 2)
    return halves[..., 0] * _MULTIPLIER + halves[..., 1]


def nearly_equal_pairs(
    bands: np.ndarray, plots_of: Callable[[np.ndarray], Iterable[str]]
) -> np.ndarray:
    """Pairs of rows whose plots are nearly equal.

    Args:
        bands: Of each row, as `plot_bands` gives them; zeros match nothing.
        plots_of: Gives the plots of row numbers (ascending, without repeats).

    Returns:
        Row numbers, shape (n_pairs, 2). In a large group each row is paired with the first row of
        a band, not with all others.
    """
    pairs = np.concatenate([_repeats(band) for band in bands.T])
    # Two row numbers as one, which is sorted ten times faster than pairs are.
    numbers = np.unique(pairs[:, 0] * len(bands) + pairs[:, 1])
    candidates = np.column_stack(np.divmod(numbers, max(1, len(bands))))
    rows = np.unique(candidates)
    plots = zip(rows.tolist(), plots_of(rows), strict=True)
    runs = {row: frozenset(word_runs(words(plot))) for row, plot in plots}
    equal = [_jaccard(runs[a], runs[b]) >= NEARLY_EQUAL for a, b in candidates.tolist()]
    return candidates[np.array(equal, dtype=bool)]


def _repeats(values: np.ndarray) -> np.ndarray:
    """Each row that repeats the value of an earlier row, paired with the first such row.

    Empty strings and zeros repeat nothing. Values are expected to be different for the most part.

    Returns:
        Row numbers, shape (n_repeats, 2).
    """
    ordered = np.sort(values)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    repeated = repeated[repeated != values.dtype.type()]
    if not len(repeated):
        return np.empty((0, 2), dtype=np.int64)
    # Arrow looks them up in a hash table, ten times faster than NumPy in a sorted array.
    rows = np.flatnonzero(pc.is_in(pa.array(values), value_set=pa.array(repeated)))
    _, first, inverse = np.unique(values[rows], return_index=True, return_inverse=True)
    pairs = np.column_stack([rows[first[inverse]], rows])
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _jaccard(a: frozenset[bytes], b: frozenset[bytes]) -> float:
    return len(a & b) / len(a | b)


def same_film_groups(
    keys: Sequence[Sequence[str] | np.ndarray], pairs: np.ndarray | None = None
) -> np.ndarray:
    """Group rows that share any key, directly or through other rows.

    Args:
        keys: One sequence of n_rows strings or numbers for each kind of key (identifier, plot,
            ...). Empty strings and zeros match nothing.
        pairs: Further rows that belong together, shape (n_pairs, 2).

    Returns:
        Group numbers, shape (n_rows,), counted from 0 in order of first appearance.
    """
    n_rows = len(keys[0])
    edges = [np.empty((0, 2), dtype=np.int64) if pairs is None else pairs]
    edges += [_repeats(np.asarray(column)) for column in keys]
    source, target = np.concatenate(edges).T
    graph = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), (n_rows, n_rows))
    return in_order(connected_components(graph, directed=False)[1])


def in_order(numbers: np.ndarray) -> np.ndarray:
    """The same groups, numbered from 0 in order of first appearance."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
