"""Public models at the end of their last block: the readout gives what running them again in float64 gives."""

import numpy as np
import pytest
import torch
import transformers
from scipy import sparse
from tiny_models import D_VOCAB, save_tokenizer

from results.public.hub import load_pretrained
from universality.effects.ablation import fingerprints
from universality.effects.predictions import TextRows, read_predictions
from universality.effects.readout import readout_of
from universality.effects.rerun import RerunPredictions

SHAPE = {
    "vocab_size": D_VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 32,
}  # fmt: skip
#: Final norms: LayerNorm; LayerNorm without weights; RMS; RMS that multiplies by one more than its weights.
FAMILIES = {
    "GPT2": {"vocab_size": D_VOCAB, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2},
    "Olmo": SHAPE,
    "Llama": SHAPE,
    "Gemma": {**SHAPE, "head_dim": 8},
    "Gemma2": {**SHAPE, "head_dim": 8, "final_logit_softcapping": None},
}
CAPPED = {**SHAPE, "head_dim": 8, "final_logit_softcapping": 3.0}


def opened(folder, family, settings):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    kind = f"{family}LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    model = getattr(transformers, kind)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return load_pretrained(str(folder))


def case(d_in):
    rng = np.random.default_rng(0)
    contexts = rng.integers(0, D_VOCAB, (3, 10))
    context, position = (part.ravel() for part in np.mgrid[:3, 1:10])
    acts = sparse.csr_matrix(sparse.random(context.size, 5, 0.4, random_state=1, dtype=np.float32))
    directions = rng.normal(size=(5, d_in)).astype(np.float32)
    return TextRows(contexts, context, position), acts, directions, np.asarray(acts.mean(axis=0)).ravel()


def held(predictions, text, acts, directions, means):
    made = fingerprints(predictions, acts, directions, means)
    return made.loss.toarray(), made.divergence.toarray()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("family", "site"),
    [(family, "hook_resid_post") for family in FAMILIES]
    + [(family, "mlp.hook_post") for family in ("GPT2", "Llama", "Gemma")],
)
def test_the_readout_is_the_rerun_in_float64(tmp_path, family, site):
    model = opened(tmp_path, family, FAMILIES[family])
    hook_point = f"blocks.1.{site}"
    d_in = 16 if site == "hook_resid_post" else 64 if family == "GPT2" else 24
    given = case(d_in)
    predictions = read_predictions(model, given[0], hook_point)
    assert predictions is not None
    read = held(predictions, *given)
    again = held(RerunPredictions(model.to(torch.float64), given[0], hook_point, 4), *given)
    for one, other in zip(read, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=3e-5)
    assert np.abs(again[0]).max() > 0.05


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_capped_logits_have_no_readout_and_run_again(tmp_path):
    model, given = opened(tmp_path, "Gemma2", CAPPED), case(16)
    assert readout_of(model, "blocks.1.hook_resid_post") is None
    assert readout_of(model, "blocks.0.hook_resid_post") is None
    loss, divergence = held(RerunPredictions(model, given[0], "blocks.1.hook_resid_post", 4), *given)
    assert np.isfinite(loss).all()
    assert divergence.max() > 1e-3
