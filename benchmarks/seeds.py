"""The recipe over several seeds of split and training, beside TF-IDF on the same films.

    python -m benchmarks.seeds --source movies.csv --seeds 10 11 12 13 14 \\
        --work-dir runs/seeds --max-length 128

Each seed prepares its own split and trains with the defaults of finetune.py; flags that this script
does not know go to finetune.py. Complete runs are not repeated, so an interrupted benchmark goes
on. Writes `<work-dir>/RESULTS.md`. Means are over seeds; differences are paired by seed, with a
95 % interval by Student's t.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).parent.parent
ROWS = {
    "mAP": ("chosen", "average_precision_macro"),
    "F1 micro, chosen policy": ("chosen", "f1_micro"),
    "F1 macro, chosen policy": ("chosen", "f1_macro"),
    "F1 micro, global policy": ("global", "f1_micro"),
    "F1 macro, thresholds tuned for it": ("f1_macro", "f1_macro"),
    "subset accuracy, chosen policy": ("chosen", "subset_accuracy"),
    "subset accuracy, thresholds tuned for it": ("subset_accuracy", "subset_accuracy"),
    "subset accuracy, fixed 0.5": ("fixed_0.5", "subset_accuracy"),
}


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="The recipe over several seeds.")
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--work-dir", type=Path, required=True)
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, training_flags = parse_args(argv)
    runs = [run_seed(args.source, seed, args.work_dir, training_flags) for seed in args.seeds]
    report = render(runs, args, training_flags)
    (args.work_dir / "RESULTS.md").write_text(report, encoding="utf-8")
    print(report)
    return 0


def run_seed(source: str, seed: int, folder: Path, flags: list[str]) -> dict[str, Any]:
    """Prepare and train one seed; the content of its metrics.json."""
    data, run = folder / f"data-{seed}", folder / f"run-{seed}"
    if not (data / "report.json").is_file():
        call("prepare_dataset.py", "--source", source, "--output-dir", data, "--seed", seed)
    call("finetune.py", "--dataset-dir", data, "--output-dir", run, "--seed", seed, *flags)
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def call(script: str, *arguments: object) -> None:
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def render(runs: list[dict[str, Any]], args: argparse.Namespace, flags: list[str]) -> str:
    lines = [
        f"# {Path(args.source).name}, seeds {', '.join(map(str, args.seeds))}",
        "",
        f"`finetune.py {' '.join(flags)}`, test split, {platform.machine()}, "
        f"{runs[0]['train']['precision']}. Mean ± standard deviation over seeds; baselines on the "
        "same films, with the same calibration and threshold tuner.",
        "",
        "| | this model | TF-IDF + LR | frozen encoder + LR | this model − TF-IDF (95 %) |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, (policy, score) in ROWS.items():
        ours = np.array([scores_of(run, policy)[score] for run in runs])
        if policy != "chosen":
            lines.append(f"| {name} | {spread(ours)} | | | |")
            continue
        tfidf, probe = (
            np.array([run["baselines"][baseline][score] for run in runs])
            for baseline in ("tfidf_logreg", "linear_probe")
        )
        lines.append(
            f"| {name} | {spread(ours)} | {spread(tfidf)} | {spread(probe)} | "
            f"{paired(ours, tfidf)} |"
        )
    facts = {
        "seconds of training, probing included": "seconds",
        "useful tokens per second": "useful_tokens_per_second",
        "peak memory, GiB": "peak_memory_bytes",
    }
    for name, key in facts.items():
        values = np.array([run["train"][key] for run in runs], dtype=float)
        values = values / 2**30 if key == "peak_memory_bytes" else values
        lines.append(f"| {name} | {values.mean():,.1f} (most {values.max():,.1f}) | | | |")
    for when in ("before", "after"):
        ece = np.array([run["calibration"][when]["ece"] for run in runs])
        lines.append(f"| calibration error {when} calibration | {spread(ece)} | | | |")
    policies = ", ".join(run["chosen_policy"] for run in runs)
    return "\n".join([*lines, "", f"Chosen policies: {policies}.", ""])


def scores_of(run: dict[str, Any], decisions: str) -> dict[str, float]:
    """Test scores by a policy, or by the thresholds tuned for an objective."""
    if decisions in run["objectives"] and decisions not in run["test"]:
        return run["objectives"][decisions]["test"]
    return run["test"][decisions]


def spread(values: np.ndarray) -> str:
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    return f"{values.mean():.3f} ± {deviation:.3f}"


def paired(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Mean difference by seed and its interval; an interval needs two seeds."""
    difference = ours - theirs
    if len(difference) < 2:
        return f"{difference.mean():+.3f}"
    half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
    mean = difference.mean()
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


if __name__ == "__main__":
    sys.exit(main())
