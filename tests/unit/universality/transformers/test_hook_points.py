"""Names of hook points are known without a model, and every name that a model has is among them."""

import pytest

from universality.transformers.hook_points import BETWEEN, slip_in
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

SHAPE = {"d_vocab": 64, "n_layers": 2, "d_model": 16, "n_heads": 2, "d_mlp": 32, "n_ctx": 16}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"attn_only": True},
        {"gated_mlp": True, "positional_embedding_type": "rotary", "normalization_type": "RMS"},
        {"act_fn": "solu_ln"},
    ],
)
def test_no_hook_point_of_a_model_is_refused(change):
    model = build(TransformerConfig(**{**SHAPE, **change}), 0)
    slips = {name: slip for name in model.hook_dict if (slip := slip_in(name, 2)) is not None}
    assert slips.keys() == {f"blocks.{layer}.{site}" for layer in (0, 1) for site in BETWEEN}
    assert all("between tokens" in slip for slip in slips.values())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blocks.2.mlp.hook_post", "must name one of the blocks 0 to 1; got blocks.2.mlp.hook_post"),
        ("blocks.1.mlp.hook_pots", "Did you mean blocks.1.mlp.hook_post"),
        ("nonsense", "must be a hook point of the model; got nonsense."),
    ],
)
def test_a_slip_is_named_with_what_was_meant(name, said):
    assert said in slip_in(name, 2)
