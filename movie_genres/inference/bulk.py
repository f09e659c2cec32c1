"""Films in a file -> genres in a file, a chunk at a time; a run that was ended goes on.

Every finished chunk is a part in `<output>.parts/`, beside a record of the command. The same
command goes on after the last whole part; at the end the parts become the output, which appears
whole or not at all, and their folder goes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from movie_genres.errors import InputError
from movie_genres.files import file_sha256, write_json
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.prediction_files import join_parts, rows_of, write_part
from movie_genres.reading.archives import expand
from movie_genres.reading.columns import PLOT, TITLE, field_names
from movie_genres.reading.records import Malformed, Table
from movie_genres.reading.tables import open_table
from movie_genres.signals import StoppedError, stopping_signals

CHUNK_ROWS = 2000
"""Films of a part. Batches of like length, formed among 2,000, have hardly any padding left; they
take some tens of megabytes as tokens, and a minute at most, which is what a killed run loses."""
SECONDS_PER_LINE = 60
"""Where there is no terminal and so no bar, as in training."""
_RECORD = "command.json"
_FORMAT = 1
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON can hold it, UTF-8 cannot."""
_SHOWN_ROWS = 5


@dataclass(frozen=True)
class FilmsFile:
    """A file of films that was read through once."""

    table: Table
    sha256: str
    names: dict[str, str]
    """What each column is called in a composition of text fields."""
    n_films: int
    n_blank: int
    """Films without a plot."""
    notes: list[str] = field(default_factory=list)
    """What a user should know about how it is read, one sentence each."""

    def films(self, wanted: Sequence[str]) -> Iterator[dict[str, str]]:
        """The fields of each film that can be read."""
        columns = [column for column, name in self.names.items() if name in wanted]
        names = [self.names[column] for column in columns]
        for record in self.table.records(columns):
            if not isinstance(record, Malformed):
                cells = (_HALF_CHARACTER.sub("\ufffd", cell) for cell in record)
                yield dict(zip(names, cells, strict=True))


