"""What each field of the metadata adds to the plot: same films, same splits, text after text.

    python -m benchmarks.field_ablation --source tmdb_5000_movies.csv --seeds 10 11 12 \\
        --text overview --text title overview --text keywords overview \\
        --work-dir runs/fields --max-length 128 --soup 1

Each `--text` is what `--text-fields` of prepare_dataset.py takes; the first is what the others are
compared with. Flags that this script does not know go to finetune.py. Complete runs are not
repeated. Writes `<work-dir>/FIELDS.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import call
from benchmarks.compare_report import paired, spread
from benchmarks.machine import describe, machine
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.loading import load_prepared
from movie_genres.splits import SPLITS

SCORES = {"mAP": "average_precision_macro", "F1 micro": "f1_micro", "F1 macro": "f1_macro"}

Runs = dict[tuple[str, ...], list[dict[str, Any]]]
"""metrics.json and `leaks` by text and seed."""


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="What each field adds.", allow_abbrev=False)
    parser.add_argument("--source", required=True, help="as in prepare_dataset.py")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument(
        "--text", nargs="+", action="append", required=True, metavar="COLUMN", dest="texts"
    )
    parser.add_argument("--work-dir", type=Path, required=True)
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    texts = [tuple(text) for text in args.texts]
    found: Runs = {text: [] for text in texts}
    for seed in args.seeds:
        for text in texts:
            found[text].append(run(args.source, seed, text, args.work_dir, flags))
        check_same_films([data_folder(args.work_dir, seed, text) for text in texts])
    table = render(found, flags)
    (args.work_dir / "FIELDS.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


def data_folder(work_dir: Path, seed: int, text: Sequence[str]) -> Path:
    return work_dir / f"data-{seed}-{'-'.join(text)}"


def run(
    source: str, seed: int, text: Sequence[str], work_dir: Path, flags: Sequence[str]
) -> dict[str, Any]:
    """Prepare and train; metrics.json of the run, and the shares of the leak check."""
    data = data_folder(work_dir, seed, text)
    output = work_dir / data.name.replace("data", "run", 1)
    if not (data / "report.json").is_file():
        call("prepare_dataset.py", "--source", source, "--output-dir", data, "--seed", seed,
             "--text-fields", *text)  # fmt: skip
    call("finetune.py", "--dataset-dir", data, "--output-dir", output, "--seed", seed, *flags)
    report = json.loads((data / "report.json").read_text(encoding="utf-8"))
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    return metrics | {"leaks": report["genre_named_in"]}


def check_same_films(folders: Sequence[Path]) -> None:
    """Raises: InputError: If the splits of these prepared folders do not hold the same films."""
    first, *others = ([load_prepared(f).splits[s]["id"] for s in SPLITS] for f in folders)
    for folder, ids in zip(folders[1:], others, strict=True):
        if ids != first:
            raise InputError(f"{folder} does not hold the films of {folders[0]}; what differs?")


def render(found: Runs, flags: Sequence[str]) -> str:
    """A row for each text: this project, TF-IDF on the same texts, the plots alone at use."""
    first = next(iter(found))
    lines = [
        "# What each field adds",
        "",
        f"`finetune.py {' '.join(flags)}`, test split, mean and standard deviation of "
        f"{len(found[first])} seed(s), in brackets the difference to `{' '.join(first)}` with its "
        f"95 % interval over seeds; {describe(machine())}.",
        "",
        "| text | named genres | " + " | ".join(SCORES) + " | mAP, given the plots alone | "
        "TF-IDF: mAP | F1 micro |",
        "|---|---:|" + "---:|" * (len(SCORES) + 3),
    ]
    for text, runs in found.items():
        cells = [f"`{' '.join(text)}`", leaks(runs)]
        for score in SCORES.values():
            cell = spread(values(runs, score).tolist(), 3)
            if text != first:
                cell += f" ({paired(values(runs, score), values(found[first], score))})"
            cells.append(cell)
        alone = [run["plots_alone"] or run["test"]["chosen"] for run in runs]
        cells.append(spread([scores[SCORES["mAP"]] for scores in alone], 3))
        for score in (SCORES["mAP"], SCORES["F1 micro"]):
            cells.append(spread([run["baselines"]["tfidf_logreg"][score] for run in runs], 3))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def values(runs: Sequence[dict[str, Any]], score: str) -> np.ndarray:
    """Of this project on the test split, one for each seed."""
    return np.array([run["test"]["chosen"][score] for run in runs])


def leaks(runs: Sequence[dict[str, Any]]) -> str:
    """Share of the films whose field names one of their own genres, by field."""
    shares = runs[0]["leaks"]
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


if __name__ == "__main__":
    sys.exit(exit_code(main))
