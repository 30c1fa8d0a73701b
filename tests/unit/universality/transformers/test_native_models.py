"""Building transformers, their twins, and the loss without logits."""

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from universality.errors import InputError
from universality.transformers.native import build, load_weights, shuffle_weights, weights
from universality.transformers.objective import NextTokenLoss, UnembedCrossEntropy
from universality.transformers.transformer_config import TransformerConfig
from universality.transformers.twin import site_of, twin_of

BASE = {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": 31, "n_ctx": 10}
SHAPES = {
    "plain": {},
    "one layer, tied sizes": {"n_layers": 1, "d_mlp": None},
    "wide heads": {"d_head": 7},
    "gated, rms, rotary, fewer kv heads": {
        "gated_mlp": True,
        "act_fn": "silu",
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "n_key_value_heads": 1,
        "final_rms": True,
    },
    "attention only": {"attn_only": True},
    "no normalisation": {"normalization_type": None},
    "parameterless norms": {"normalization_type": "LNPre", "act_fn": "gelu"},
    "parameterless rms": {"normalization_type": "RMSPre", "act_fn": "gelu_new"},
    "solu": {"act_fn": "solu_ln"},
    "soft caps": {"attn_scores_soft_cap": 2.0, "output_logits_soft_cap": 3.0},
    "partial rotary": {"positional_embedding_type": "rotary", "d_head": 6, "rotary_dim": 4},
    "xavier": {"init_mode": "xavier_normal", "initializer_range": 0.9},
}
TOKENS = torch.from_numpy(np.random.default_rng(0).integers(0, 31, (4, 10)))


@pytest.fixture(params=SHAPES, ids=lambda name: name.replace(" ", "-"))
def model(request):
    made = build(TransformerConfig(**{**BASE, **SHAPES[request.param]}), 3)
    # Fresh norms are ones and biases zeros: move everything, or half of the arithmetic goes untested.
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return made


def bridge_loss(model):
    logits = model(TOKENS, return_type="logits")[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), TOKENS[:, 1:].flatten())


def gradients(model, loss):
    for parameter in model.parameters():
        parameter.grad = None
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_it_stays_a_bridge(model):
    assert isinstance(model, TransformerBridge)
    assert not model.training


def test_the_loss_and_all_gradients_are_the_bridges(model):
    expected = bridge_loss(model)
    found = NextTokenLoss(model)(TOKENS)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    wanted, got = gradients(model, expected), gradients(model, found)
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=2e-6, msg=name)


def test_the_twin_owns_nothing_and_leaves_no_trace(model):
    hooks = {name: len(point.fwd_hooks) for name, point in model.hook_dict.items()}
    twin = twin_of(model)
    assert twin is not None
    own = {p.data_ptr() for p in model.parameters()}
    shared = {p.data_ptr() for p in twin.parameters()}
    assert shared == own
    before = float(NextTokenLoss(model)(TOKENS).detach())
    objective = NextTokenLoss(model)
    with torch.no_grad():
        next(iter(model.parameters())).mul_(torch.linspace(0.5, 2, 12))
    assert float(objective(TOKENS).detach()) == pytest.approx(float(bridge_loss(model).detach()), rel=1e-5)
    assert float(objective(TOKENS).detach()) != before
    assert {name: len(point.fwd_hooks) for name, point in model.hook_dict.items()} == hooks
    _, cache = model.run_with_cache(TOKENS, names_filter=["blocks.0.attn.hook_pattern"])
    assert cache["blocks.0.attn.hook_pattern"].shape[-2:] == (10, 10)


def test_weights_make_the_round_trip(model):
    saved = weights(model)
    other = twin_config_model(model)
    load_weights(other, saved)
    assert {name: value.tobytes() for name, value in weights(other).items()} == {
        name: value.tobytes() for name, value in saved.items()
    }
    torch.testing.assert_close(bridge_loss(other), bridge_loss(model), rtol=0, atol=0)


def twin_config_model(model):
    """Another model of the same shape with other weights."""
    config = {field: getattr(model.cfg, field) for field in TransformerConfig.model_fields}
    return build(TransformerConfig(**config), 99)


def test_weights_of_another_shape_are_refused():
    model = build(TransformerConfig(**BASE), 1)
    wider = weights(build(TransformerConfig(**{**BASE, "d_mlp": 24}), 1))
    with pytest.raises(InputError, match="Build the model with the config"):
        load_weights(model, wider)
    with pytest.raises(InputError, match="nothing"):
        load_weights(model, {name: value for name, value in weights(model).items() if "embed" not in name})


def test_equal_seeds_equal_weights_and_nothing_global_moves():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = (build(TransformerConfig(**BASE), seed) for seed in (1, 1, 2**62 + 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(np.array_equal(weights(a)[name], value) for name, value in weights(b).items())
    assert not np.array_equal(weights(a)["embed.weight"], weights(c)["embed.weight"])


def test_saved_weights_are_copies():
    model = build(TransformerConfig(**BASE), 1)
    saved = weights(model)
    with torch.no_grad():
        next(iter(model.parameters())).zero_()
    assert all(np.any(value) for name, value in saved.items() if name == "embed.weight")


@pytest.mark.parametrize("elements", [1, 100, 1 << 19])
def test_fused_cross_entropy_whatever_the_chunk(monkeypatch, elements):
    from universality.transformers import objective

    monkeypatch.setattr(objective, "CHUNK_ELEMENTS", elements)
    generator = torch.Generator().manual_seed(2)
    hidden = (3 * torch.randn(23, 6, generator=generator)).double().requires_grad_()
    weight = (3 * torch.randn(17, 6, generator=generator)).double().requires_grad_()
    targets = torch.randint(0, 17, (23,), generator=generator)
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, targets)
    wanted = torch.autograd.grad(expected, (hidden, weight))
    found = UnembedCrossEntropy.apply(hidden, weight, targets)
    got = torch.autograd.grad(found, (hidden, weight))
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_fused_cross_entropy_survives_hopeless_targets():
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [300.0]])
    loss = UnembedCrossEntropy.apply(hidden, weight, torch.tensor([0]))
    assert float(loss) == pytest.approx(300)


def test_sites_the_twin_cannot_tell_are_left_to_the_bridge():
    twin = twin_of(build(TransformerConfig(**BASE), 1))
    assert twin is not None
    for name in ("blocks.0.attn.hook_pattern", "ln_final.hook_normalized", "unembed.hook_out", "blocks.x.y"):
        assert site_of(twin, name) is None
    assert site_of(twin, "blocks.1.mlp.hook_post") is not None


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="divisor of d_model"):
        TransformerConfig(d_model=10, n_heads=4)
    assert build(TransformerConfig(**{**BASE, "d_model": 10, "d_head": 4}), 1).cfg.d_head == 4


def test_shuffled_weights_keep_every_tensors_values_and_nothing_else():
    config = TransformerConfig(**BASE)
    model = build(config, 3)
    before = weights(model)
    copies = []
    for seed in (3, 3, 4):
        other = build(config, 0)
        load_weights(other, before)
        shuffle_weights(other, seed)
        copies.append(weights(other))
    for name, value in before.items():
        np.testing.assert_array_equal(np.sort(copies[0][name], axis=None), np.sort(value, axis=None))
        np.testing.assert_array_equal(copies[0][name], copies[1][name])
        if np.unique(value).size > 8:
            assert not np.array_equal(copies[0][name], value)
            assert not np.array_equal(copies[0][name], copies[2][name])
