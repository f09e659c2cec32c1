"""data/prepared -> runs/<name>/: a fine-tuned encoder, its decisions, scores, figures and card.

    accelerate launch finetune.py
    accelerate launch finetune.py configs/recipes/base_encoder.yaml \\
        --dataset-dir data/mine --output-dir runs/mine

Flags after a recipe win over it. The same command again resumes from the last checkpoint; on a
complete run it prints the scores. With --push_to_hub --hub_model_id you/name the complete run is
published, as publish.py does it.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import disable_progress_bars
from transformers import EarlyStoppingCallback, set_seed

from metrics import LOGGED, GenreMetrics
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError
from movie_genres.evaluation.artifacts import closing_words, write_results
from movie_genres.evaluation.judge import TextModel, judge_baselines, tune_and_judge
from movie_genres.hub.publication import publish_run
from movie_genres.hub.repository import Repository
from movie_genres.hub.trainer_arguments import pop_hub_arguments
from movie_genres.model.attention import attend_in_float32
from movie_genres.model.devices import peak_memory_bytes, use_all_cores
from movie_genres.model.encoder import (
    DEFAULT_ENCODER,
    EncoderName,
    LoadedEncoder,
    find_encoder,
    load_encoder,
    sample_batch,
)
from movie_genres.model.layers import freeze_lower
from movie_genres.preparation.loading import Prepared, load_prepared
from movie_genres.signals import stop_with_launcher
from movie_genres.training.arguments import FinetuneArguments, ProjectArguments, parse_finetune_args
from movie_genres.training.batches import TrainingInputs, cached_inputs, tokenize_splits
from movie_genres.training.callbacks import (
    EvaluationFiles,
    ReadableProgress,
    print_plan,
    report_into,
)
from movie_genres.training.checkpoints import TrainingStoppedError
from movie_genres.training.losses import UNKNOWN, mean_loss, positive_weights, weighted_bce_sum
from movie_genres.training.precision import check_precision
from movie_genres.training.probe import initialise_head, probe_logits
from movie_genres.training.provenance import model_metadata, training_metadata
from movie_genres.training.recipe_files import OTHER_RECIPE, recipe_file
from movie_genres.training.run_folder import RunFolder, run_record
from movie_genres.training.seed_runs import Trained, train_seed_runs
from movie_genres.training.selection import Scorer
from movie_genres.training.stock_flags import check_on_trial
from movie_genres.training.trainer import FilmTrainer

_SEED_STEP = 10_007
"""Between the seed runs of a run: runs of neighbouring seeds have no seed run in common."""


class GenreTrainer(FilmTrainer):
    """A Trainer for multi-label data with class-weighted BCE and length-grouped batches.

    Args:
        pos_weight: Weight of each label's positives, shape (n_labels,).
    """

    # `compute_loss` divides by the cells of the whole step, so nothing is left to divide.
    loss_is_scaled_for_ga = True

    def __init__(self, *args: Any, pos_weight: np.ndarray, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Makes the Trainer count the label cells of each step. It does so only for models that
        # take `num_items_in_batch`, and the multi-label loss of those ignores the number.
        self.model_accepts_loss_kwargs = True
        self.pos_weight = torch.from_numpy(pos_weight).to(self.args.device)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Class-weighted BCE: the sum over this process's cells by the cells of the whole step.

        Unknown labels are no cells. `num_items_in_batch` counts the known ones over all processes
        and accumulation steps. Gradients are averaged over processes, hence the factor: the result
        is the gradient of the mean over the whole step, whatever its division into processes and
        micro-batches.
        """
        labels = inputs["labels"]
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
        total = weighted_bce_sum(outputs.logits, labels, self.pos_weight)
        if num_items_in_batch is None:
            num_items_in_batch = (labels != UNKNOWN).sum()
        elif self.args.average_tokens_across_devices:
            total = total * self.accelerator.num_processes
        # A step of which no label is known has no loss, and not 0 / 0.
        loss = total / torch.as_tensor(num_items_in_batch).clamp(min=1)
        return (loss, outputs) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The stock loop, with the loss of all films at once.

        The stock loss, a mean over batches, depends on how the films are divided into them.
        """
        found: Any = super().evaluation_loop(*args, **kwargs)
        if found.predictions is not None:
            loss = mean_loss(found.predictions, found.label_ids, self.pos_weight)
            found.metrics.update({name: loss for name in found.metrics if name.endswith("_loss")})
        return found


@dataclass(frozen=True)
class Job:
    """A run and what it works with."""

    project: ProjectArguments
    args: FinetuneArguments
    run: RunFolder
    prepared: Prepared
    encoder: EncoderName
    loaded: LoadedEncoder
    n_frozen: int
    """Layers, lowest first."""
    pos_weight: np.ndarray
    has_recipe: bool

    @property
    def is_main_process(self) -> bool:
        return self.args.process_index == 0

    def wait_for_everyone(self) -> None:
        self.args.distributed_state.wait_for_everyone()


def main(argv: Sequence[str] | None = None) -> int:
    project, args = parse_finetune_args(argv)
    name = (args.metric_for_best_model or "loss").removeprefix("eval_")
    if name not in (*LOGGED, "loss"):  # refused now, and not after the first epoch
        raise InputError(f"--metric_for_best_model {name!r} is not one of: {', '.join(LOGGED)}")
    check_on_trial(args)
    disable_progress_bars()
    transformers.logging.disable_progress_bar()  # of reading and writing weights
    publishing, repository = pop_hub_arguments(args), None
    if publishing is not None and args.process_index == 0:
        target, token = publishing
        repository = Repository.connect(target, "model", token)  # not after hours of training
    try:
        run = finetune(project, args, has_recipe=recipe_file(argv) is not None)
    except TrainingStoppedError as stop:
        if args.process_index == 0:
            print(f"{stop}; the same command resumes from there", flush=True)
        return stop.exit_code
    except KeyboardInterrupt:  # outside of the training loop
        if args.process_index == 0:
            print("finished parts are kept: the same command resumes from there", flush=True)
        raise
    if repository is not None:
        print()
        publish_run(run.path, repository.target.repo_id, repository)
    return 0


def finetune(
    project: ProjectArguments, args: FinetuneArguments, *, has_recipe: bool = True
) -> RunFolder:
    """Load, train, then decide and judge; give the folder of the run, which may be complete.

    Without a recipe, one line says which file is for another encoder than the packaged one.
    """
    stop_with_launcher()
    use_all_cores(int(os.environ.get("LOCAL_WORLD_SIZE", args.world_size)))
    run = RunFolder(Path(args.output_dir or "runs/demo"))
    prepared = load_prepared(Path(project.dataset_dir))
    encoder = find_encoder(project.model_name_or_path)
    if project.image_model:
        from movie_genres.posters.fitting import check_before_training

        check_before_training(project.image_model, prepared)
    record = run_record(project, args, prepared, encoder)
    run.check(record, overwrite=project.overwrite)
    if not project.overwrite and (metrics := run.metrics()) is not None:
        if args.process_index == 0:
            run.remove_cache()
            print(f"{run.path} is complete (--overwrite starts again from nothing)\n")
            print(closing_words(metrics, run.path))
        return run
    set_seed(args.seed)
    loaded = load_encoder(
        encoder, prepared.labels, project.max_length,
        dropout=project.dropout, precision=project.precision,
    )  # fmt: skip
    loaded.model.config.text_fields = prepared.report.get("text_fields")
    sample = sample_batch(loaded.tokenizer, 8)
    n_frozen = freeze_lower(loaded.model, project.frozen_share, sample)
    pos_weight = positive_weights(prepared.y("train"), project.class_weights)
    job = Job(project, args, run, prepared, encoder, loaded, n_frozen, pos_weight, has_recipe)
    job.wait_for_everyone()  # every process has looked at the folder before it changes
    with run.held(args.distributed_state):
        if job.is_main_process:
            run.start(record, overwrite=project.overwrite)
        job.wait_for_everyone()
        trained = train(job)
        if job.is_main_process:
            # The other processes are done: none waits at a barrier, with a time limit, for this.
            finish(job, trained)
    return run


def train(job: Job) -> Trained:
    """Tokenise, initialise the head, train the seed runs; keep their average or the best."""
    project, args, model, began = job.project, job.args, job.loaded.model, time.perf_counter()
    n_frozen = job.n_frozen
    if job.is_main_process:
        print_plan(project, args, job.prepared, job.loaded, n_frozen)
        if not job.has_recipe and project.model_name_or_path != DEFAULT_ENCODER:
            print(f"note: these values are the packaged MiniLM's; for others take {OTHER_RECIPE}")
    model.to(args.device)  # type: ignore[arg-type]  # the stub of `to` lacks the device
    if args.device.type == "cpu" and project.precision != "float32":
        attend_in_float32(model)
    inputs = tokenize_splits(job.prepared, job.loaded.tokenizer, project.tokens_in_training)
    with ExitStack() as stack:
        trains = not job.run.is_trained(project.soup)
        if trains and n_frozen and project.caches_activations(args.device):
            cache = job.run.cached_activations
            cached = cached_inputs(
                inputs, model, n_frozen, folder=cache, precision=project.precision,
                required=project.cache_activations == "always",
            )  # fmt: skip
            inputs = stack.enter_context(cached)
        seconds = time.perf_counter() - began
        if project.probes:
            seconds = initialise_head(
                model, inputs, job.run, job.prepared.y("train"),
                began=began, precision=project.precision,
                pos_weight=job.pos_weight, inverse_penalty=project.probe_c,
            )  # fmt: skip
        build = partial(build_trainer, job, inputs)
        scorer = Scorer(
            inputs, GenreMetrics(job.prepared.labels), job.pos_weight,
            metric=(args.metric_for_best_model or "loss").removeprefix("eval_"),
            greater_is_better=bool(args.greater_is_better), precision=project.precision,
        )  # fmt: skip
        return train_seed_runs(model, job.run, build, scorer, count=project.soup, seconds=seconds)


def build_trainer(job: Job, inputs: TrainingInputs, number: int, seconds: float) -> GenreTrainer:
    """The Trainer of seed run `number`, from 1; `seconds` are what the run has taken so far."""
    project, args = job.project, copy.copy(job.args)
    folder = job.run.seed_run(number) if project.soup > 1 else job.run.checkpoints
    seed_run = folder.relative_to(job.run.checkpoints).name
    args.output_dir = str(folder)
    args.run_name = "-".join(filter(None, [args.run_name or job.run.path.resolve().name, seed_run]))
    args.seed = (args.seed + _SEED_STEP * (number - 1)) % 2**32
    if project.soup > 1 and job.is_main_process:
        print(f"seed run {number} of {project.soup}", flush=True)
    trainer = GenreTrainer(
        model=job.loaded.model,
        args=args,
        train_dataset=inputs.films["train"],
        eval_dataset=inputs.films["validation"],
        data_collator=inputs.collate,
        compute_metrics=GenreMetrics(job.prepared.labels),
        processing_class=job.loaded.tokenizer,
        pos_weight=job.pos_weight,
        train_lengths=inputs.lengths["train"],
        seconds_before=seconds,
    )
    check_precision(trainer.accelerator, project.precision)
    ReadableProgress(not args.disable_tqdm, project.soup - number).replace_stock(trainer)
    trainer.add_callback(EvaluationFiles(trainer, job.run.evaluations / seed_run))
    report_into(trainer, job.run.logs, seed_run)
    if project.early_stopping_patience and args.eval_strategy != "no":
        trainer.add_callback(EarlyStoppingCallback(project.early_stopping_patience))
    return trainer


def finish(job: Job, trained: Trained) -> None:
    """Fit the decisions, save the model, score it beside the baselines, write report and card."""
    project, run, seed, memory = job.project, job.run, job.args.seed, peak_memory_bytes()
    probing_seconds = run.load_probe()[1] if project.probes else 0.0
    train = training_metadata(trained, probing_seconds=probing_seconds, memory=memory)
    metadata = model_metadata(job.args, project, run.path, job.encoder, train)
    trained.model.config.provenance = metadata.provenance(job.prepared)
    print("fitting calibration and thresholds, reading the test split once", flush=True)
    text_model = TextModel(trained.model, job.loaded.tokenizer, project.max_length)
    results, sweep = tune_and_judge(
        text_model,
        job.prepared,
        pos_weight=job.pos_weight,
        objective=project.objective,
        never_empty=project.never_empty,
        seed=seed,
        model_folder=run.model,
    )
    probe = None
    if project.probes:
        head, _ = run.load_probe()
        length = project.tokens_in_training
        logits = probe_logits(head, job.encoder, job.prepared, max_length=length, seed=seed)
        probe = logits, job.pos_weight
    baselines = judge_baselines(
        job.prepared,
        objective=project.objective,
        never_empty=project.never_empty,
        seed=seed,
        probe=probe,
    )
    posters = add_posters(job, text_model) if project.image_model else {}
    results = replace(results, baselines=baselines, train=train, posters=posters)
    write_results(run.path, results, job.prepared, metadata, sweep=sweep)
    run.remove_cache()
    print(closing_words(results.metrics(), run.path))


def add_posters(job: Job, text_model: TextModel) -> dict[str, Any]:
    """Fit the poster model and its fusion with the text; gives what metrics.json says of them."""
    from movie_genres.posters import fitting, judging

    project, began, weight = job.project, time.perf_counter(), job.pos_weight
    poster = fitting.fit_poster_model(
        project.image_model, job.prepared, pos_weight=weight, precision=project.precision
    )
    text, folder = (text_model.logits, text_model.model.config), job.run.model
    fitting.tune_posters(
        poster, *text, job.prepared, folder, pos_weight=weight,
        objective=project.objective, never_empty=project.never_empty, seed=job.args.seed,
    )  # fmt: skip
    found = judging.judge_posters(str(folder), *text, job.prepared, job.run.path)
    return found | {"seconds": round(time.perf_counter() - began, 1)}


if __name__ == "__main__":
    sys.exit(exit_code(main))
