"""data/prepared -> runs/<name>/: a fine-tuned encoder, its decisions, scores, figures and card.

    accelerate launch finetune.py
    accelerate launch finetune.py --model-name-or-path google-bert/bert-base-uncased \\
        --dataset-dir data/mine --output-dir runs/mine

The same command again goes on from the last checkpoint; on a completed run it prints the table.
With --push_to_hub --hub_model_id you/name the completed run is published, as publish.py does it.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import disable_progress_bars
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    set_seed,
)

from metrics import LOGGED, GenreMetrics
from movie_genres.command_line import exit_code
from movie_genres.errors import InputError, TrainingError
from movie_genres.evaluation.artifacts import closing_words, write_results
from movie_genres.evaluation.judge import judge_baselines, tune_and_judge
from movie_genres.evaluation.results import Baseline
from movie_genres.hub.publication import publish_run
from movie_genres.hub.repository import Repository
from movie_genres.hub.trainer_arguments import pop_hub_arguments
from movie_genres.model import devices
from movie_genres.model.encoder import (
    EncoderName,
    LoadedEncoder,
    find_encoder,
    load_encoder,
    whole_model,
)
from movie_genres.preparation.loading import Prepared, load_prepared
from movie_genres.training.arguments import FinetuneArguments, ProjectArguments, parse_finetune_args
from movie_genres.training.callbacks import EvaluationFiles, ReadableProgress
from movie_genres.training.checkpoints import (
    SafeCheckpoints,
    TrainingStoppedError,
    find_restart,
    remove_damaged,
)
from movie_genres.training.losses import UNKNOWN, mean_loss, positive_weights, weighted_bce_sum
from movie_genres.training.probing import probe_logits
from movie_genres.training.provenance import model_facts, run_facts, training_facts
from movie_genres.training.run_folder import RunFolder, run_record
from movie_genres.training.soup import TrainingFacts, average, give_weights, trained_weights
from movie_genres.training.start import Start, make_start
from movie_genres.training.trainer import FilmTrainer

_SEED_STEP = 10_007
"""Between the trainings of a soup: neighbouring seeds of whole runs share none of them."""


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

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The stock step.

        Raises:
            TrainingError: If its loss is not finite: nothing after it would be of use.
        """
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            rates = [group["lr"] for group in self.optimizer.param_groups]  # type: ignore[union-attr]
            raise TrainingError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()} (learning rate "
                f"{max(rates):.1e}, {self.args.world_size} process(es)). Likely causes: a learning "
                "rate that is too high (--learning-rate, a tenth of it), fp16 without the range "
                "for this model (--precision float32 or bf16), an encoder whose weights are damaged"
            )
        return loss

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
    """What a run is asked to do, and with what."""

    project: ProjectArguments
    args: FinetuneArguments
    run: RunFolder
    prepared: Prepared
    encoder: EncoderName
    loaded: LoadedEncoder
    pos_weight: np.ndarray


def main(argv: Sequence[str] | None = None) -> int:
    project, args = parse_finetune_args(argv)
    disable_progress_bars()
    publishing, repository = pop_hub_arguments(args), None
    if publishing is not None and args.process_index == 0:
        target, token = publishing
        repository = Repository.connect(target, "model", token)  # not after hours of training
    try:
        run = finetune(project, args)
    except TrainingStoppedError as stop:
        if args.process_index == 0:
            print(f"{stop}; the same command goes on from there", flush=True)
        return stop.exit_code
    except KeyboardInterrupt:  # outside of the trainings
        if args.process_index == 0:
            print("what was finished is kept: the same command goes on from there", flush=True)
        raise
    if repository is not None:
        print()
        publish_run(run.path, repository.target.repo_id, repository)
    return 0


def finetune(project: ProjectArguments, args: FinetuneArguments) -> RunFolder:
    """Make the run, or go on with it; give its folder."""
    transformers.logging.disable_progress_bar()  # of reading and writing weights
    devices.use_all_cores(int(os.environ.get("LOCAL_WORLD_SIZE", args.world_size)))
    prepared = load_prepared(Path(project.dataset_dir))
    encoder = find_encoder(project.model_name_or_path)
    run = RunFolder(Path(args.output_dir or "runs/demo"))
    check_best_metric(args)
    record = run_record(project, args, prepared, encoder)
    run.check(record, overwrite=project.overwrite)
    if not project.overwrite and (metrics := run.metrics()) is not None:
        if args.process_index == 0:
            run.clear()
            print(f"{run.path} is complete (--overwrite starts afresh)\n")
            print(closing_words(metrics, run.path))
        return run
    set_seed(args.seed)
    loaded = load_encoder(encoder, prepared.labels, project.max_length, dropout=project.dropout)
    loaded.model.config.text_fields = prepared.report.get("text_fields")
    # Every process has looked at the folder before the first one writes into it.
    args.distributed_state.wait_for_everyone()
    if args.process_index == 0:
        run.start(record, overwrite=project.overwrite)
    args.distributed_state.wait_for_everyone()
    pos_weight = positive_weights(prepared.y("train"), project.class_weights)
    job = Job(project, args, run, prepared, encoder, loaded, pos_weight)
    model, trainings = train_members(job)
    if args.process_index == 0:
        # The other processes are done: no one waits at a barrier, with a time limit, for this.
        finish(job, model, trainings)
    return run


