"""Whatever a file contains: nothing is lost, nothing crashes, nothing is executed."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat, parse_genres
from movie_genres.genres.formats import detect_genre_format
from movie_genres.preparation.cleaning import (
    Batch,
    Cleaner,
    Layout,
    Recipe,
    batches,
    clean_batches,
    load_recipe,
)
from movie_genres.preparation.films import collect
from movie_genres.preparation.workers import start_workers
from movie_genres.reading.delimited import DelimitedTable
from movie_genres.reading.encodings import Encoding
from movie_genres.reading.records import Malformed
from movie_genres.texts import text as text_module
from movie_genres.texts.fields import DEFAULT_FIELDS, flatten
from movie_genres.texts.text import RULES, clean_and_list_rules, clean_text, clean_texts
from prepare_dataset import ALIASES

TABLE = GenreAliases.read(ALIASES)
QUICK = settings(max_examples=60, deadline=None, derandomize=True)
NAMES = st.lists(
    st.text("aZé日 \t-&.:()\u2028!7ß", min_size=1, max_size=8),
    max_size=5,
).map(lambda names: list(dict.fromkeys(n.strip() for n in names if n.strip())))
PIECES = st.sampled_from(
    ["&amp;", "&lt;i&gt;", "<b>", "</b>", "[[", "]]", "{{", "}}", "|", "(", ")", " ,", "  ", "Ã©",
     "â€™", "\u200b", "\u2028", "\r\n", "http://x.y", "[1]", "See full summary »", "é", "a", ". "]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=12).map("".join)


@QUICK
@given(NAMES)
def test_names_written_in_a_format_are_read_back(names: list[str]) -> None:
    written = {
        GenreFormat.PIPE: "|".join(names),
        GenreFormat.SEMICOLON: "; ".join(names),
        GenreFormat.COMMA: ", ".join(names),
        GenreFormat.SLASH: " / ".join(names),
        GenreFormat.QUOTED: ", ".join(f'"{name}"' for name in names),
        GenreFormat.LITERAL: json.dumps([{"id": i, "name": n} for i, n in enumerate(names)]),
    }
    for genre_format, cell in written.items():
        assert parse_genres(cell, genre_format) == names
    assert parse_genres(repr(names), GenreFormat.LITERAL) == names
    quoted = [f"{name}'s \"best\"\\ {{'a': 1}}" for name in names] + names
    assert parse_genres(repr([{"name": n} for n in quoted]), GenreFormat.LITERAL) == quoted


@QUICK
@given(st.text() | TEXTS, st.sampled_from(list(GenreFormat)))
def test_any_cell_gives_labels_or_a_reason(cell: str, genre_format: GenreFormat) -> None:
    detect_genre_format([cell])
    try:
        labels = parse_genres(cell, genre_format, TABLE)
    except ValueError as error:
        assert not isinstance(error, InputError)
        assert cell.strip() and str(error)
    else:
        assert all(label == label.strip() and label for label in labels)
        found = TABLE.canonical(labels)
        assert set(found.unlisted) | set(found.dropped) <= set(labels)


@QUICK
@given(TEXTS)
def test_cleaning_is_a_projection_and_its_fast_path_changes_nothing(text: str) -> None:
    clean = clean_text(text)
    assert clean == " ".join(clean.split())
    assert clean_text(clean) == clean
    slow = text
    for _ in range(text_module._PASSES):  # every rule, without a shortcut
        before = slow
        slow = text_module.ftfy.fix_text(slow, unescape_html=True)
        for _, rule in RULES:
            slow = rule(slow)
        slow = slow.strip()
        if slow == before:
            break
    assert clean == slow
    assert bool(clean_and_list_rules(text)[1]) or clean == text.strip()
    rules: Counter[str] = Counter()
    assert clean_texts(["A man waits.", text], rules) == ["A man waits.", clean]
    assert rules == Counter(clean_and_list_rules(text)[1])
    flatten(text)


CELLS = st.text("aé日 ,|&\x00\r\n'\"[]{}\ud800", max_size=20) | TEXTS


@QUICK
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=12))
def test_every_row_is_kept_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, str]]
) -> None:
    layout = Layout(GenreFormat.PIPE, True)
    folder = tmp_path_factory.mktemp("shards")
    recipe = Recipe([layout], TABLE, DEFAULT_FIELDS, 3, folder)
    done = Cleaner(recipe)(Batch(0, 0, 1, [*rows, Malformed("broken", "line 9")]))
    films = collect([done])
    assert len(films) == len(rows) + 1 == len(films.usable) + films.rejected().total()
    texts = list(films.cells(np.arange(len(films)), "text"))
    for row, (text, reason) in enumerate(zip(texts, done.reason, strict=True)):
        assert bool(text) == (reason == "") == (row in films.usable)


@settings(QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 3))
def test_damaged_files_give_records_or_one_error(
    tmp_path: Path, noise: bytes, where: int, kind: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "title", "overview", "genres"])
    writer.writerows([[n, f"T {n}", f'He said "{n}", and\nleft.', "Drama|War"] for n in range(9)])
    good = text.getvalue().encode()
    damaged = [
        good[:where], good[:where] + noise, good[:where] + noise + good[where:], noise
    ][kind]  # fmt: skip
    (tmp_path / "films.csv").write_bytes(damaged)
    try:
        table = DelimitedTable(tmp_path / "films.csv", Encoding("latin-1"))
        found = list(table.records(table.columns))
    except InputError as error:
        assert "\n" not in str(error)
        assume(False)
    for record in found:
        assert isinstance(record, Malformed) or len(record) == len(table.columns)


def test_nothing_in_a_cell_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    for call in (
        f"__import__('pathlib').Path({str(target)!r}).touch()",
        f"[__import__('pathlib').Path({str(target)!r}).touch()]",
        "[].__class__.__mro__",
    ):
        with pytest.raises(ValueError, match="neither JSON nor a Python literal"):
            parse_genres(call, GenreFormat.LITERAL)
    assert not target.exists()


def test_any_number_of_processes_gives_the_same(tmp_path: Path) -> None:
    rows = [(str(n), f"Film {n}", f"A man waits {n} days", "Drama|War") for n in range(2500)]
    layout = Layout(GenreFormat.PIPE, True)
    outcomes = []
    for num_proc in (1, 2, 3):
        folder = tmp_path / str(num_proc)
        folder.mkdir()
        recipe = Recipe([layout], TABLE, DEFAULT_FIELDS, 3, folder)
        with start_workers(num_proc, load_recipe, recipe) as workers:
            films = collect(clean_batches(batches([iter(rows)]), workers, 2 * num_proc))
        shards = [path.read_bytes() for path in sorted(folder.iterdir())]
        outcomes.append((films.keys.tobytes(), films.bands.tobytes(), films.genre_sets, shards))
    assert len(outcomes[0][3]) == 3
    assert outcomes[0] == outcomes[1] == outcomes[2]
