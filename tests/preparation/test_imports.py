"""Reading and preparing data needs neither torch nor transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("wing", ["reading", "preparation"])
def test_a_wing_imports_neither_torch_nor_transformers(wing: str) -> None:
    modules = [
        f"movie_genres.{wing}.{path.stem}"
        for path in sorted((ROOT / "movie_genres" / wing).glob("[!_]*.py"))
    ]
    assert modules
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "transformers"} & set(json.loads(done.stdout))
