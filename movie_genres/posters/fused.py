"""A text model's poster part in use: text logits and pictures -> fused probabilities, decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from movie_genres.decisions.stored import Decisions, label_names
from movie_genres.errors import InputError
from movie_genres.model.head import final_linear
from movie_genres.posters.fusion import KEY, Fusion
from movie_genres.posters.model import PosterModel
from movie_genres.posters.pictures import UnusableError, clean_picture

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class FusedPosters:
    """A poster model, its fusion with a text model, and the thresholds of the fusion."""

    poster: PosterModel
    fusion: Fusion
    decisions: Decisions

    @classmethod
    def load(cls, name: str, config: PretrainedConfig, **choice: Any) -> FusedPosters:
        """What is stored with a text model.

        Args:
            name: Folder or Hub id of the text model.
            config: Its config.
            choice: `threshold`, `objective` and `never_empty`, as `Decisions.of_config` takes them.

        Raises:
            InputError: If the model was trained without posters, or the poster model is missing.
        """
        labels = label_names(config)
        fusion = Fusion.of_config(config, labels, name)
        stored: Any = SimpleNamespace(**getattr(config, KEY), id2label=config.id2label)
        decisions = Decisions.of_config(stored, f"{KEY!r} of {name}", **choice)
        return cls(PosterModel.load(name, "--model"), fusion, decisions)

    def sha256(self) -> str:
        """Of what the decisions depend on besides the image encoder and the pictures."""
        head = final_linear(self.poster.model).weight.detach().cpu().numpy()
        parts = (head, self.fusion.weights, self.decisions.thresholds)
        return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def probabilities(
        self, text_logits: np.ndarray, pictures: Sequence[bytes]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of the posters alone, and fused with their texts; each (n_films, n_labels).

        Args:
            text_logits: Calibrated, same shape.
            pictures: As `clean_picture` gives them.
        """
        logits = self.poster.logits(pictures)
        return expit(logits.astype(np.float64)), expit(self.fusion.logits(text_logits, logits))

    def read(
        self, text_logits: np.ndarray, images: Sequence[bytes | str | Path | None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The films that have a picture, and their fused probabilities.

        Args:
            text_logits: Of all films, shape (n_films, n_labels).
            images: A picture for each, or None.

        Raises:
            InputError: If there is not one for each film, or one cannot be used.
        """
        if len(images) != len(text_logits):
            raise InputError(f"{len(images)} images for {len(text_logits)} films; give one each")
        rows = np.array([row for row, image in enumerate(images) if image is not None], dtype=int)
        pictures = []
        for row in rows:
            try:
                pictures.append(clean_picture(images[row]))
            except UnusableError as error:
                raise InputError(f"the image of film {row + 1} cannot be used: {error}") from None
        return rows, self.probabilities(text_logits[rows], pictures)[1]
