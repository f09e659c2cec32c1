"""Run by test_losses.py, also under accelerate: steps without learning; prints what they logged.

python tests/one_step.py ENCODER BATCH ACCUMULATION PREPARED [BATCH ACCUMULATION PREPARED ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import DataCollatorWithPadding

from finetune import GenreTrainer
from metrics import GenreMetrics
from movie_genres.arguments import FinetuneArguments
from movie_genres.encoder import EncoderName, load_encoder
from movie_genres.loading import load_prepared, tokenize
from movie_genres.losses import positive_weights


def main(encoder: str, *steps: str) -> None:
    found = []
    for start in range(0, len(steps), 3):
        batch, accumulation, folder = steps[start : start + 3]
        found.append(one_step(int(batch), int(accumulation), encoder, folder))
    if found[0]["rank"] == 0:
        print("\n" + json.dumps(found))


def one_step(batch: int, accumulation: int, encoder: str, folder: str) -> dict[str, Any]:
    prepared = load_prepared(Path(folder))
    loaded = load_encoder(EncoderName(encoder, None, None), prepared.labels, 32)
    model, tokenizer = loaded.model, loaded.tokenizer
    generator = torch.Generator().manual_seed(0)
    model.classifier.weight.data.normal_(0, 0.1, generator=generator)
    films = tokenize(prepared.splits["train"].select(range(8)), tokenizer, 32)
    pos_weight = positive_weights(prepared.y("train"), "balanced") + 0.5
    args = FinetuneArguments(
        output_dir=tempfile.mkdtemp(),
        learning_rate=0.0,
        weight_decay=0.0,
        max_steps=1,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        logging_steps=1,
        save_strategy="no",
        load_best_model_at_end=False,
        disable_tqdm=True,
    )
    trainer = GenreTrainer(
        model=model,
        args=args,
        train_dataset=films,
        eval_dataset=films,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=GenreMetrics(prepared.labels),
        processing_class=tokenizer,
        pos_weight=pos_weight,
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    predicted = trainer.predict(films)
    return {
        "rank": args.process_index,
        "world_size": args.world_size,
        "loss": logged["loss"],
        "grad_norm": logged["grad_norm"],
        "eval_loss": predicted.metrics["test_loss"],
        "logits": predicted.predictions.tolist(),
        "labels": predicted.label_ids.tolist(),
        "pos_weight": pos_weight.tolist(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
