"""The demo page: a plot in, the probabilities of all genres out, as bars, and the reasons for them.

python -m space.app --model runs/demo/model        # folder or Hub id; from the project's root

On a Space it runs as `python app.py`, beside a copy of the package; the model is the first one
under `models` in README.md. Nothing but the model and its card is downloaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import transformers
import yaml
from huggingface_hub import ModelCard
from transformers.utils import cached_file

from movie_genres.command_line import dashes, exit_code
from movie_genres.errors import InputError
from movie_genres.inference.classifier import GenreClassifier, Prediction
from movie_genres.inference.explanation import Explanation, Reason
from movie_genres.model.folders import model_folder
from movie_genres.texts.text import clean_text, compose_text, count_words, plot_defect

try:
    import gradio as gr
except ModuleNotFoundError:  # `main` reports it in one line
    gr = None

HERE = Path(__file__).parent
CHARACTERS_PER_TOKEN = 100
"""Most characters of a plot that are cleaned and tokenised, for each token that the model reads.
Tokens are far shorter, so this loses nothing that the model would read."""
BORDERLINE = 0.05
"""Difference between probability and threshold up to which a decision is explained as borderline:
on the page the end of the bar and the mark then look the same."""
SHORT = 30
"""Words of a text up to which the page says that it is shorter than a usual plot."""

# Written for this page; these films do not exist.
EXAMPLES = [
    ["The Last Lighthouse", "On a storm-beaten island, a retired keeper finds a wounded smuggler "
     "and hides her from the police. Her partners come for the money that she stole. Before "
     "morning the three must fight for their lives."],
    ["Best Man Wanted", "The wedding planner vanishes with the rings. Two rival families have one "
     "day to find her, and every clue leads to a new embarrassment. Meanwhile the best man keeps "
     "falling for the wrong bridesmaid."],
    ["Orbit of Glass", "The crew of a failing space station is sent to repair a signal. It comes "
     "from a ship that left Earth a hundred years from now. When they open its door, one of them "
     "meets herself."],
    ["Dust and Silver", "A widowed sheriff rides out with the outlaw she once arrested. Together "
     "they follow a gang that has taken the children of their frontier town. In the desert they "
     "learn who paid for it."],
    ["The Quiet Orchard", "After their father's death, three brothers return to the family farm. "
     "In the attic they find letters that change what each of them believed about the war. None "
     "of them can forgive what their mother knew."],
]  # fmt: skip

CSS = """
.gradio-container { max-width: 1080px !important; margin: 0 auto !important; }
.chips { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; min-height: 34px; }
.chips span { padding: 5px 14px; border-radius: 17px; line-height: 1.5; font-weight: 600;
    color: white; background: var(--primary-600); }
.genres { display: grid; gap: 5px; margin: 14px 0 10px; font-variant-numeric: tabular-nums; }
.genre { display: grid; grid-template-columns: 8.5em 1fr 2.6em; gap: 10px; align-items: center;
    color: var(--body-text-color-subdued); --bar: var(--neutral-400); }
.genre.given { color: var(--body-text-color); font-weight: 600; --bar: var(--primary-500); }
.name { text-align: right; line-height: 1.2; overflow-wrap: anywhere; }
.track { position: relative; height: 16px; border-radius: 4px;
    background: var(--border-color-primary); }
.bar { height: 100%; border-radius: 4px; background: var(--bar); }
.mark { position: absolute; top: -3px; bottom: -3px; width: 2px; margin-left: -1px;
    background: var(--body-text-color); }
.key { font-size: 0.85em; color: var(--body-text-color-subdued); }
.why { margin-top: 18px; }
.why .key { margin-top: 10px; }
.why h3 { margin: 0 0 4px; }
.why b { display: block; margin-top: 10px; }
.reason { display: grid; grid-template-columns: 3.2em 1fr; gap: 8px; margin-top: 4px; }
.reason i { font-style: normal; font-variant-numeric: tabular-nums; }
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The demo page on this machine.")
    parser.add_argument("--model", help="model folder or Hub id; README.md's model if not given")
    args = parser.parse_args(dashes(sys.argv[1:] if argv is None else argv))
    args.model = args.model or named_model(HERE / "README.md")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if gr is None:
        raise InputError("the page needs gradio: python -m pip install -r space/requirements.txt")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    page = build_page(GenreClassifier.from_pretrained(args.model), args.model, quality(args.model))
    page.launch(theme=theme(), css=CSS, footer_links=[], ssr_mode=False)
    return 0


def named_model(readme: Path) -> str:
    """The first model that a Space's front matter names."""
    front = yaml.safe_load(readme.read_text(encoding="utf-8").split("---\n")[1])
    if not front.get("models"):
        raise InputError(f"{readme} names no model; add one under `models`, or give --model")
    return str(front["models"][0])


