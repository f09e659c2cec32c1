"""From an encoder and tokenised films to what the Trainer starts from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from datasets import Dataset
from transformers import DataCollatorWithPadding, PreTrainedModel

from movie_genres.model.attention import attend_in_float32
from movie_genres.model.encoder import LoadedEncoder
from movie_genres.model.head import set_head
from movie_genres.model.layers import freeze_lower
from movie_genres.model.states import PAD_TO_MULTIPLE_OF, FilmStates, collate_states
from movie_genres.preparation.loading import Prepared, notes_on_genres
from movie_genres.training.arguments import FinetuneArguments, ProjectArguments
from movie_genres.training.batches import by_length, tokenize
from movie_genres.training.checkpoints import is_intact
from movie_genres.training.embeddings import WINDOW, embed_whole
from movie_genres.training.probing import make_probe, plan_first_pass
from movie_genres.training.run_folder import RunFolder
from movie_genres.training.teacher import teacher_probabilities, with_soft_labels


@dataclass(frozen=True)
class Start:
    """What a Trainer is made of."""

    model: PreTrainedModel
    """The whole model, or the part above its frozen layers on the same weights."""
    train: Dataset | FilmStates
    validation: Dataset | FilmStates
    collate: Callable[[Any], Any]
    seconds: float
    """That it took to come so far, when it was first done."""


def make_start(
    project: ProjectArguments,
    args: FinetuneArguments,
    run: RunFolder,
    prepared: Prepared,
    loaded: LoadedEncoder,
    pos_weight: np.ndarray,
) -> Start:
    """Freeze the lower layers, pass over the films once, and start the head.

    Args:
        pos_weight: Class weights, shape (n_labels,).
    """
    model, tokenizer = loaded.model, loaded.tokenizer
    frozen = freeze_lower(model, project.frozen_share)
    if args.process_index == 0:
        describe(project, args, prepared, loaded, frozen)
    began, y = time.perf_counter(), prepared.y("train")
    films = {
        split: tokenize(prepared.splits[split], tokenizer, project.training_cut)
        for split in ("train", "validation")
    }
    films["validation"] = by_length(films["validation"])
    model.to(args.device)  # type: ignore[arg-type]  # the stub of `to` lacks the device
    attend_in_float32(model)
    if project.soft_labels:
        taught = run.soft_labels(lambda: ask_teacher(project, prepared, loaded))
        films["train"] = with_soft_labels(films["train"], taught, project.soft_labels)
    first_pass, upper = plan_first_pass(project, run, films, model, tokenizer, frozen)
    to_probe = bool(project.probe_c) and not is_intact(run.probe)
    if upper is not None or to_probe:
        first_pass.make(model, tokenizer)
    seconds = time.perf_counter() - began
    if to_probe and args.process_index == 0:
        make_probe(first_pass, y, project.probe_c, pos_weight, seconds)
    args.distributed_state.wait_for_everyone()
    if project.probe_c:
        head, seconds = run.load_probe()
        set_head(model, head)
    if upper is None:
        # A longer padding than the cut might be more than the encoder has positions for.
        fits = project.training_cut % PAD_TO_MULTIPLE_OF == 0
        collate = DataCollatorWithPadding(
            tokenizer, pad_to_multiple_of=PAD_TO_MULTIPLE_OF if fits else None
        )
        return Start(model, films["train"], films["validation"], collate, seconds)
    train, validation = (first_pass.film_states(split) for split in ("train", "validation"))
    return Start(upper, train, validation, collate_states, seconds)


def ask_teacher(project: ProjectArguments, prepared: Prepared, loaded: LoadedEncoder) -> np.ndarray:
    """Probabilities for the training films, shape (n_films, n_labels)."""
    texts, encoder = prepared.texts("train"), cast(PreTrainedModel, loaded.model.base_model)
    window = min(WINDOW, project.max_length)
    embeddings = embed_whole(
        encoder, loaded.tokenizer, texts, window=window, precision=project.precision
    )
    return teacher_probabilities(texts, embeddings, prepared.y("train"))


def describe(
    project: ProjectArguments,
    args: FinetuneArguments,
    prepared: Prepared,
    loaded: LoadedEncoder,
    frozen: int,
) -> None:
    """Say what will be trained on what."""
    model = loaded.model
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"training {trained / 1e6:.1f} of {model.num_parameters() / 1e6:.1f} million weights "
        f"({frozen} layers frozen) on {len(prepared.splits['train']):,} films, "
        f"{len(prepared.labels)} genres, in {project.precision}, "
        f"{args.world_size} process(es) on {args.device.type}"
    )
    for line in notes_on_genres(prepared):
        print(line)
    if loaded.random_start:
        print(f"note: the encoder lacks {', '.join(loaded.random_start)}: they start at random")
