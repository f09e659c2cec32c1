"""A token in the environment is in nothing that a command prints or writes.

Of finetune.py and publish.py this is tested where they run, in test_robustness.py, test_hub.py and
test_publish.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import made_up_films, write_csv

import evaluate_model
import predict
import prepare_dataset

TOKEN = "hf_thisIsASecret"


def test_no_command_tells_the_token(
    finished_run: Path,
    prepared_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    films = str(write_csv(tmp_path / "films.csv", made_up_films(120)))
    model, out = ["--model", str(finished_run / "model")], str(tmp_path / "out.csv")
    prepared = ["--source", films, "--output-dir", str(tmp_path / "data")]
    judged = ["--dataset-dir", str(prepared_folder), "--output-dir", str(tmp_path / "again")]
    commands: list[tuple[Callable[[list[str]], int], list[str]]] = [
        (prepare_dataset.main, [*prepared, "--min-genre-count", "5", "--num-proc", "1"]),
        (evaluate_model.main, [*model, *judged]),
        (predict.main, [*model, "--input", films, "--output", out]),
    ]
    for main, arguments in commands:
        assert main(arguments) == 0
    assert TOKEN not in "".join(capfd.readouterr())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
