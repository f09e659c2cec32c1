"""The project's own commands, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def call(script: str, *arguments: object) -> None:
    """Run a script of the project, shown as it is.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)
