"""What a training needs whatever its loss: batches, a clock and checkpoints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import ConcatDataset, DataLoader, Sampler
from transformers import AutoModelForSequenceClassification, PreTrainedModel, Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from movie_genres.errors import TrainingError
from movie_genres.files import written_whole
from movie_genres.training.arguments import films_per_step
from movie_genres.training.batches import LengthGroupedSampler
from movie_genres.training.callbacks import EpochOfSampler
from movie_genres.training.checkpoints import best_checkpoint
from movie_genres.training.losses import UNKNOWN


class FilmTrainer(Trainer):
    """A Trainer whose batches hold films of similar length, each film once an epoch.

    A step has the same films however they are divided over processes and accumulation steps.

    Args:
        train_lengths: Number of tokens of each film of `train_dataset`, shape (n_films,).
        seconds_before: What the run has taken so far, for the log.
    """

    def __init__(
        self, *args: Any, train_lengths: np.ndarray, seconds_before: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        # The stock way to remove older checkpoints does so before the new one is complete.
        self.checkpoints_kept, self.args.save_total_limit = self.args.save_total_limit, None
        # Else the stock loop copies all earlier batches at each new one: hours for a million films.
        self.args.eval_do_concat_batches = False
        self.seconds_before = seconds_before
        self._started = time.perf_counter()
        self.train_lengths = train_lengths
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

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The stock step.

        Raises:
            TrainingError: If its loss is not finite: nothing after it would be of use.
        """
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            rates = [group["lr"] for group in self.optimizer.param_groups]  # type: ignore[union-attr]
            raise TrainingError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()} (learning rate "
                f"{max(rates):.1e}, {self.args.world_size} process(es)). Likely causes: a learning "
                "rate that is too high (--learning-rate, a tenth of it), fp16 without the range "
                "for this model (--precision float32 or bf16), an encoder whose weights are damaged"
            )
        return loss

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """The stock step; of it, no more is kept than logits, and labels as bytes."""
        loss, logits, labels = super().prediction_step(*args, **kwargs)
        if isinstance(logits, tuple):
            logits = logits[0]  # behind them, the hidden states that a config may ask for
        # 0, 1 and UNKNOWN
        return loss, logits, None if labels is None else labels.to(torch.int8)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The stock loop; predictions and labels in one array each."""
        found: Any = super().evaluation_loop(*args, **kwargs)
        if found.predictions is None:
            return found
        return found._replace(
            predictions=np.concatenate(found.predictions),
            label_ids=np.concatenate(found.label_ids),
        )

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with written_whole(folder):
            super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The stock log, and `seconds` since the run began (also over interruptions)."""
        super().log(logs | {"seconds": round(self.seconds(), 1)}, start_time)

    def seconds(self) -> float:
        """Linear probe and training so far, also before an interruption."""
        return self.seconds_before + time.perf_counter() - self._started

    def was_stopped_early(self, checkpoint: Path) -> bool:
        """Continue the clock from a checkpoint; if training had ended there, load its best weights.

        The Trainer would forget that it was stopped early, and train one more epoch.
        """
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        seconds = [log["seconds"] for log in state.log_history]
        self.seconds_before = max([self.seconds_before, *seconds])
        self._started = time.perf_counter()
        control = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
        if not (control.get("should_training_stop") and state.best_model_checkpoint):
            return False
        state.best_model_checkpoint = str(best_checkpoint(checkpoint))
        self.state = state
        self._load_best_model()
        return True


def with_filler(films: Any, lengths: np.ndarray) -> ConcatDataset:
    """The films and one more, a copy of the shortest whose labels are all unknown.

    Its index is the number of the films. It has no part in any loss, and fills up batches where
    all processes must have batches of one size. A copy, because some encoders cannot
    read an empty text.
    """
    filler = dict(films[int(np.argmin(lengths))])
    filler["labels"] = np.full(len(filler["labels"]), UNKNOWN, dtype=np.float32)
    parts: list[Any] = [films, [filler]]
    return ConcatDataset(parts)


def whole_model(trainer: Any, model: PreTrainedModel) -> PreTrainedModel:
    """The trained model in one piece, without accelerate's autocast; all processes must call this.

    Under FSDP the first process gets it in a new model on the CPU; the others get what they have.

    Args:
        trainer: Of the model.
        model: As it was before the Trainer wrapped it.
    """
    if not trainer.is_fsdp_enabled:
        trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        # accelerate's mark of a model that it has wrapped in autocast; with it, the next seed run
        # would not be wrapped.
        vars(trained).pop("_is_accelerate_prepared", None)
        return model
    weights = trainer.accelerator.get_state_dict(trainer.model)
    if not trainer.is_world_process_zero():
        return trainer.model
    model = AutoModelForSequenceClassification.from_config(
        trainer.model.config, dtype=torch.float32
    )
    model.load_state_dict(weights)
    return model.eval()
