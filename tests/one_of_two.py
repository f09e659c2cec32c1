"""Run by test_processes.py under accelerate: the second process of finetune.py comes to harm.

python tests/one_of_two.py OUTPUT_DIR ... (other arguments of finetune.py): it gets SIGTERM before
step 10 and the same command is given again; the same of two seed runs, in another folder;
and a run in a third one then fails before step 3.
Only what starts the processes anew is not repeated, because that takes most of the time; and
figures are not drawn, which takes much of the rest.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from matplotlib.figure import Figure

import finetune
from movie_genres.command_line import exit_code

SOUP = ["--soup", "2", "--num-train-epochs", "1"]

train_step = finetune.GenreTrainer.training_step


def run(harm: str | None, step: int, *arguments: str) -> int:
    """Give the command, with harm to the second process before the first part of a step."""
    todo = [harm]

    def harmed(self: finetune.GenreTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.args.process_index == 1 and self.state.global_step == step - 1 and todo:
            if todo.pop() == "SIGTERM":
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                raise RuntimeError("made up")
        return train_step(self, *args, **kwargs)

    finetune.GenreTrainer.training_step = harmed  # type: ignore[method-assign]
    return exit_code(lambda: finetune.main(arguments))


def main(folder: str, *arguments: str) -> None:
    Figure.savefig = lambda figure, path: path.touch()  # type: ignore[method-assign]
    assert run("SIGTERM", 10, "--output-dir", folder, *arguments) == 128 + signal.SIGTERM
    assert run(None, 0, "--output-dir", folder, *arguments) == 0
    soup = ["--output-dir", f"{folder}-soup", *arguments, *SOUP]
    assert run("SIGTERM", 3, *soup) == 128 + signal.SIGTERM
    assert run(None, 0, *soup) == 0
    run("failure", 3, "--output-dir", f"{folder}-failed", "--probe-c", "0", *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
