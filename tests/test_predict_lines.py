"""predict.py as a filter: a line in, a line out."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import predict
from movie_genres.errors import InputError

PLOT = "the ghost blood cellar"


def start(finished_run: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "predict.py", "--model", str(finished_run), "--threshold", "0", *more],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_each_line_is_answered_before_the_next_one_comes(finished_run: Path) -> None:
    with start(finished_run) as process:
        assert process.stdin and process.stdout
        for plot, genres in ((PLOT, 3), ("", 0), ("N/A", 0), ("the saloon", 3)):
            process.stdin.write(f"{plot}\n".encode())
            process.stdin.flush()
            answer = process.stdout.readline().decode()
            assert answer.endswith("\n")
            assert len([g for g in answer.strip().split(", ") if g]) == genres
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 0


def test_a_reader_that_has_enough_ends_the_command_quietly(finished_run: Path) -> None:
    with start(finished_run) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(f"{PLOT}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()  # as `head -1` does
        process.stdin.write(f"{PLOT}\n".encode() * 3)
        process.stdin.close()
        assert (process.wait(), process.stderr.read()) == (141, b"")


def test_no_line_no_answer_and_another_encoding_is_named(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert predict.main(["--model", str(finished_run)]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Élodie\n".encode("cp1252"))))
    with pytest.raises(InputError, match="standard input is not UTF-8 after its line 0"):
        predict.main(["--model", str(finished_run)])


def test_explanations_need_more_than_a_line() -> None:
    with pytest.raises(InputError, match="--explain goes with plots that are given as arguments"):
        predict.main(["--model", ".", "--explain"])
