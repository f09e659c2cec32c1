"""What all figures share: colours, letters, and how a genre's name is shown.

Importing this brings neither pyplot nor scikit-learn, which preparation has no use for.
"""

from __future__ import annotations

from typing import Any

BLUE, ORANGE, GREY, LIGHT = "#2b6cb0", "#dd6b20", "#718096", "#e2e8f0"
STYLE: Any = {
    "figure.dpi": 120,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "legend.frameon": False,
}


def plain(name: str) -> str:
    """A genre's name as matplotlib shows it: a dollar sign would start a formula."""
    return name.replace("$", r"\$")
