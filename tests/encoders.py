"""Small random encoders of the architectures that users bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

Maker = Callable[..., PreTrainedModel]

_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
          "intermediate_size": 32, "initializer_range": 0.3}  # fmt: skip
_PAD, _CLS, _SEP = 0, 2, 3
"""As the tokenizer of the tests has them."""


def _maker(name: str, **sizes: Any) -> Maker:
    def make(vocab_size: int = 50, num_labels: int = 3, **more: Any) -> PreTrainedModel:
        config = getattr(transformers, f"{name}Config")(
            vocab_size=vocab_size, num_labels=num_labels, pad_token_id=_PAD, **sizes | more
        )
        model: PreTrainedModel = getattr(transformers, f"{name}ForSequenceClassification")(config)
        return model

    return make


_DEBERTA_V3 = {
    "relative_attention": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm",
    "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
    "max_relative_positions": -1,
}  # fmt: skip

MAKERS: dict[str, Maker] = {
    "bert": _maker("Bert", **_SIZES),
    "roberta": _maker("Roberta", **_SIZES),
    "electra": _maker("Electra", embedding_size=16, **_SIZES),
    "electra-small": _maker("Electra", embedding_size=8, **_SIZES),
    "distilbert": _maker(
        "DistilBert", dim=16, n_layers=2, n_heads=2, hidden_dim=32, initializer_range=0.3
    ),
    "deberta-v2": _maker("DebertaV2", **_SIZES, **_DEBERTA_V3),
    "albert": _maker("Albert", embedding_size=8, **_SIZES),
    "mpnet": _maker("MPNet", **_SIZES),
    "modernbert": _maker(
        "ModernBert", **_SIZES, bos_token_id=_CLS, eos_token_id=_SEP, cls_token_id=_CLS,
        sep_token_id=_SEP,
    ),
    "xlm-roberta": _maker("XLMRoberta", **_SIZES),
    "camembert": _maker("Camembert", **_SIZES),
    "bart": _maker(
        "Bart", d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, eos_token_id=_SEP,
        bos_token_id=_CLS, decoder_start_token_id=_SEP, forced_eos_token_id=None, init_std=0.3,
        max_position_embeddings=64,
    ),
    "t5": _maker(
        "T5", d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, eos_token_id=_SEP,
        decoder_start_token_id=_PAD,
    ),
}  # fmt: skip

REFUSED: dict[str, Maker] = {
    "xlnet": _maker("XLNet", d_model=16, n_layer=2, n_head=2, d_inner=32),
    "funnel": _maker(
        "Funnel", d_model=16, block_sizes=[2, 2], num_decoder_layers=1, n_head=2, d_head=8,
        d_inner=32,
    ),
    "squeezebert": _maker(
        "SqueezeBert", embedding_size=16, q_groups=1, k_groups=1, v_groups=1,
        post_attention_groups=1, intermediate_groups=1, output_groups=1, **_SIZES,
    ),
    "gpt2": _maker("GPT2", n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=_CLS,
                   eos_token_id=_SEP),
}  # fmt: skip
"""XLNet reads the last position, padding or not; Funnel joins neighbouring tokens, padding too;
GPT-2 classifies every token; SqueezeBERT does not call its layers as modules."""


def batch_of_ids() -> dict[str, torch.Tensor]:
    """Five texts of made-up ids, one of them shorter; each ends with the separator."""
    ids = torch.randint(4, 50, (5, 7), generator=torch.Generator().manual_seed(1))
    ids[:, 6] = _SEP
    mask = torch.ones_like(ids)
    mask[1, 3:], ids[1, 2] = 0, _SEP
    return {"input_ids": ids * mask, "attention_mask": mask}


class Films(list[dict[str, Any]]):
    """Tokenised films, as a dataset has them."""

    def __getitem__(self, key: Any) -> Any:
        return [film[key] for film in self] if key == "labels" else super().__getitem__(key)


def collate(films: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    longest = max(len(film["input_ids"]) for film in films)
    padded = [film["input_ids"] + [0] * (longest - len(film["input_ids"])) for film in films]
    ids = torch.tensor(padded)
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}
