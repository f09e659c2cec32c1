"""README.md and figures of a prepared folder, from its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from movie_genres.figure_style import BLUE, GREY, ORANGE, STYLE, plain
from movie_genres.markdown import literal
from movie_genres.preparation.notes import films_and_splits, suspicions
from movie_genres.preparation.report import MAX_LENGTH
from movie_genres.reading.columns import TITLE
from movie_genres.texts.fields import TextFields

FIGURES = ("cooccurrence", "raw_labels", "genre_counts", "token_lengths", "labels_per_film")
"""Ordered by the time they take, the longest first."""
_MOST_BARS = 40


def start_figures(folder: Path, report: Mapping[str, Any], workers: Executor) -> list[Future[None]]:
    """Have `workers` write the figures that the card shows."""
    folder.mkdir()
    names = [*FIGURES, "rejected"] if report["rejected"] else FIGURES
    return [workers.submit(save_figure, name, folder, report) for name in names]


def save_figure(name: str, folder: Path, report: Mapping[str, Any]) -> None:
    genres = report["genres"]
    labels = list(genres["kept"])
    draw: dict[str, Callable[[], Figure]] = {
        "raw_labels": lambda: _plot_bars(genres["raw"], xlabel="rows with this raw label"),
        "genre_counts": lambda: _plot_genre_counts(genres["per_split"], labels),
        "cooccurrence": lambda: _plot_cooccurrence(genres["cooccurrence"], labels),
        "labels_per_film": lambda: _plot_labels_per_film(report["labels_per_film"]),
        "token_lengths": lambda: _plot_token_lengths(report["tokens"]["lengths"], MAX_LENGTH),
        "rejected": lambda: _plot_bars(report["rejected"], xlabel="rejected rows", colour=ORANGE),
    }
    with matplotlib.rc_context(STYLE):  # whatever a user's matplotlibrc says
        figure = draw[name]()
        # Laid out once; `savefig` would draw everything a second time for it.
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(folder / f"{name}.png")


def render_dataset_card(report: Mapping[str, Any]) -> str:
    """The `README.md` of a prepared folder: front matter for the Hub, then counts and reasons."""
    source, genres, splits = report["source"], report["genres"], report["splits"]
    fields = TextFields.from_json(report["text_fields"], "the report")
    named = ", ".join(f"`{name}`" for name in fields.names)
    plots = "" if fields.is_title_and_plot else "`plot` is the plot alone; "
    sections = [
        f"---\n{_front_matter(report)}\n---",
        f"# Movie plots and genres: {literal(source['name'])}",
        f"Source: {source['description']}. SHA-256 of the file: `{source['sha256']}`.\n"
        f"Licence of the texts: {source['license'] or 'that of the source; not stated here'}.",
        f"{report['read']:,} rows were read, {report['kept']:,} kept "
        f"({', '.join(f'{split} {count:,}' for split, count in splits.items())}), "
        f"{report['read'] - report['kept']:,} rejected. Each rejected row is in `rejected.csv` "
        "with its row number and reason.",
        f"`text` is composed of {named}, cleaned; {plots}`labels` is multi-hot in the order of "
        f"`labels.json`. {films_and_splits(report)}",
        "\n".join(["## Worth knowing", "", *(f"- {literal(line)}" for line in suspicions(report))])
        if suspicions(report)
        else "",
        "## Genres",
        _table(
            ["genre", "films", *splits],
            [
                [g, n, *(genres["per_split"][s][g] for s in splits)]
                for g, n in genres["kept"].items()
            ],
        ),
        "![Films per genre](figures/genre_counts.png)",
        "As the source writes them (the first 40):\n\n![Raw labels](figures/raw_labels.png)",
        "![Genres that occur together](figures/cooccurrence.png)",
        f"Genres per film: {report['labels_per_row']:.2f}.\n\n"
        "![Genres per film](figures/labels_per_film.png)",
        _listed("Raw labels that are no plot genres and were dropped", genres["dropped"]),
        *_sources(report),
        *_texts(report),
        *_rejected(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(report: Mapping[str, Any]) -> str:
    front = {
        **({"language": report["language"]} if report.get("language") else {}),
        "pretty_name": f"Movie genres: {report['source']['name']}",
        "task_categories": ["text-classification"],
        "task_ids": ["multi-label-classification"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in report["splits"]
                ],
            }
        ],
    }
    if report["source"]["license"]:
        front["license"] = report["source"]["license"]
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip()


def _sources(report: Mapping[str, Any]) -> list[str]:
    read = [f"- {literal(line)}" for line in columns_read(report)]
    if len(report["sources"]) == 1:
        return ["## Columns", "\n".join(read)]
    across = report["duplicates"]["groups_across_sources"]
    return [
        "## Sources",
        "\n".join(read),
        _table(
            ["source", "rows", "kept", "SHA-256"],
            [[s["name"], s["read"], s["kept"], s["sha256"]] for s in report["sources"]],
        ),
        f"The column `source` names the origin. {across:,} films are in several sources.",
    ]


def columns_read(report: Mapping[str, Any]) -> list[str]:
    """Which columns plots, genres, titles and ids were read from, a line for each source."""
    lines = []
    for source in report["sources"]:
        columns = source["columns"]
        parts = [f"plots from '{columns['plot']}'", f"genres ({source['genre_format']}) from "]
        parts[1] += f"'{columns['raw_genres']}'"
        parts += [f"{role}s from '{columns[role]}'" for role in (TITLE, "id") if columns[role]]
        links = (("years", source["year"]), ("splits", source["split_column"]))
        parts += [f"{what} from '{column}'" for what, column in links if column]
        lines.append(f"{source['name']}: {', '.join(parts)}")
    return lines


def _texts(report: Mapping[str, Any]) -> list[str]:
    tokens, longer = report["tokens"], report["tokens"]["longer_than"]
    return [
        "## Texts",
        _table(
            ["percentile", *(name.removeprefix("p") for name in report["lengths"])],
            [
                ["words of a plot", *report["lengths"].values()],
                ["tokens of a text", *tokens["percentiles"].values()],
            ],
        ),
        f"Tokens are those of the default encoder, counted in {tokens['counted']:,} texts: "
        + ", ".join(f"{share:.0%} are longer than {n}" for n, share in longer.items())
        + ".",
        "![Tokens per text](figures/token_lengths.png)",
        "How often a field names one of its film's own genres: "
        + ", ".join(
            f"{literal(name)} {share:.1%}" for name, share in report["genre_named_in"].items()
        )
        + ".",
        _table(["cleaning rule", "texts changed"], [list(i) for i in report["cleaning"].items()])
        if report["cleaning"]
        else "",
    ]


def _rejected(report: Mapping[str, Any]) -> list[str]:
    if not report["rejected"]:
        return []
    return [
        "## Rejected rows",
        _table(["rejected because", "rows"], [list(item) for item in report["rejected"].items()]),
        "![Rejected rows](figures/rejected.png)",
    ]


def _listed(title: str, counts: Mapping[str, int]) -> str:
    return (
        f"{title}: {', '.join(f'{literal(n)} ({c})' for n, c in counts.items())}." if counts else ""
    )


def _table(head: list[str], rows: list[list[Any]]) -> str:
    align = ["---", *["---:"] * (len(head) - 1)]
    lines = [head, align, *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else literal(value)


def _plot_bars(counts: Mapping[str, int], *, xlabel: str, colour: str = BLUE) -> Figure:
    """One horizontal bar for each name, in their order; the first 40."""
    shown = dict(list(counts.items())[:_MOST_BARS])
    figure = Figure(figsize=(6.4, 0.24 * len(shown) + 0.9), layout="constrained")
    axis = figure.subplots()
    axis.barh(range(len(shown)), list(shown.values()), color=colour, height=0.72)
    for position, count in enumerate(shown.values()):
        axis.text(count, position, f" {count:,}", va="center", fontsize=8)
    axis.set_yticks(range(len(shown)), [plain(name) for name in shown])
    axis.set(xlabel=xlabel, xlim=(0, max(shown.values(), default=1) * 1.12))
    axis.set_ylim(len(shown) - 0.4, -0.6)  # the first on top
    _count_along_x(axis)
    return figure


def _plot_genre_counts(per_split: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> Figure:
    """Films per genre, the splits stacked."""
    figure = Figure(figsize=(6.4, 0.26 * min(len(labels), _MOST_BARS) + 1.1), layout="constrained")
    axis = figure.subplots()
    order = sorted(labels, key=lambda name: sum(counts[name] for counts in per_split.values()))
    order = order[-_MOST_BARS:]
    left = np.zeros(len(order))
    for (split, counts), colour in zip(per_split.items(), (BLUE, ORANGE, GREY), strict=True):
        films = np.array([counts[name] for name in order])
        axis.barh(range(len(order)), films, left=left, color=colour, height=0.72, label=split)
        left += films
    for position, total in enumerate(left):
        axis.text(total, position, f" {int(total):,}", va="center", fontsize=8)
    axis.set_yticks(range(len(order)), [plain(name) for name in order])
    which = f" of the {len(order)} most frequent genres" if len(labels) > len(order) else ""
    axis.set(xlabel=f"films{which}", ylim=(-0.6, len(order) - 0.4), xlim=(0, left.max() * 1.12))
    _count_along_x(axis)
    axis.legend(loc="lower right")
    return figure


def _count_along_x(axis: Axes) -> None:
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.tick_params(axis="y", length=0)
    axis.grid(True, axis="x")


def _plot_cooccurrence(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Share of a row's films that have the column's genre too.

    Args:
        counts: Films that have the two genres; on the diagonal those that have the one.
        labels: Genre names, the most frequent first; the figure is of those that are counted.
    """
    of_all, labels = len(labels), labels[: len(counts)]
    films = np.asarray(counts, dtype=float)
    share = films / np.maximum(films.diagonal()[:, None], 1)
    np.fill_diagonal(share, np.nan)
    most = max(0.01, float(np.nan_to_num(share).max()))
    size = 0.32 * len(labels) + 1.6
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=most)
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            colour = "white" if value > 0.55 * most else "#1a202c"
            axis.text(column, row, f"{value * 100:.0f}", ha="center", va="center",
                      fontsize=6.5, color=colour)  # fmt: skip
    names = [plain(name) for name in labels]
    axis.set_xticks(range(len(labels)), names, rotation=90)
    axis.set_yticks(range(len(labels)), names)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    which = f" ({len(labels)} most frequent of {of_all})" if of_all > len(labels) else ""
    figure.suptitle(
        f"Films in % of the row's genre that have the column's genre too{which}", fontsize=9
    )
    return figure


def _plot_labels_per_film(counts: Mapping[str, int]) -> Figure:
    """Films by their number of genres."""
    figure = Figure(figsize=(4.2, 2.4), layout="constrained")
    axis = figure.subplots()
    bars = axis.bar(list(counts), list(counts.values()), color=BLUE, width=0.72)
    axis.bar_label(bars, fmt="{:,.0f}", fontsize=8)
    axis.set(xlabel="genres of a film", ylabel="films", ylim=(0, 1.1 * max(counts.values())))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def _plot_token_lengths(lengths: Sequence[int], max_length: int) -> Figure:
    """Histogram of the texts by their tokens, and where the default truncates them."""
    longest = max(float(np.percentile(lengths, 99)), 1.15 * max_length)
    figure = Figure(figsize=(6.4, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.hist(lengths, bins=60, range=(0, longest), color=BLUE)
    axis.axvline(max_length, color=ORANGE)
    axis.text(max_length, axis.get_ylim()[1], f" --max-length {max_length}", va="top",
              fontsize=8, color=ORANGE)  # fmt: skip
    axis.set(xlabel="tokens of a text (the longest 1 % may be left out)", xlim=(0, longest))
    axis.set_ylabel(f"texts, of {len(lengths):,}")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure
