"""Is predict.py's memory bounded on a million rows, and what is left of a run that is killed?

    python -m benchmarks.bulk --work-dir runs/bulk --rows 1000000 --kills 3

Made-up films and a random BERT of a few kilobytes, so that what the program keeps would show. First
a small file, in one piece: its rows and its peak memory are what the large file is compared with.
Then the large one, ended by SIGKILL at moments drawn from its expected length and given the same
command again. Ends with 1 if its rows are not the input's in their order, if its first ones are not
those of the small file to the last digit, or if its peak is more than --most-mib above.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from benchmarks.made_up_films import write_films
from benchmarks.scale import ROOT, resident_bytes
from benchmarks.soak import make_encoder
from movie_genres.inference.bulk import open_films
from movie_genres.reading.columns import PLOT, TITLE

SMALL = 20_000
"""Ten chunks, and the same films as the first of a larger file."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory of many predictions, and kills.")
    parser.add_argument("--rows", type=int, default=1_000_000, help=f"more than {SMALL:,}")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--format", choices=("csv", "jsonl", "parquet"), default="parquet")
    parser.add_argument("--most-mib", type=float, default=100)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    folder = args.work_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "model").is_dir():
        make_encoder(folder / "model")
    sources = {rows: folder / f"{rows}.csv" for rows in (SMALL, args.rows)}
    for rows, source in sources.items():
        if not source.is_file():
            write_films(source, rows)
    outputs = {rows: folder / f"{rows}-genres.{args.format}" for rows in sources}
    for output in outputs.values():
        output.unlink(missing_ok=True)
    small = sit(folder, sources[SMALL], outputs[SMALL])
    print(f"{SMALL:,} rows in one piece: {small.seconds:.0f} s, {small.peak_mib:.0f} MiB at most")
    draw = random.Random(args.seed)
    expected = small.seconds * args.rows / SMALL
    sittings: list[Sitting] = []
    for _ in range(args.kills):
        if outputs[args.rows].exists():
            break  # done before the moment came
        moment = draw.uniform(0, expected / args.kills)
        sittings.append(sit(folder, sources[args.rows], outputs[args.rows], moment))
        print(sittings[-1], flush=True)
    if not outputs[args.rows].exists():
        sittings.append(sit(folder, sources[args.rows], outputs[args.rows]))
        print(sittings[-1], flush=True)
    growth = max(sitting.peak_mib for sitting in sittings) - small.peak_mib
    print(f"{args.rows:,} rows: {sum(s.seconds for s in sittings):.0f} s, {growth:+.0f} MiB")
    wrong = find_wrong(sources[args.rows], outputs[args.rows], outputs[SMALL])
    print(wrong or "its rows are the input's in their order, its first those of the small file")
    return int(bool(wrong) or growth > args.most_mib)


@dataclass(frozen=True)
class Sitting:
    """One call of the command."""

    seconds: float
    peak_mib: float
    end: str
    parts: int
    """That are kept when it has ended."""

    def __str__(self) -> str:
        kept = f", {self.parts} parts kept" if self.parts else ""
        return f"{self.end} after {self.seconds:.0f} s, {self.peak_mib:.0f} MiB at most{kept}"


def sit(folder: Path, source: Path, output: Path, moment: float | None = None) -> Sitting:
    """Call predict.py, kill it at the moment, if it still runs then, and watch its memory.

    Raises:
        SystemExit: If it fails, or leaves an output although it was killed.
    """
    command = [sys.executable, ROOT / "predict.py", "--model", folder / "model",
               "--threshold", "0.5", "--input", source, "--output", output]  # fmt: skip
    began, peak, killed = time.monotonic(), 0, False
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd=ROOT)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, resident_bytes(watched))
        time.sleep(0.1)
        if moment is not None and time.monotonic() - began > moment:
            process.kill()
            process.wait()
            killed = process.returncode < 0
    if process.returncode and not killed:
        raise SystemExit(f"predict.py ended with {process.returncode}; see {folder / 'log.txt'}")
    if not output.exists() and not killed:
        raise SystemExit(f"there is no {output}")
    parts = len(list(output.with_name(output.name + ".parts").glob("*-*-*")))
    return Sitting(
        time.monotonic() - began, peak / 2**20, "killed" if killed else "finished", parts
    )


def find_wrong(source: Path, output: Path, small: Path) -> str:
    """What is wrong with the rows of an output; nothing if nothing is."""
    count = 0
    first = rows_of(small)
    with tempfile.TemporaryDirectory() as folder:
        films = open_films(source, Path(folder)).films((TITLE, PLOT))
        for row in rows_of(output):
            film = next(films, None)
            if film is None or (row["title"], row["text"]) != (film[TITLE], film[PLOT]):
                return f"row {count} is not that of the input"
            if count < SMALL and row != next(first):
                return f"row {count} is not that of the small file"
            count += 1
        if next(films, None) is not None:
            return f"there are {count:,} rows only"
    return ""


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Of an output of predict.py; CSV and JSON Lines as tables of text."""
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(1000):
            yield from batch.to_pylist()
    else:
        from movie_genres.reading.tables import open_table

        columns = ["title", "text", "genres", "probabilities"]
        for record in open_table(path).records(columns):
            yield dict(zip(columns, record, strict=True))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