def theme() -> gr.Theme:
    """The fonts of the reader's system: none is fetched."""
    return gr.themes.Soft(
        primary_hue="indigo",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def quality(name: str) -> str:
    """How good a model is, in a sentence: by its card's metadata; empty if it has no card."""
    inside = Path(model_folder(name))
    local = [path / "README.md" for path in (inside, inside.parent) if inside.is_dir()]
    try:
        path = next((path for path in local if path.is_file()), None)
        path = path or Path(str(cached_file(name, "README.md")))
        data = ModelCard.load(path, ignore_metadata_errors=True).data
    except (OSError, ValueError):
        return ""
    scores = {result.metric_name: result for result in data.eval_results or []}
    if not scores.keys() >= {"precision, micro", "recall, micro", "F1, micro"}:
        return ""
    precision, recall, f1 = (
        scores[f"{metric}, micro"].metric_value for metric in ("precision", "recall", "F1")
    )
    return (
        f"How good it is: on the test films of {scores['F1, micro'].dataset_name}, "
        f"{precision:.0%} of the genres that it gave were right, and it gave {recall:.0%} of the "
        f"genres that the films have (F1 {f1:.2f})."
    )


def build_page(classifier: GenreClassifier, name: str, how_good: str = "") -> gr.Blocks:
    """The page for one model.

    Args:
        classifier: The model.
        name: Folder or Hub id, which the page shows.
        how_good: As `quality` says it.
    """

    # A browser is slow with megabytes; one character more than is read shows that a plot is longer.
    most = most_characters(classifier) + 1

    def read(title: str, plot: str) -> tuple[str, str]:
        return answer(classifier, title, plot)

    with gr.Blocks(title="Movie genres", analytics_enabled=False) as page:
        gr.Markdown(
            "# Movie genres from a plot\n"
            "Write the plot of a film, real or not. The model predicts a probability for each of "
            f"its {len(classifier.decisions.labels)} genres. A film gets every genre whose "
            "probability reaches the threshold of the genre."
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=5):
                title = gr.Textbox(
                    label="Title (optional)", max_lines=1, elem_id="title", max_length=most
                )
                plot = gr.Textbox(
                    label="Plot", lines=7, max_lines=14, elem_id="plot", max_length=most,
                    placeholder="Two detectives hunt a killer who quotes Dante.",
                )  # fmt: skip
                button = gr.Button("Predict genres", variant="primary", elem_id="find")
                films = gr.Column()
            with gr.Column(scale=6):
                bars = gr.HTML(elem_id="bars", value=_empty("The genres appear here."))
                reading = gr.Markdown(elem_id="reading")
        with films:
            gr.Examples(
                EXAMPLES, [title, plot], [bars, reading], read, run_on_click=True,
                cache_examples=False, label="Films that do not exist",
                example_labels=[example[0] for example in EXAMPLES],
            )  # fmt: skip
        model = f"`{name}`" if Path(name).is_dir() else f"[{name}](https://huggingface.co/{name})"
        gr.Markdown(
            f"Model: {model}. {how_good}\n\nIts probabilities are calibrated on whole plots: of "
            "100 test films with a probability of 0.40 for a genre, about 40 have the genre. For "
            "a text of a sentence or two, high probabilities tend to be too high."
        )
        gr.on([button.click, title.submit, plot.submit], read, [title, plot], [bars, reading])
    return page


def answer(classifier: GenreClassifier, title: str, plot: str) -> tuple[str, str]:
    """What the page shows for a film: the bars (HTML) and their explanation (Markdown)."""
    limit = most_characters(classifier)
    too_long, plot, title = len(plot) > limit, plot[:limit], title[:limit]
    cleaned = clean_text(plot)
    if not cleaned:
        return _empty("Write a plot first: a title alone says too little."), ""
    explanation = classifier.explain(plot, title)
    film = explanation.prediction
    decisions = classifier.decisions
    thresholds = dict(zip(decisions.labels, decisions.thresholds.tolist(), strict=True))
    notes = [
        decision(film, thresholds, decisions.never_empty),
        *borderline_cases(film, thresholds),
        *truncation(classifier, compose_text(clean_text(title), cleaned)),
    ]
    if too_long:
        notes.append(f"**Very long plot.** Only the first {limit:,} characters were processed.")
    if defect := plot_defect(cleaned):
        notes.append(f"**Not a usual plot** ({defect}): such texts are not in the training data.")
    elif count_words(cleaned) <= SHORT:
        notes.append(
            "**Short text.** The probabilities were calibrated on whole plots: for so few words "
            "high ones tend to be too high."
        )
    return draw_bars(film, thresholds) + draw_reasons(explanation), "\n\n".join(notes)


def most_characters(classifier: GenreClassifier) -> int:
    """Characters of a plot that are cleaned and tokenised; the rest is ignored."""
    return CHARACTERS_PER_TOKEN * classifier.max_length


def draw_bars(film: Prediction, thresholds: dict[str, float]) -> str:
    """A bar for each genre, the most probable first, with a mark at its threshold."""
    ordered = sorted(film.probabilities, key=lambda genre: -film.probabilities[genre])
    chips = "".join(f"<span>{escape(genre)}</span>" for genre in film.genres)
    rows = "".join(
        f'<div class="genre{" given" if genre in film.genres else ""}" '
        f'title="{escape(genre)}: {film.probabilities[genre]:.3f}, given from '
        f'{thresholds[genre]:.3f}"><div class="name">{escape(genre)}</div><div class="track">'
        f'<div class="bar" style="width: {film.probabilities[genre]:.1%}"></div>'
        f'<div class="mark" style="left: {min(thresholds[genre], 1):.1%}"></div></div>'
        f'<div class="value">{film.probabilities[genre]:.2f}</div></div>'
        for genre in ordered
    )
    return (
        f'<div class="chips">{chips or "no genre reaches its threshold"}</div>'
        f'<div class="genres">{rows}</div>'
        '<div class="key">Bar: probability from 0 to 1. Vertical line: threshold; a genre is given '
        "when its bar reaches the line.</div>"
    )


def draw_reasons(explanation: Explanation) -> str:
    """Why: the sentences that speak for each given genre, and by how much."""
    genres = explanation.prediction.genres
    if not genres:
        return ""
    if not explanation.changes:
        shown = "<div>The plot is one sentence: none can be left out to see its effect.</div>"
    else:
        shown = "".join(f"<b>{escape(g)}</b>{_reasons(explanation.reasons(g))}" for g in genres)
        shown += (
            '<div class="key">The number: how much of the probability is lost without the '
            "sentence, or part of it. It shows what the model goes by, not what is right.</div>"
        )
    return f'<div class="why"><h3>Why?</h3>{shown}</div>'


def _reasons(reasons: Sequence[Reason]) -> str:
    if not reasons:
        return '<div class="reason"><i></i><span>no sentence alone makes a difference</span></div>'
    return "".join(
        f'<div class="reason"><i>{reason.change:+.2f}</i><q>{escape(reason.sentence)}</q></div>'
        for reason in reasons
    )


def decision(film: Prediction, thresholds: dict[str, float], never_empty: bool) -> str:
    """The predicted genres in one sentence."""
    if not film.genres:
        return "**No genre** reaches its threshold."
    first = next(iter(film.genres))
    if never_empty and film.genres[first] < thresholds[first]:
        return f"No genre reaches its threshold; **{first}** is given as the most probable one."
    return "**Given:** " + ", ".join(f"{g} ({p:.2f})" for g, p in film.genres.items()) + "."


def borderline_cases(film: Prediction, thresholds: dict[str, float]) -> list[str]:
    """Explains the decisions near the threshold, the nearest first."""
    margins = {g: p - thresholds[g] for g, p in film.probabilities.items()}
    near = sorted(
        (g for g in margins if abs(margins[g]) <= BORDERLINE), key=lambda g: abs(margins[g])
    )
    if not near:
        return []
    lines = [
        f"- {genre}: {film.probabilities[genre]:.2f} "
        f"{'reaches' if margins[genre] >= 0 else 'misses'} its threshold of "
        f"{thresholds[genre]:.2f} by {abs(margins[genre]):.3f}. Of 100 test films with this "
        f"probability, about {100 * film.probabilities[genre]:.0f} have the genre."
        for genre in near
    ]
    return ["**Borderline.** Check these decisions yourself:\n\n" + "\n".join(lines)]


def truncation(classifier: GenreClassifier, text: str) -> list[str]:
    """Where the text was truncated, if it was."""
    tokens = len(classifier.tokenizer(text)["input_ids"])
    if tokens <= classifier.max_length:
        return []
    read = classifier.tokenizer(
        text, truncation=True, max_length=classifier.max_length, return_offsets_mapping=True
    )
    end = max(stop for _, stop in read["offset_mapping"])
    words = " ".join(text[:end].replace("`", "").split()[-6:])
    return [
        f"**Truncated.** The model reads {classifier.max_length} tokens; this text has {tokens:,}. "
        f"It was truncated after `… {words}`."
    ]


def _empty(message: str) -> str:
    return f'<div class="chips">{escape(message)}</div>'


if __name__ == "__main__":
    sys.exit(exit_code(main))