def open_films(
    path: Path,
    folder: Path,
    *,
    text_column: str | None = None,
    title_column: str | None = None,
    skip_broken: bool = False,
) -> FilmsFile:
    """Open a file of films and read it through: what is wrong with it shows before the work.

    Args:
        path: CSV, TSV, JSON, JSON Lines, Parquet, ` ::: `-separated, gzipped or zipped.
        folder: Where an archive is expanded; it must stay while the films are read.
        text_column: Of the plots; None: found by name.
        title_column: Of the titles; None: found by name.
        skip_broken: Leave rows out that cannot be read.

    Raises:
        InputError: If the file is missing, cannot be read, has no plot, or has broken rows that
            are not to be left out.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    parts = expand(path, folder)
    if len(parts) > 1:
        raise InputError(f"{path} holds several files; unpack it and name one")
    table = open_table(parts[0])
    names = field_names([c for c in table.columns if c], text_column, title_column)
    plot = next(column for column, name in names.items() if name == PLOT)
    n_films = n_blank = 0
    broken: list[str] = []
    for number, record in enumerate(table.records([plot]), 1):
        if isinstance(record, Malformed):
            broken.append(f"row {number}: {record.reason} ({record.detail})")
        else:
            n_films += 1
            n_blank += not record[0].strip()
    if broken and not skip_broken:
        more = f"; {len(broken):,} such rows in all" if len(broken) > 1 else ""
        raise InputError(
            f"{path} {broken[0]}{more}; mend them, or leave them out with --skip-broken"
        )
    if n_films == n_blank:
        raise InputError(f"{path} has no plot: {n_films:,} rows, all of them blank")
    notes = [*table.notes, *_told(broken)]
    return FilmsFile(table, file_sha256(parts[0]), names, n_films, n_blank, notes)


def _told(broken: Sequence[str]) -> list[str]:
    if not broken:
        return []
    shown = "; ".join(broken[:_SHOWN_ROWS]) + ("; ..." if len(broken) > _SHOWN_ROWS else "")
    return [f"{len(broken):,} rows cannot be read and are left out: {shown}"]


def predict_file(
    classifier: GenreClassifier, films: FilmsFile, output: Path, *, overwrite: bool = False
) -> None:
    """Write the genres of all films, in their order.

    Args:
        output: Its suffix says the format.
        overwrite: Remove the parts of an earlier run, and do not go on from them.

    Raises:
        InputError: If the parts that are there are another command's, or one is at work on them.
        StoppedError: At SIGTERM or Ctrl-C; the films of whole chunks are kept.
    """
    wanted = (TITLE, *classifier.fields.names)
    columns = {name: column for column, name in films.names.items() if name in wanted}
    command = {
        "the films of --input": films.sha256,
        "their columns": json.dumps(columns, ensure_ascii=False),
        **classifier.identity(),
    }
    labels = classifier.decisions.labels
    with (
        Parts.opened(output, command, overwrite=overwrite) as parts,
        Progress(films.n_films, parts.n_films) as progress,
        stopping_signals(),
    ):
        try:
            left = islice(films.films(wanted), parts.n_films, None)
            while chunk := list(islice(left, CHUNK_ROWS)):
                rows = rows_of(chunk, classifier(chunk, on_batch=progress.add))
                parts.add(rows, labels)
            parts.join(labels)
        except StoppedError as stop:
            stop.after = f"after {parts.n_films:,} of {films.n_films:,} films"
            raise


class Parts:
    """The folder `<output>.parts/` of one command.

    A part's name has its number, its rows and its SHA-256, so that one that a breakdown of the
    machine left incomplete is known.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(output.name + ".parts")
        self.paths: list[Path] = []

    @property
    def n_films(self) -> int:
        return sum(int(path.stem.split("-")[1]) for path in self.paths)

    @classmethod
    @contextmanager
    def opened(
        cls, output: Path, command: Mapping[str, str], *, overwrite: bool
    ) -> Iterator[Parts]:
        """The parts that are there already, for this process alone.

        Raises:
            InputError: If they are another command's, or another process is at work on them.
        """
        parts = cls(output)
        parts.folder.mkdir(parents=True, exist_ok=True)
        with _locked(parts.folder):
            record = {"format": _FORMAT, "chunk rows": CHUNK_ROWS, **command}
            different = [] if overwrite else parts._differences(record)
            if different:
                raise InputError(
                    f"{parts.folder} holds what was done with other {'; '.join(different)}. Give "
                    "that command again to go on, --overwrite to start afresh, or another --output"
                )
            if overwrite or not (parts.folder / _RECORD).is_file():
                # The record goes first and comes last: parts without it are nobody's.
                (parts.folder / _RECORD).unlink(missing_ok=True)
                for path in parts.folder.glob("*-*"):
                    path.unlink()
                write_json(parts.folder / _RECORD, record)
            parts.paths = list(parts._whole())
            yield parts

    def add(self, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
        new = self.folder / f"new{self.output.suffix}"
        write_part(new, rows, labels)
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        name = f"{len(self.paths):06d}-{len(rows)}-{file_sha256(new)}{self.output.suffix}"
        self.paths.append(new.rename(self.folder / name))

    def join(self, labels: Sequence[str]) -> None:
        """Make the output of the parts, which go. Interrupted anywhere, it can be repeated."""
        joined = self.folder / f"joined{self.output.suffix}"
        join_parts(self.paths, joined, labels)
        joined.replace(self.output)
        (self.folder / _RECORD).unlink()
        shutil.rmtree(self.folder)

    def _differences(self, record: Mapping[str, Any]) -> list[str]:
        try:
            old = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
            names = [name for name in record if old.get(name) != record[name]]
        except FileNotFoundError:
            return []
        except (ValueError, AttributeError):
            return [f"commands ({_RECORD} in it cannot be read)"]
        return [_told_difference(name, old.get(name), record[name]) for name in names]

    def _whole(self) -> Iterator[Path]:
        """The parts up to the first one that is missing or damaged."""
        for number in count():
            for path in self.folder.glob(f"{number:06d}-*"):
                if path.stem.split("-")[2] == file_sha256(path):
                    yield path
                    break
                path.unlink()
            else:
                return


def _told_difference(name: str, old: object, new: object) -> str:
    short = all(len(str(value)) <= 40 for value in (old, new))
    return f"{name} ({old} there, {new} asked)" if short else name


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the lock ends with the process, however that ends.

    Raises:
        InputError: If another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: there is no such lock
        yield
        return
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"another process is at work on {folder}") from None
        yield


class Progress:
    """A bar on a terminal; elsewhere a line a minute."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.before, self.done = total, done, done
        self.began = self.last_line = time.monotonic()
        if done:
            print(f"going on after {done:,} of {total:,} films", file=sys.stderr)
        self._bar = tqdm(
            total=total, initial=done, unit=" films", disable=not sys.stderr.isatty(), leave=False
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, n_films: int) -> None:
        self.done += n_films
        self._bar.update(n_films)
        now = time.monotonic()
        if self._bar.disable and now - self.last_line >= SECONDS_PER_LINE:
            self.last_line = now
            print(self.line(now - self.began), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """How far it is, by the pace of this sitting so far."""
        pace = (self.done - self.before) / seconds
        left = (self.total - self.done) / pace / 60
        remaining = f"{left:.0f} min" if left < 120 else f"{left / 60:.1f} h"
        return f"{self.done:,} of {self.total:,} films, {pace:,.1f} films/s, {remaining} left"
