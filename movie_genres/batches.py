"""How a training's films come in batches: alike for one process and for several."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Dataset
from torch.utils.data import ConcatDataset, DataLoader, Sampler
from transformers import Trainer

from movie_genres.arguments import films_per_step
from movie_genres.callbacks import EpochOfSampler
from movie_genres.loading import LengthGroupedSampler, token_lengths
from movie_genres.losses import UNKNOWN
from movie_genres.states import FilmStates


class GroupingTrainer(Trainer):
    """A Trainer whose batches hold films of similar length, each film once an epoch.

    A step has the same films however they are divided over processes and accumulation steps.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.train_lengths = film_lengths(self.train_dataset)
        self.sampler: LengthGroupedSampler | None = None
        self.add_callback(EpochOfSampler(self))

    def get_train_dataloader(self) -> DataLoader:
        """The stock loader; on several processes a filler row stands behind the films."""
        if self.args.world_size == 1:
            return super().get_train_dataloader()
        return self._get_dataloader(
            with_filler(self.train_dataset, self.train_lengths),
            "Training",
            self.args.train_batch_size,
            sampler_fn=self._get_train_sampler,
            is_training=True,
        )

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        together = self.args.train_batch_size * self.args.world_size
        self.sampler = LengthGroupedSampler(
            self.train_lengths,
            films_per_step(self.args),
            self.args.seed,
            # All processes need batches of one size. Left to itself, accelerate fills the last
            # ones with films of the epoch's beginning, which would count twice.
            multiple=together if self.args.world_size > 1 else 1,
        )
        return self.sampler


def film_lengths(films: Dataset | FilmStates) -> np.ndarray:
    """Number of tokens of each film, shape (n_films,)."""
    return films.file.lengths if isinstance(films, FilmStates) else token_lengths(films)


def with_filler(films: Dataset | FilmStates, lengths: np.ndarray) -> ConcatDataset:
    """The films and one more, a copy of the shortest whose labels are all unknown.

    Its index is the number of the films. It has no part in any loss, and fills batches up where all
    processes must have one of a size. A copy, because some encoders cannot read an empty text.
    """
    filler = dict(films[int(np.argmin(lengths))])
    filler["labels"] = np.full(len(filler["labels"]), UNKNOWN, dtype=np.float32)
    parts: list[Any] = [films, [filler]]
    return ConcatDataset(parts)
