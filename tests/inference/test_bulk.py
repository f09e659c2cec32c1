"""predict.py --input: films in a file -> genres in a file, chunk by chunk, interrupted or not."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import made_up_films, write_csv

import predict
from movie_genres.errors import InputError
from movie_genres.inference import bulk
from movie_genres.inference.bulk import Progress
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.films import open_films
from movie_genres.inference.prediction_files import SUFFIXES, Columns, count_rows, write_part
from movie_genres.signals import StoppedError

FILMS = [{"title": film["title"], "plot": film["overview"]} for film in made_up_films(23)]
FILMS[5]["plot"] = "  "


@pytest.fixture(autouse=True)
def chunks_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 5)


@pytest.fixture
def model(finished_run: Path) -> str:
    return str(finished_run / "model")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "films.csv", FILMS)


@pytest.fixture
def read_films(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The plots of every chunk that is computed."""
    chunks: list[list[str]] = []
    call = GenreClassifier.__call__

    def watched(self: GenreClassifier, films: Sequence[Any], *rest: Any, **more: Any) -> Any:
        chunks.append([film["plot"] for film in films])
        return call(self, films, *rest, **more)

    monkeypatch.setattr(GenreClassifier, "__call__", watched)
    return chunks


def run(model: str, source: Path, output: Path, *more: str) -> int:
    return predict.main(["--model", model, "--input", str(source), "--output", str(output), *more])


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return [
        row
        | {
            "genres": [name for name in row["genres"].split("|") if name],
            "probabilities": json.loads(row["probabilities"]),
        }
        for row in csv.DictReader(text.splitlines())
    ]


def stop_in_chunk(number: int, monkeypatch: pytest.MonkeyPatch, stop: Any) -> None:
    """Let `stop` happen while the chunk of this number is computed, from 1."""
    call, chunks = GenreClassifier.__call__, iter(range(1, 100))

    def stopping(self: GenreClassifier, *films: Any, **more: Any) -> Any:
        if next(chunks) == number:
            stop()
        return call(self, *films, **more)

    monkeypatch.setattr(GenreClassifier, "__call__", stopping)


