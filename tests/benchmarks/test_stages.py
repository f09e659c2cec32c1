"""What a run costs by stage: the functions that are timed are those of a run."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import finetune
from benchmarks import stages


def test_what_is_timed_is_called_by_a_run() -> None:
    for module, name in stages.STAGES:
        assert f"{name}(" in inspect.getsource(module).replace(f"def {name}(", "")
    assert "cached_inputs(" in inspect.getsource(finetune.train)


def test_a_row_has_what_the_folder_holds(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_bytes(bytes(3 * 2**20))
    stages.print_row(50_000, "train", 12.34, 56.78, 910.0, tmp_path)
    assert capfd.readouterr().out == "| 50,000 | train | 12.3 | 56.8 | 910 | 3 |\n"
