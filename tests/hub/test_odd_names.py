"""Genres whose names are Markdown or HTML: published as any other, and shown as they are."""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import made_up_films, prepare, write_csv

import finetune
from movie_genres.evaluation.mistakes import render_mistakes
from movie_genres.hub.publication import stage_dataset, stage_run
from movie_genres.markdown import literal

markdown_it = pytest.importorskip("markdown_it", reason="comes with gradio")
ODD = {"Comedy": "*Star*", "Horror": "<b>A_b_</b>", "Western": "R[x](y)`&amp; $1$"}


def rendered(markdown: str) -> str:
    """As HTML, by the rules of CommonMark with GitHub's tables and strikethrough."""
    return markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)


@pytest.mark.parametrize(
    "text",
    [
        *ODD.values(), "**bold**", "_it_ __is__", "~~gone~~", "![i](x.png)", "<script>x()</script>",
        "a|b", "\\*", "\\", "`code`", "[a]: b", "&lt;", "R&B", "<!-- x -->", "Sci-Fi", "é ✓",
    ],
)  # fmt: skip
def test_a_text_is_shown_as_it_is(text: str) -> None:
    shown = escape(text, quote=False)
    assert rendered(f"Genres: {literal(text)}, …") == f"<p>Genres: {shown}, …</p>\n"
    table = rendered(f"| {literal(text)} | 1 |\n|---|---|\n")
    assert f"<th>{shown}</th>" in table and table.count("<th>") == 2


def test_a_line_break_does_not_end_a_cell() -> None:
    assert literal("two\n\nlines ") == "two lines"


def cells(html: str) -> set[str]:
    return set(re.findall(r"<td[^>]*>(.*?)</td>", html))


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    films = made_up_films(200)
    for film in films:
        film["genres"] = "|".join(ODD[genre] for genre in film["genres"].split("|"))
    assert prepare(write_csv(folder / "films.csv", films), folder / "prepared") == 0
    return folder


@pytest.mark.usefixtures("drawn_figures")
def test_such_genres_are_trained_and_pass_the_gate_and_both_cards_show_them(
    check_in_this_process: None, odd_folder: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    run = odd_folder / "run"
    arguments = [
        "--model-name-or-path", str(tiny_encoder), "--dataset-dir", str(odd_folder / "prepared"),
        "--output-dir", str(run), "--max-length", "32", "--num-train-epochs", "1",
        "--frozen-share", "0", "--precision", "float32", "--soup", "1",
    ]  # fmt: skip
    assert finetune.main(arguments) == 0
    staged = stage_run(run, "tester/odd", tmp_path / "model")
    staged.check()
    dataset = stage_dataset(odd_folder / "prepared", "tester/plots", tmp_path / "data")
    for files in (staged.files, dataset.files):
        page = rendered(files["README.md"].read_text(encoding="utf-8").split("---\n", 2)[2])
        # Entities in genres stand for what they name (`&amp;` for `&`).
        names = {escape(unescape(name), quote=False) for name in ODD.values()}
        assert names <= cells(page)
        assert not re.search(r'<em>|<b>|<a href="y"', page)


def test_the_page_of_mistakes_shows_genres_and_titles_as_they_are() -> None:
    page = render_mistakes(
        ["*Star*"], ["<i>x</i> | y"], np.array([[1.0]]), np.array([[0]]), np.array([[0.1]])
    )
    assert page.count("\\*Star\\*") == 2 and r"\<i\>x\</i\> \| y" in page
