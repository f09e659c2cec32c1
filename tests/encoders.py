"""Small random encoders of the architectures that users bring."""

from __future__ import annotations

from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "num_labels": 3}  # fmt: skip
MAKERS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SMALL)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SMALL)),
    "electra": lambda: ElectraForSequenceClassification(ElectraConfig(embedding_size=16, **SMALL)),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=32, num_labels=3)
    ),
    "deberta-v2": lambda: DebertaV2ForSequenceClassification(DebertaV2Config(**SMALL)),
    "albert": lambda: AlbertForSequenceClassification(AlbertConfig(embedding_size=8, **SMALL)),
    "modernbert": lambda: ModernBertForSequenceClassification(
        ModernBertConfig(
            **SMALL, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2
        )
    ),
}
