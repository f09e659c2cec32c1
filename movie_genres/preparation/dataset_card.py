"""README.md and figures of a prepared folder, from its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from movie_genres.figure_style import ORANGE
from movie_genres.preparation import data_plots
from movie_genres.preparation.fields import TextFields
from movie_genres.preparation.report import MAX_LENGTH, suspicions
from movie_genres.reading.columns import TITLE

FIGURES = ("cooccurrence", "raw_labels", "genre_counts", "token_lengths", "labels_per_film")
"""Those that take the longest come first."""


def start_figures(folder: Path, report: Mapping[str, Any], workers: Executor) -> list[Future[None]]:
    """Have `workers` write the figures that the card shows."""
    folder.mkdir()
    names = [*FIGURES, "rejected"] if report["rejected"] else FIGURES
    return [workers.submit(save_figure, name, folder, report) for name in names]


def save_figure(name: str, folder: Path, report: Mapping[str, Any]) -> None:
    genres = report["genres"]
    labels = list(genres["kept"])
    draw: dict[str, Callable[[], Figure]] = {
        "raw_labels": lambda: data_plots.plot_bars(
            genres["raw"], xlabel="rows with this raw label"
        ),
        "genre_counts": lambda: data_plots.plot_genre_counts(genres["per_split"], labels),
        "cooccurrence": lambda: data_plots.plot_cooccurrence(genres["both"], labels),
        "labels_per_film": lambda: data_plots.plot_labels_per_film(report["labels_per_film"]),
        "token_lengths": lambda: data_plots.plot_token_lengths(
            report["tokens"]["lengths"], MAX_LENGTH
        ),
        "rejected": lambda: data_plots.plot_bars(
            report["rejected"], xlabel="rejected rows", colour=ORANGE
        ),
    }
    figure = draw[name]()
    # Laid out once here; `savefig` would draw everything for it a second time.
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
        f"# Movie plots and genres: {source['name']}",
        f"Source: {source['description']}. SHA-256 of the file: `{source['sha256']}`.\n"
        f"Licence of the texts: {source['license'] or 'that of the source; not stated here'}.",
        f"{report['read']:,} rows were read, {report['kept']:,} kept "
        f"({', '.join(f'{split} {count:,}' for split, count in splits.items())}), "
        f"{report['read'] - report['kept']:,} rejected. Each rejected row stands in `rejected.csv` "
        "with its row number and reason.",
        f"`text` is composed of {named}, cleaned; {plots}`labels` is multi-hot in the order of "
        "`labels.json`. Films with the same or nearly the same plot, or the same id, are never in "
        f"two splits: {_repeated(report['duplicates'])}.",
        "\n".join(["## Worth knowing", "", *(f"- {line}" for line in suspicions(report))])
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


def _repeated(duplicates: Mapping[str, int]) -> str:
    if not duplicates["groups_of_several_rows"]:
        return "no film stands in several rows"
    return (
        f"{duplicates['groups_of_several_rows']:,} films stand in "
        f"{duplicates['rows_in_such_groups']:,} rows"
    )


def _front_matter(report: Mapping[str, Any]) -> str:
    front = {
        "language": ["en"],
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
    read = [f"- {words}" for words in told_columns(report)]
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
        f"The column `source` names the origin. {across:,} films stand in several sources.",
    ]


def told_columns(report: Mapping[str, Any]) -> list[str]:
    """Which columns of each source were read as what, in words."""
    told = []
    for source in report["sources"]:
        columns = source["columns"]
        parts = [f"plots from '{columns['plot']}'", f"genres ({source['genre_format']}) from "]
        parts[1] += f"'{columns['raw_genres']}'"
        parts += [f"{role}s from '{columns[role]}'" for role in (TITLE, "id") if columns[role]]
        told.append(f"{source['name']}: {', '.join(parts)}")
    return told


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
        + ", ".join(f"{name} {share:.1%}" for name, share in report["genre_named_in"].items())
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
    return f"{title}: {', '.join(f'{n} ({c})' for n, c in counts.items())}." if counts else ""


def _table(head: list[str], rows: list[list[Any]]) -> str:
    align = ["---", *["---:"] * (len(head) - 1)]
    lines = [head, align, *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