def lose_power() -> None:
    raise SystemError("no code of ours catches this")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_in_chunks_has_the_films_in_their_order_with_the_genres_of_each(
    model: str, films: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"genres{suffix}"
    assert run(model, films, output) == 0
    expected = GenreClassifier.from_pretrained(model)(FILMS)
    rows = read_rows(output)
    assert [(row["title"], row["text"]) for row in rows] == [tuple(f.values()) for f in FILMS]
    for row, prediction in zip(rows, expected, strict=True):
        assert row["genres"] == list(prediction.genres)
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
        assert list(row["probabilities"]) == list(prediction.probabilities)
    assert rows[5]["genres"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films.csv", f"genres{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_run_is_resumed_after_its_last_complete_part_and_gives_the_same_file(
    model: str,
    films: Path,
    tmp_path: Path,
    suffix: str,
    read_films: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"genres{suffix}"
    assert run(model, films, whole) == 0
    read_films.clear()
    with monkeypatch.context() as patch:
        stop_in_chunk(4, patch, lose_power)
        with pytest.raises(SystemError):
            run(model, films, output)
    assert not output.exists()
    assert len(read_films) == 3
    assert run(model, films, output) == 0
    assert [plot for chunk in read_films for plot in chunk] == [film["plot"] for film in FILMS]
    assert output.read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"genres{suffix}.parts").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_its_code_and_one_line_that_says_how_to_resume(
    model: str,
    films: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with monkeypatch.context() as patch:
        stop_in_chunk(3, patch, lambda: os.kill(os.getpid(), number))
        assert run(model, films, tmp_path / "genres.jsonl") == 128 + number
    stop = StoppedError(number)
    stop.after = "after 10 of 23 films"
    assert capsys.readouterr().err.splitlines()[-1] == str(stop)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert run(model, films, tmp_path / "genres.jsonl") == 0
    assert "resuming after 10 of 23 films" in capsys.readouterr().err


@pytest.fixture
def unfinished(
    model: str, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The output of a killed run, which left three parts of it."""
    with monkeypatch.context() as patch:
        stop_in_chunk(4, patch, lose_power)
        with pytest.raises(SystemError):
            run(model, films, tmp_path / "genres.jsonl")
    yield tmp_path / "genres.jsonl"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--threshold", "0.5"], "different thresholds"),
        (["--never-empty"], r"different --never-empty \(was False, is True\)"),
        (
            ["--precision", "bf16"],
            r"--precision \(was PyTorch in float32, is PyTorch in bf16\)",
        ),
        (["--title-column", "plot"], "different columns"),
    ],
)
def test_parts_of_another_command_are_not_resumed(
    model: str, films: Path, unfinished: Path, flags: list[str], message: str
) -> None:
    before = sorted(path.name for path in unfinished.with_name("genres.jsonl.parts").iterdir())
    with pytest.raises(InputError, match=f"{message}.*--restart to discard its parts"):
        run(model, films, unfinished, *flags)
    assert before == sorted(p.name for p in unfinished.with_name("genres.jsonl.parts").iterdir())


def test_parts_of_another_model_or_of_other_films_are_not_resumed(
    model: str, finished_run: Path, films: Path, tmp_path: Path, unfinished: Path
) -> None:
    other = shutil.copytree(finished_run / "model", tmp_path / "model")
    classifier = GenreClassifier.from_pretrained(model)
    weights = classifier.runtime.model  # type: ignore[attr-defined]
    weights.bert.embeddings.word_embeddings.weight.data[3, 3] += 1
    assert classifier.identity() != GenreClassifier.from_pretrained(model).identity()
    assert run(str(other), films, unfinished) == 0  # the same one, at another place
    write_csv(films, [*FILMS[:-1], {"title": "Film 22", "plot": "ghost"}])
    unfinished.with_name("genres.jsonl.parts").mkdir()
    record = {"format": bulk._FORMAT, "chunk rows": 5, "--input": "0" * 64}
    (unfinished.with_name("genres.jsonl.parts") / "command.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="a command with different --input; columns"):
        run(model, films, unfinished, "--overwrite")


def test_restart_discards_the_parts_of_an_interrupted_run(
    model: str, films: Path, unfinished: Path, read_films: list[list[str]]
) -> None:
    assert run(model, films, unfinished, "--threshold", "0.5", "--restart") == 0
    assert sum(map(len, read_films)) == 23
    assert len(read_rows(unfinished)) == 23


def damage_by_a_row(part: Path) -> None:
    """Remove one row, and a few bytes more where that leaves half of another."""
    if part.suffix == ".parquet":
        pq.write_table(pq.read_table(part).slice(1), part)
    else:
        part.write_bytes(part.read_bytes()[:-20])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_part_without_the_rows_that_its_name_says_is_computed_again(
    model: str,
    films: Path,
    tmp_path: Path,
    suffix: str,
    read_films: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"genres{suffix}"
    assert run(model, films, whole) == 0
    with monkeypatch.context() as patch:
        stop_in_chunk(4, patch, lose_power)
        with pytest.raises(SystemError):
            run(model, films, output)
    parts = sorted(output.with_name(output.name + ".parts").glob("*-*"))
    assert [part.name for part in parts] == [f"00000{n}-5{suffix}" for n in range(3)]
    damage_by_a_row(parts[1])
    read_films.clear()
    assert run(model, films, output) == 0
    assert [plot for chunk in read_films for plot in chunk] == [f["plot"] for f in FILMS[5:]]
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_rows_of_a_part_are_counted_whatever_stands_in_a_cell(
    tmp_path: Path, suffix: str
) -> None:
    texts = ["two\nlines", 'a "quoted" word', 'a quote"\n"and lines\n', "x" * 200_000, "", "\r\n"]
    rows = [
        {"row": 1, "title": "", "text": t, "genres": [], "probabilities": {"A": 0.5}} for t in texts
    ]
    part = tmp_path / f"part{suffix}"
    write_part(part, rows, Columns(["A"]))
    assert count_rows(part) == len(rows)
    part.write_bytes(part.read_bytes()[:-1])
    assert count_rows(part) < len(rows)
    part.write_bytes(b"")
    assert count_rows(part) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads names from /proc")
def test_a_part_and_the_output_are_named_once_they_are_on_the_disk(
    model: str, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    replace, fsync = Path.replace, os.fsync

    def name_of(descriptor: int) -> str:
        return Path(f"/proc/self/fd/{descriptor}").readlink().name

    def watched_replace(path: Path, target: Path) -> Path:
        done.append(("rename", path.name))
        return replace(path, target)

    def watched_fsync(descriptor: int) -> None:
        done.append(("fsync", name_of(descriptor)))
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", watched_replace)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    assert run(model, films, tmp_path / "genres.jsonl") == 0
    part = [("fsync", "new.jsonl"), ("rename", "new.jsonl"), ("fsync", "genres.jsonl.parts")]
    whole = [("fsync", "joined.jsonl"), ("rename", "joined.jsonl"), ("fsync", tmp_path.name)]
    assert [step for step in done if step[1] != "command.json.new"] == [*part * 5, *whole]


def test_a_record_that_cannot_be_read_is_reported(
    model: str, films: Path, unfinished: Path
) -> None:
    (unfinished.with_name("genres.jsonl.parts") / "command.json").write_text("")
    with pytest.raises(InputError, match=r"command.json in it cannot be read.*--restart"):
        run(model, films, unfinished)


def test_two_processes_do_not_write_one_output(model: str, films: Path, unfinished: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (unfinished.with_name("genres.jsonl.parts") / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is writing"):
            run(model, films, unfinished)
    assert run(model, films, unfinished) == 0


def test_an_earlier_output_stays_until_the_new_one_is_whole(
    model: str, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "genres.csv"
    output.write_text("the earlier one")
    with monkeypatch.context() as patch:
        patch.setattr("movie_genres.inference.bulk.join_parts", lambda *_: lose_power())
        with pytest.raises(SystemError):
            run(model, films, output, "--overwrite")
    assert output.read_text() == "the earlier one"
    assert run(model, films, output, "--overwrite") == 0
    assert len(read_rows(output)) == 23


def test_broken_rows_are_reported_before_the_work_or_left_out(
    model: str,
    films: Path,
    tmp_path: Path,
    read_films: list[list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = films.read_text(encoding="utf-8").splitlines()
    lines[22:22] = ["a,b,too many", "too few"]
    films.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = tmp_path / "genres.jsonl"
    with pytest.raises(InputError, match=r"row 22: more fields .*; 2 such rows.*--skip-broken"):
        run(model, films, output)
    assert not read_films
    assert run(model, films, output, "--skip-broken") == 0
    assert [row["title"] for row in read_rows(output)] == [film["title"] for film in FILMS]
    printed = capsys.readouterr().err
    assert "note: 2 rows cannot be read and are left out: row 22: more fields" in printed
    assert "note: 1 of 23 films have no plot" in printed


def test_any_kind_of_file_that_preparation_reads_is_read(
    model: str, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "films.tsv.gz").write_bytes(gzip.compress(films.read_bytes().replace(b",", b"\t")))
    (tmp_path / "films.json").write_text(json.dumps(FILMS))
    for name in ("films.tsv.gz", "films.json"):
        assert run(model, tmp_path / name, tmp_path / "genres.parquet", "--overwrite") == 0
        titles = pd.read_parquet(tmp_path / "genres.parquet")["title"].tolist()
        assert titles == [film["title"] for film in FILMS]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_character_is_replaced(model: str, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "films.jsonl").write_text('{"title": "\\ud83d", "plot": "the ghost \\ud83d"}\n')
    assert run(model, tmp_path / "films.jsonl", tmp_path / f"genres{suffix}") == 0
    assert read_rows(tmp_path / f"genres{suffix}")[0]["text"] == "the ghost \ufffd"


def test_a_file_without_a_plot_or_without_a_column_of_them_is_refused(tmp_path: Path) -> None:
    def opened(content: str) -> None:
        (tmp_path / "films.csv").write_text(content)
        open_films(tmp_path / "films.csv", tmp_path)

    with pytest.raises(InputError, match="the column 'plot' is empty in all 2 rows"):
        opened("title,plot\nA, \nB,\n")
    with pytest.raises(InputError, match="no column found for --text-column"):
        opened("title,words\nA,B\n")
    with pytest.raises(InputError, match="there is no file"):
        open_films(tmp_path / "no.csv", tmp_path)


def test_a_progress_line_counts_the_films_of_this_process_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("movie_genres.progress.time.monotonic", lambda: now)
    for total, left in ((10_000, "8 min"), (1_000_000, "27.6 h")):
        now = 0.0
        progress = Progress(total, done=4_000)
        now = 100.0
        progress.add(1_000)
        said = capsys.readouterr().err
        assert f"5,000 of {total:,} films, {left} left\n" in said


def test_a_carriage_return_inside_a_cell_breaks_no_row_of_the_csv(
    model: str, tmp_path: Path
) -> None:
    source, output = tmp_path / "films.jsonl", tmp_path / "genres.csv"
    film = {"title": "The\rGhost", "plot": "A ghost screams\rin the old house."}
    source.write_text(f"{json.dumps(film)}\n" * 3)
    assert run(model, source, output) == 0
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["title"] for row in rows] == ["The\rGhost"] * 3
    assert [row["text"] for row in rows] == [film["plot"]] * 3
