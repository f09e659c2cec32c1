"""Decisions in a model's config."""

from __future__ import annotations

from transformers import BertConfig

from movie_genres.decisions.stored import Decisions, label_fingerprint


def test_a_model_with_the_policy_names_of_earlier_versions_is_still_usable() -> None:
    labels = ["War", "Noir"]
    config = BertConfig(
        id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
        thresholds={"Noir": 0.4, "War": 0.3},
        threshold_policy="shrunk",
        threshold_objective="f1_micro",
        thresholds_for_other_objectives={
            "subset_accuracy": {"policy": "fixed_0.5", "thresholds": {"Noir": 0.5, "War": 0.5}}
        },
        label_fingerprint=label_fingerprint(labels),
    )
    assert Decisions.of_config(config, "old").thresholds.tolist() == [0.3, 0.4]
    for_other = Decisions.of_config(config, "old", objective="subset_accuracy")
    assert for_other.thresholds.tolist() == [0.5, 0.5]
