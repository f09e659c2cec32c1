"""Time and memory of prepare_dataset.py on made-up films, beside the straightforward script.

    python -m benchmarks.scale --work-dir runs/scale --rows 10000 100000 1000000

Memory is the sum of the resident sets of a command and all its processes, sampled ten times a
second: pages that processes share are counted once for each. On a busy machine the CPU seconds tell
more than the seconds. After each size both results are compared: the same films with the same texts
and labels.

Both sides parse, map by the alias table, clean, encode and write. Ours finds nearly equal plots,
makes splits, lists the rejected rows, counts tokens, reports and draws besides: one to two seconds
whatever the number of rows, and part of its time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.made_up_films import write_films

ROOT = Path(__file__).parent.parent


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time and memory of preparation.")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--num-proc", type=int, default=2)
    parser.add_argument(
        "--naive-up-to", type=int, metavar="ROWS", help="leave the other script out of larger files"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    print("| rows | command | seconds | CPU seconds | peak MiB |")
    print("|---:|---|---:|---:|---:|")
    for rows in args.rows:
        folder = args.work_dir.resolve()
        source, ours, naive = (folder / f"{rows}{end}" for end in (".csv", "", ".parquet"))
        if not source.is_file():
            write_films(source, rows)
        mine = measure(
            "prepare_dataset", "--source", source, "--output-dir", ours,
            "--num-proc", args.num_proc,
        )  # fmt: skip
        print_row(rows, "prepare_dataset", mine)
        print(f"  {mine.seconds / rows * 1e6:.1f} µs a row", flush=True)
        if args.naive_up_to is None or rows <= args.naive_up_to:
            other = measure("benchmarks.naive_prepare", source, naive)
            print_row(rows, "benchmarks.naive_prepare", other)
            print(
                f"  {other.seconds / mine.seconds:.1f} times the seconds of prepare_dataset, "
                f"{other.cpu_seconds / mine.cpu_seconds:.1f} times its CPU seconds"
            )
            compare(ours, naive)
    return 0


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def print_row(rows: int, command: str, cost: Cost) -> None:
    print(
        f"| {rows:,} | {command} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} | "
        f"{cost.peak_mib:,.0f} |",
        flush=True,
    )


def measure(module: str, *arguments: object) -> Cost:
    """Run a command: its time, its processors' time and its peak memory."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    started, before, peak = time.perf_counter(), cpu_seconds(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, resident_bytes(watched))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{module} ended with {process.returncode}")
    return Cost(time.perf_counter() - started, cpu_seconds() - before, peak / 2**20)


def cpu_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_bytes(process: psutil.Process) -> int:
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended between two looks
    return total


def compare(ours: Path, naive: Path) -> None:
    """Raises: SystemExit: If the two made different films of one file."""
    columns = ["id", "title", "text", "labels"]
    splits = [pq.read_table(path, columns=columns) for path in sorted(ours.glob("data/*.parquet"))]
    mine, theirs = pa.concat_tables(splits), pq.read_table(naive, columns=columns)
    for table in (mine, theirs):
        if table.num_rows != len(pc.unique(table["id"])):
            raise SystemExit("ids are not unique")
    order = [pc.sort_indices(table, [("id", "ascending")]) for table in (mine, theirs)]
    mine, theirs = mine.take(order[0]), theirs.take(order[1])
    for column in ("id", "title", "text"):
        if mine[column].to_pylist() != theirs[column].to_pylist():
            raise SystemExit(f"the column {column} differs")
    labels = [table["labels"].combine_chunks().flatten().to_numpy() for table in (mine, theirs)]
    differ = (labels[0] != labels[1]).reshape(mine.num_rows, -1).any(axis=1)
    print(f"  texts identical; rows with more labels by united near duplicates: {differ.sum()}")


if __name__ == "__main__":
    sys.exit(main())
