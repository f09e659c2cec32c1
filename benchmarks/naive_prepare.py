"""The straightforward script that prepare_dataset.py is compared with: pandas, row by row.

    python -m benchmarks.naive_prepare films.csv films.parquet

It parses (`ast.literal_eval`), maps by the alias table, cleans every title and plot by the same
rules until they are clean, drops what is unusable and repeated, encodes the labels and writes one
Parquet file. It groups no nearly equal plots, makes no splits, and reports nothing.
"""

from __future__ import annotations

import ast
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import ftfy
import numpy as np
import pandas as pd
from sklearn.preprocessing import MultiLabelBinarizer

from movie_genres.texts.text import RULES, plot_defect

ROOT = Path(__file__).parent.parent
MIN_COUNT = 50


def main(argv: Sequence[str] | None = None) -> int:
    source, output = sys.argv[1:] if argv is None else argv
    with (ROOT / "data" / "genre_aliases.csv").open(encoding="utf-8") as file:
        aliases = {row["raw"].casefold(): row["genres"] for row in csv.DictReader(file)}
    films = pd.read_csv(source, dtype=str, keep_default_na=False)
    films["raw"] = films["genres"].apply(lambda cell: [g["name"] for g in ast.literal_eval(cell)])
    films["genres"] = films["raw"].apply(lambda raw: canonical(raw, aliases))
    films["title"] = films["title"].apply(clean)
    films["plot"] = films["overview"].apply(clean)
    usable = films.apply(lambda row: bool(row["genres"]) and not plot_defect(row["plot"]), axis=1)
    films = films[usable].drop_duplicates(["title", "plot"])
    counts = films["genres"].explode().value_counts()
    common = set(counts[counts >= MIN_COUNT].index)
    films["genres"] = films["genres"].apply(lambda genres: [g for g in genres if g in common])
    films = films[films["genres"].map(len) > 0]
    films["labels"] = list(MultiLabelBinarizer().fit_transform(films["genres"]).astype(np.float32))
    films["text"] = films["title"] + ". " + films["plot"]
    films[["id", "title", "text", "genres", "labels"]].to_parquet(output, index=False)
    return 0


def canonical(raw: list[str], aliases: dict[str, str]) -> list[str]:
    found = (aliases.get(label.casefold(), label).split("|") for label in raw)
    return sorted({genre for genres in found for genre in genres if genre})


def clean(text: str) -> str:
    while True:
        cleaned = ftfy.fix_text(text, unescape_html=True)
        for _, rule in RULES:
            cleaned = rule(cleaned)
        cleaned = cleaned.strip()
        if cleaned == text:
            return text
        text = cleaned


if __name__ == "__main__":
    sys.exit(main())
