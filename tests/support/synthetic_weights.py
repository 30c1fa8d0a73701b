"""Weights that can be loaded, for a synthetic run: tiny untrained transformers and random dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np

D_MLP = 64


def transformer(model_seed: int, d_vocab: int, n_ctx: int) -> dict[str, dict[str, Any]]:
    """Content of a ``transformer`` artifact whose neurons are as many as the dictionaries read."""
    from universality.transformers.native import build, weights
    from universality.transformers.transformer_config import TransformerConfig

    shape = {"n_layers": 1, "d_model": 16, "n_heads": 2, "d_mlp": D_MLP, "d_vocab": d_vocab, "n_ctx": n_ctx}
    model = build(TransformerConfig(**shape), model_seed)
    return {"json": {"config": shape}, "tensors": {"weights": weights(model)}}


def dictionary(rng: np.random.Generator, n_latents: int) -> dict[str, dict[str, Any]]:
    """Content of an ``sae`` artifact."""
    directions = rng.normal(size=(D_MLP, n_latents)).astype(np.float32)
    tensors = {"W_enc": directions, "W_dec": directions.T.copy()}
    tensors |= {"b_enc": np.zeros(n_latents, np.float32), "b_dec": np.zeros(D_MLP, np.float32)}
    config = {"architecture": "topk", "d_in": D_MLP, "d_sae": n_latents, "k": 8}
    return {"json": {"sae_config": config}, "tensors": {"sae": tensors}}
