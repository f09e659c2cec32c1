"""This project beside what a user would pick instead: same films, same splits, same machine.

    python -m benchmarks.compare --source movies.csv --seeds 10 11 12 13 14 \\
        --work-dir runs/compare --max-length 128 --output-dir benchmarks

Every recipe trains on every seed's split, one after another, each in a process of its own, and is
judged by the same calibration and threshold tuner. What is done is not repeated, so the same
command goes on with an interrupted comparison. Flags that this script does not know go to
finetune.py. Writes RESULTS.md and compare.png; `<work-dir>/results/` holds every figure.
`--recipes ours` runs this project alone; `--report-only` runs nothing and tells of what is there,
so that recipes that take long may stand with fewer seeds. `tuned-bf16` and `setfit` run when they
are named; setfit needs `pip install setfit==1.2.0`.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.compare_figure import plot_comparison
from benchmarks.compare_report import render
from benchmarks.comparison import TITLES, Comparison, Settings
from movie_genres.command_line import EXIT_FAILURE, dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.model.encoder import DEFAULT_ENCODER, find_encoder
from movie_genres.training.arguments import parse_finetune_args

ROOT = Path(__file__).parent.parent
DEFAULT_RECIPES = ("stock", "tuned", "tfidf", "embeddings", "ours")


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description="The recipe beside others, over several seeds.",
        allow_abbrev=False,  # --seed is not --seeds
    )
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="of split and training")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--max-length", type=int, default=128, help="tokens; TF-IDF reads all")
    parser.add_argument("--model-name-or-path", default=DEFAULT_ENCODER, help="for all recipes")
    parser.add_argument("--recipes", nargs="+", choices=TITLES, default=list(DEFAULT_RECIPES))
    parser.add_argument(
        "--tune-seed", type=int, help="tune (b) on this seed's split (default: the first seed)"
    )
    parser.add_argument("--output-dir", type=Path, help="of RESULTS.md (default: --work-dir)")
    parser.add_argument(
        "--report-only", action="store_true", help="write the report of what is there, run nothing"
    )
    return parser.parse_known_args(dashes(sys.argv[1:] if argv is None else argv))


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    args.seeds = list(dict.fromkeys(args.seeds))
    # A wrong flag is told before hours of work.
    find_encoder(args.model_name_or_path)
    parse_finetune_args(["--max-length", str(args.max_length), *flags])
    output = args.output_dir or args.work_dir
    if not output.is_dir() and output != args.work_dir:
        raise InputError(f"--output-dir {output} is no folder")
    tune_seed = args.seeds[0] if args.tune_seed is None else args.tune_seed
    comparison = Comparison(args.work_dir)
    comparison.start(
        Settings(args.source, args.model_name_or_path, args.max_length, tune_seed, flags)
    )
    failed = [] if args.report_only else run_missing(comparison, args.seeds, args.recipes)
    outcomes = comparison.outcomes(args.seeds, args.recipes)
    if args.report_only and not outcomes:
        raise InputError(f"--work-dir {args.work_dir} holds no results of these seeds and recipes")
    if outcomes:
        given = sys.argv[1:] if argv is None else argv
        command = shlex.join(["python", "-m", "benchmarks.compare", *given])
        report = render(comparison, outcomes, command, failed)
        (output / "RESULTS.md").write_text(report, encoding="utf-8")
        figure = plot_comparison(outcomes)
        figure.savefig(output / "compare.png")
        plt.close(figure)
        print(report)
    return EXIT_FAILURE if failed else 0


def run_missing(comparison: Comparison, seeds: Sequence[int], recipes: Sequence[str]) -> list[str]:
    """Run what is not there yet; a recipe that fails does not keep the others from running.

    Returns:
        A sentence for each job that failed.

    Raises:
        InputError: If the films cannot be prepared.
    """
    failed = []
    for seed, job in comparison.missing_jobs(seeds, recipes):
        prepare(comparison, seed)
        code = call(
            "-m", "benchmarks.one_recipe", "--work-dir", comparison.path, "--seed", seed,
            "--recipe", job,
        )  # fmt: skip
        if code:
            failed.append(f"{job}, seed {seed}: ended with exit code {code}")
            print(f"failed: {failed[-1]}; the same command tries it again", flush=True)
    return failed


def prepare(comparison: Comparison, seed: int) -> None:
    data = comparison.data(seed)
    if (data / "report.json").is_file():
        return
    source = comparison.settings().source
    if call(ROOT / "prepare_dataset.py", "--source", source, "--output-dir", data, "--seed", seed):
        raise InputError(f"--source {source} cannot be prepared")


def call(*arguments: object) -> int:
    """Run Python with these arguments from the root of the project; its exit code."""
    command = [sys.executable, *map(str, arguments)]
    print("$ python", shlex.join(command[1:]), flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(exit_code(main))
