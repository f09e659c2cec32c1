"""What all figures share: colours, letters, and how a genre's name is shown.

Importing this brings neither pyplot nor scikit-learn, which preparation has no use for.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from matplotlib.font_manager import findfont, fontManager, get_font

BLUE, ORANGE, GREY, LIGHT = "#2b6cb0", "#dd6b20", "#718096", "#e2e8f0"
_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Arial Unicode MS",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans",
    "Noto Sans Devanagari", "Noto Sans Thai", "Unifont",
)  # fmt: skip
"""Fonts for letters that matplotlib's own font lacks (Chinese, Japanese, Korean, ...)."""


def _font_families() -> list[str]:
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


STYLE: Any = {
    "font.family": _font_families(),
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


def plain(name: str, most: int = 40) -> str:
    """A genre's name as matplotlib can show it.

    A dollar sign would start a formula, and a letter that no installed font has would be an empty
    box: its code stands for it, such as U+6050.

    Args:
        name: Of a genre.
        most: Characters; a longer name is truncated, so that it does not cover another.
    """
    shown = "".join(c if _has_letter(c) else f"U+{ord(c):04X} " for c in name).rstrip()
    shown = shown if len(shown) <= most else shown[: most - 1].rstrip() + "…"
    return shown.replace("$", r"\$")


@cache
def _has_letter(letter: str) -> bool:
    fonts = (get_font(findfont(family)) for family in STYLE["font.family"])
    return any(font.get_char_index(ord(letter)) for font in fonts)
