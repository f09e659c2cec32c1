"""A run or a prepared dataset -> the Hub, checked before the upload and after pulling it back.

python publish.py runs/demo --repo-id you/movie-genres                  # private
python publish.py runs/demo --repo-id you/movie-genres --public --tag v1.0
python publish.py runs/demo --repo-id you/movie-genres --dry-run        # files, sizes and card
python publish.py runs/demo --repo-id you/movie-genres --onnx           # ONNX files as well
python publish.py runs/demo --repo-id you/movie-genres --public --space you/movie-genres-demo
python publish.py --dataset data/prepared --repo-id you/movie-plots

The token is the one that `hf auth login` stored, or the variable HF_TOKEN. After a failure, the
same command again sends only what is not on the Hub yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.hub.publication import publish_dataset, publish_page, publish_run
from movie_genres.hub.repository import READER_TOKEN, HubTarget, Repository


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Publish a run or a prepared dataset.")
    parser.add_argument("run", type=Path, nargs="?", help="folder that finetune.py wrote")
    parser.add_argument("--dataset", type=Path, help="folder that prepare_dataset.py wrote")
    parser.add_argument("--repo-id", required=True, help="repository on the Hub: you/name")
    parser.add_argument(
        "--public", action="store_true", help="make the repository public (default: private)"
    )
    parser.add_argument("--tag", help="version to tag the commit with, such as v1.0")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the files, print their sizes and the card, and send nothing",
    )
    parser.add_argument(
        "--onnx", action="store_true", help="add float32 and int8 ONNX files for other runtimes"
    )
    parser.add_argument(
        "--space",
        help="you/name: publish the model's demo page there as well; a private model needs the "
        f"variable {READER_TOKEN}, a token that may read it",
    )
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    if (args.run is None) == (args.dataset is None):
        raise InputError("name either a run or a --dataset")
    if args.dataset is not None and (args.onnx or args.space):
        raise InputError("--onnx and --space are for a run, not for a --dataset")
    args.target = HubTarget(args.repo_id, args.public, args.tag)
    args.target.check()
    args.space_target = HubTarget(args.space, args.public) if args.space else None
    args.reader_token = None if args.public else os.environ.get(READER_TOKEN)
    if args.space_target is not None:
        args.space_target.check()
        check_model_can_be_read(args)
    if args.onnx:
        # Imported here: it imports torch, which --help should not wait for.
        from movie_genres.hub.onnx_export import check_installed

        check_installed()
    return args


def check_model_can_be_read(args: argparse.Namespace) -> None:
    if not args.public and not args.reader_token:
        raise InputError(
            f"--space: a page cannot read the private model {args.repo_id}; give --public, or set "
            f"{READER_TOKEN} to a token that may only read it, which becomes the page's secret "
            "HF_TOKEN"
        )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.dataset is not None:
        publish_dataset(args.dataset, args.repo_id, connect(args, args.target, "dataset"))
        return 0
    repository = connect(args, args.target, "model")
    if args.space_target is None:
        publish_run(args.run, args.repo_id, repository, onnx=args.onnx)
        return 0
    page = connect(args, args.space_target, "space")
    publish_run(args.run, args.repo_id, repository, onnx=args.onnx)
    print()
    publish_page(args.run / "model", args.repo_id, args.space, page)
    return 0


def connect(args: argparse.Namespace, target: HubTarget, kind: str) -> Repository | None:
    if args.dry_run:
        return None
    return Repository.connect(
        target, kind, reader_token=args.reader_token if kind == "space" else None
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
