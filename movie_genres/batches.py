"""How a training's films come in batches: alike for one process and for several."""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer

from movie_genres.arguments import films_per_step
from movie_genres.callbacks import EpochOfSampler
from movie_genres.loading import LengthGroupedSampler, token_lengths, with_filler


class GroupingTrainer(Trainer):
    """A Trainer whose batches hold films of similar length, each film once an epoch.

    A step has the same films however they are divided over processes and accumulation steps.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.train_lengths = token_lengths(self.train_dataset)
        self.sampler: LengthGroupedSampler | None = None
        self.add_callback(EpochOfSampler(self))

    def get_train_dataloader(self) -> DataLoader:
        """The stock loader; on several processes a filler row stands behind the films."""
        if self.args.world_size == 1:
            return super().get_train_dataloader()
        return self._get_dataloader(
            with_filler(self.train_dataset),
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
