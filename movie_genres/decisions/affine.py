"""What a calibration is: an affine map of each genre's logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit


@dataclass(frozen=True)
class AffineMap:
    """sigmoid(slope * logit + shift), per label; slope > 0, so that ranks never change."""

    slope: np.ndarray
    shift: np.ndarray

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Mapped logits, same shape (n_samples, n_labels)."""
        return logits * self.slope + self.shift

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities in (0, 1), float64, shape (n_samples, n_labels)."""
        return expit(self.logits(logits.astype(np.float64)))
