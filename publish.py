"""A run or a prepared dataset -> the Hub, after a check that what is pushed is what was measured.

python publish.py runs/demo --repo-id you/movie-genres                  # private
python publish.py runs/demo --repo-id you/movie-genres --public --tag v1.0
python publish.py runs/demo --repo-id you/movie-genres --dry-run        # files, sizes and card
python publish.py --dataset data/prepared --repo-id you/movie-plots

The token is the one that `hf auth login` stored, or the variable HF_TOKEN. The same command again
after a failure sends only what is not on the Hub yet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.hub import HubTarget, Repository
from movie_genres.publication import publish


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Publish a run or a prepared dataset.")
    parser.add_argument("run", type=Path, nargs="?", help="folder that finetune.py wrote")
    parser.add_argument("--dataset", type=Path, help="folder that prepare_dataset.py wrote")
    parser.add_argument("--repo-id", required=True, help="you/name")
    parser.add_argument(
        "--public", action="store_true", help="open the repository to everyone; private if not"
    )
    parser.add_argument("--tag", help="version to give the commit: v1.0")
    parser.add_argument(
        "--dry-run", action="store_true", help="check, show files, sizes and card; send nothing"
    )
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    if (args.run is None) == (args.dataset is None):
        raise InputError("give a run or --dataset, one of them")
    args.target = HubTarget(args.repo_id, args.public, args.tag)
    args.target.check()
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    kind = "model" if args.dataset is None else "dataset"
    repository = None if args.dry_run else Repository.connect(args.target, kind)
    publish(args.run or args.dataset, kind, args.repo_id, repository)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
