"""A poster model: an image encoder whose final Linear gives the genres' logits, with its processor.

It is a plain folder for `pipeline("image-classification")`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification

from movie_genres.errors import InputError, one_line
from movie_genres.files import replace_folder, written_whole
from movie_genres.model.devices import autocast, default_device
from movie_genres.model.encoder import quiet_loading
from movie_genres.model.folders import LOADING_ERRORS, check_model_name
from movie_genres.model.head import captured_features
from movie_genres.posters.pictures import shown
from movie_genres.progress import Pace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FOLDER = "poster"
"""Of the poster model, inside the folder of the text model."""
_AT_ONCE = 16
"""Posters of a batch."""


@dataclass(frozen=True)
class PosterModel:
    """A model with what it needs to read pictures."""

    model: PreTrainedModel
    processor: Any

    @classmethod
    def load(cls, name: str, flag: str, labels: Sequence[str] | None = None) -> PosterModel:
        """Load an encoder with a new head for `labels`, or without them a poster model.

        Args:
            name: Folder or Hub id of the encoder, or of the text model that has a poster model.
            flag: What the user gave it by, for messages.
            labels: Genre names in column order.

        Raises:
            InputError: If there is no such model, or it reads no pictures.
        """
        check_model_name(name, flag)
        options: dict[str, Any] = {} if labels else {"subfolder": FOLDER}
        try:
            # Pillow's resizing, which needs no torchvision and is the same where that is installed.
            processor = AutoImageProcessor.from_pretrained(name, backend="pil", **options)
            if labels:
                options = {
                    "num_labels": len(labels),
                    "id2label": dict(enumerate(labels)),
                    "label2id": {label: i for i, label in enumerate(labels)},
                    "problem_type": "multi_label_classification",
                    "ignore_mismatched_sizes": True,  # the head of another task
                }
            with quiet_loading():
                model = AutoModelForImageClassification.from_pretrained(
                    name, dtype=torch.float32, **options
                )
        except (*LOADING_ERRORS, ImportError) as error:
            name = name if labels else f"{name}/{FOLDER}"
            raise InputError(
                f"{flag} {name!r} cannot be loaded as an image model: {one_line(error)}"
            ) from None
        return cls(model.to(default_device()).eval(), processor)

    @torch.inference_mode()
    def features(self, pictures: Sequence[bytes], precision: str) -> np.ndarray:
        """What enters the final Linear: float32, shape (n_pictures, n_features).

        Args:
            pictures: As `clean_picture` gives them.
            precision: float32, bf16 or fp16 (autocast).
        """
        device = self.model.device
        with captured_features(self.model) as captured, autocast(precision, device):
            self.logits(pictures)
        return np.concatenate([features.cpu().numpy() for features in captured])

    @torch.inference_mode()
    def logits(self, pictures: Sequence[bytes]) -> np.ndarray:
        """Logits of pictures that `clean_picture` gave: float32, shape (n_pictures, n_labels)."""
        n_labels, pace = len(self.model.config.id2label or {}), Pace()
        found = [np.zeros((0, n_labels), dtype=np.float32)]
        for start in range(0, len(pictures), _AT_ONCE):
            if pace.is_due():
                print(f"reading posters, {pace.left(start, len(pictures))} left", file=sys.stderr)
            images = list(shown(pictures[start : start + _AT_ONCE]))
            batch = self.processor(images, return_tensors="pt").to(self.model.device)
            found.append(self.model(**batch).logits.float().cpu().numpy())
        return np.concatenate(found)

    def save(self, folder: Path) -> None:
        """Write the folder; all of it or nothing."""
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        with written_whole(new):
            self.model.save_pretrained(new)
            self.processor.save_pretrained(new)
            for weights in new.glob("*.safetensors"):
                weights.chmod(0o644)
            replace_folder(new, folder)
