"""CPU seconds, memory and disk of each stage from a file of made-up films to the report of a run.

    python -m benchmarks.stages --work-dir runs/stages --films 5000 50000 500000
    python -m benchmarks.stages --work-dir runs/stages --films 50000 --encoder default

Without --encoder a tiny random one is trained, whose own time is next to nothing: what is left is
what grows with the films. Arguments that are not known here go to finetune.py, which runs as it is:
each of its stages is a function that is timed. A baseline's decisions are fitted and judged once
for each of the three. Peak memory is that of a stage alone, with what the process holds already
(--num-proc processes together in preparation); disk is what the run's folder holds after a stage,
and the prepared films after preparation. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, set_seed

import finetune
from benchmarks.made_up_films import vocabulary, write_films
from benchmarks.scale import cpu_seconds, measure
from movie_genres.evaluation import judge

STAGES = {
    (finetune, "load_prepared"): "open the prepared films",
    (finetune, "tokenize_splits"): "tokenise",
    (finetune, "initialise_head"): "linear probe",
    (finetune, "train_seed_runs"): "train",
    (finetune, "tune_and_judge"): "decide and judge",
    (finetune, "probe_logits"): "score the linear probe",
    (judge, "tuned_tfidf_logits"): "TF-IDF",
    (judge, "judge_baseline"): "decide and judge a baseline",
    (finetune, "write_results"): "report and figures",
}
"""Functions of a run, by module and name, in the order of their calls; none calls another."""
QUICK = ("--soup", "1", "--num-train-epochs", "1", "--films-per-step", "64", "--max-length", "128")
"""Before the user's arguments: little training, which is proportional to the films in any case."""

Row = Callable[[str, float, float, float, Path], None]


def parse_args(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="What each stage costs.", allow_abbrev=False)
    parser.add_argument("--films", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--num-proc", type=int, default=2, help="of preparation")
    parser.add_argument("--encoder", default="", help="folder, or 'default' for the packaged one")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, flags = parse_args(argv)
    folder = args.work_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    encoder = args.encoder or str(tiny_encoder(folder / "tiny-encoder"))
    flags = [*QUICK, "--model-name-or-path", encoder, *flags]
    print("| films | stage | CPU seconds | seconds | peak MiB | disk MiB |")
    print("|---:|---|---:|---:|---:|---:|", flush=True)
    for films in args.films:
        source, data, run = (folder / f"{films}{end}" for end in (".csv", "", "-run"))
        if not source.is_file():
            write_films(source, films)
        cost = measure(
            "prepare_dataset", "--source", source, "--output-dir", data,
            "--num-proc", args.num_proc,
        )  # fmt: skip
        row = partial(print_row, films)
        row("prepare", cost.cpu_seconds, cost.seconds, cost.peak_mib, data)
        # A process of its own: nothing of the run before is in its memory.
        process = multiprocessing.get_context("spawn").Process(
            target=train, args=(row, [*flags, "--dataset-dir", str(data)], run)
        )
        process.start()
        process.join()
        if process.exitcode:
            return 1
    return 0


def tiny_encoder(folder: Path) -> Path:
    """With random weights; its tokenizer knows the made-up words."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", *vocabulary()]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(vocab=str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=1,
        intermediate_size=128, initializer_range=0.1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def print_row(films: int, stage: str, cpu: float, seconds: float, mib: float, disk: Path) -> None:
    used = sum(path.stat().st_size for path in disk.rglob("*") if path.is_file()) / 2**20
    print(
        f"| {films:,} | {stage} | {cpu:,.1f} | {seconds:,.1f} | {mib:,.0f} | {used:,.0f} |",
        flush=True, file=sys.__stdout__,
    )  # fmt: skip


def train(row: Row, flags: Sequence[str], run: Path) -> None:
    """finetune.py, with a row for each of its stages; its own words go to a file beside the run."""

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        cpu, began = time.process_time() + cpu_seconds(), time.perf_counter()
        yield
        cpu, seconds = time.process_time() + cpu_seconds() - cpu, time.perf_counter() - began
        row(name, cpu, seconds, peak_mib(), run)

    def timed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with stage(name):
                return function(*args, **kwargs)

        return call

    @contextmanager
    def cached(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with ExitStack() as stack:
            with stage("cache activations"):
                inputs = stack.enter_context(cached_inputs(*args, **kwargs))
            yield inputs

    cached_inputs: Callable[..., AbstractContextManager[Any]] = finetune.cached_inputs
    with ExitStack() as stack:
        stack.enter_context(patch.object(finetune, "cached_inputs", cached))
        for (module, function), name in STAGES.items():
            call = timed(getattr(module, function), name)
            stack.enter_context(patch.object(module, function, call))
        log = stack.enter_context(run.with_suffix(".log").open("w", encoding="utf-8"))
        stack.enter_context(redirect_stdout(log))
        finetune.main([*flags, "--output-dir", str(run), "--overwrite"])
        stack.enter_context(stage("at the end"))


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