def check_best_metric(args: FinetuneArguments) -> None:
    """Refuse a metric that no evaluation gives, before and not after the first epoch."""
    name = (args.metric_for_best_model or "loss").removeprefix("eval_")
    if name not in (*LOGGED, "loss"):
        raise InputError(f"--metric_for_best_model {name!r} is not one of: {', '.join(LOGGED)}")


def train_members(job: Job) -> tuple[PreTrainedModel, list[TrainingFacts]]:
    """Train `--soup` times from one start, and average the weights.

    Returns:
        The model in one piece, on the first process, and what each training came to.
    """
    project, args, run = job.project, job.args, job.run
    start = make_start(project, args, run, job.prepared, job.loaded, job.pos_weight)
    first, seconds = trained_weights(start.model), start.seconds
    model, part = job.loaded.model, start.model
    for number in range(1, project.soup + 1):
        member = run.member(number)
        complete = member.is_complete()
        args.distributed_state.wait_for_everyone()
        if not complete:
            give_weights(start.model, first)
            trainer = build_trainer(job, start, number, seconds)
            train(trainer)
            model = whole_model(trainer, job.loaded.model)
            part = start.model if model is job.loaded.model else model
            if trainer.is_world_process_zero():
                member.save(trained_weights(part), training_facts(trainer.state, trainer.seconds()))
            args.distributed_state.wait_for_everyone()
        if project.soup > 1 and args.process_index == 0:
            shutil.rmtree(run.training(number), ignore_errors=True)  # its checkpoints
        seconds = member.load()[1].seconds
    members = [run.member(number).load() for number in range(1, project.soup + 1)]
    if args.process_index == 0:
        give_weights(part, average([weights for weights, _ in members]))
    return model, [facts for _, facts in members]


def build_trainer(job: Job, start: Start, number: int, seconds: float) -> GenreTrainer:
    """The Trainer of one of the trainings.

    Args:
        number: Which, from 1: each has another order of the films.
        seconds: What the run has taken so far.
    """
    project, args = job.project, copy.copy(job.args)
    folder = job.run.training(number) if project.soup > 1 else job.run.checkpoints
    args.output_dir = str(folder)
    args.seed = (args.seed + _SEED_STEP * (number - 1)) % 2**32
    if project.soup > 1 and args.process_index == 0:
        print(f"training {number} of {project.soup}", flush=True)
    trainer = GenreTrainer(
        model=start.model,
        args=args,
        train_dataset=start.train,
        eval_dataset=start.validation,
        data_collator=start.collate,
        compute_metrics=GenreMetrics(job.prepared.labels),
        processing_class=job.loaded.tokenizer,
        pos_weight=job.pos_weight,
        seconds_before=seconds,
    )
    for stock in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(stock)
    trainer.add_callback(ReadableProgress(not args.disable_tqdm, project.soup - number))
    evaluations = job.run.evaluations / folder.relative_to(job.run.checkpoints)
    trainer.add_callback(EvaluationFiles(trainer, evaluations))
    if project.early_stopping_patience and args.eval_strategy != "no":
        trainer.add_callback(EarlyStoppingCallback(project.early_stopping_patience))
    return trainer


def train(trainer: GenreTrainer) -> None:
    """Train, from the newest intact checkpoint if there is one, and load the best one.

    Raises:
        TrainingStoppedError: If a signal asked to stop; the checkpoint to go on from is written.
    """
    restart = find_restart(Path(str(trainer.args.output_dir)))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        remove_damaged(restart)
    trainer.accelerator.wait_for_everyone()
    if restart.checkpoint is not None:
        if trainer.is_world_process_zero():
            print(f"going on from {restart.checkpoint}", flush=True)
        if trainer.was_stopped_early(restart.checkpoint):
            return
    checkpoints = SafeCheckpoints(trainer)
    trainer.add_callback(checkpoints)
    with checkpoints:
        trainer.train(resume_from_checkpoint=str(restart.checkpoint or "") or None)


def finish(job: Job, model: PreTrainedModel, trainings: Sequence[TrainingFacts]) -> None:
    """Fit the decisions, save the model, score it beside the baselines, write report and card."""
    project, run, memory = job.project, job.run, devices.peak_memory_bytes()
    print("fitting calibration and thresholds, reading the test split once", flush=True)
    results, sweep = tune_and_judge(
        model,
        job.loaded.tokenizer,
        job.prepared,
        max_length=project.max_length,
        pos_weight=job.pos_weight,
        objective=project.objective,
        never_empty=project.never_empty,
        seed=job.args.seed,
        model_folder=run.model,
    )
    facts = run_facts(
        trainings,
        precision=project.precision,
        world_size=job.args.world_size,
        probing_seconds=run.load_probe()[1] if project.probe_c else 0.0,
        memory=memory,
    )
    results = replace(results, baselines=score_baselines(job), train=facts)
    write_results(
        run.path,
        results,
        job.prepared,
        model_facts(job.args, project, run.path, job.encoder, facts),
        sweep,
    )
    run.clear()
    print(closing_words(results.metrics(), run.path))


def score_baselines(job: Job) -> dict[str, Baseline]:
    project, seed, probe = job.project, job.args.seed, None
    if project.probe_c:
        logits = probe_logits(job.run, job.encoder, job.prepared, project.training_cut, seed)
        probe = logits, job.pos_weight
    return judge_baselines(
        job.prepared,
        objective=project.objective,
        never_empty=project.never_empty,
        seed=seed,
        probe=probe,
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
