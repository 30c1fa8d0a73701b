"""Reading activations: equal to the bridge's own cache, no further than needed, refusals with names."""

import numpy as np
import pytest
import torch
from scipy import special
from torch._subclasses.fake_tensor import FakeTensorMode

from universality.errors import InputError
from universality.transformers.harvest import (
    SplicedLosses,
    check_hook_points,
    harvest,
    hook_dimension,
    logit_weights,
    splice,
    spliced_losses,
)
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

BASE = {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_mlp": 20, "d_vocab": 31, "n_ctx": 10}
TOKENS = np.random.default_rng(0).integers(0, 31, (7, 10)).astype(np.int32)
SITES = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "attn.hook_z")
MLP_SITES = ("mlp.hook_pre", "mlp.hook_post", "hook_mlp_out")


def scrambled(**changes):
    model = build(TransformerConfig(**{**BASE, **changes}), 3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gated_mlp": True, "act_fn": "silu", "positional_embedding_type": "rotary", "n_key_value_heads": 1},
        {"act_fn": "solu_ln"},
        {"attn_only": True},
        {"attn_scores_soft_cap": 2.0, "normalization_type": "RMS"},
    ],
)
def test_activations_are_those_of_the_bridge(changes):
    model = scrambled(**changes)
    names = [f"blocks.{layer}.{site}" for layer in (0, 1) for site in SITES]
    if model.cfg.attn_only:
        names = [name for name in names if "mid" not in name]
    else:
        names += [f"blocks.{layer}.{site}" for layer in (0, 1) for site in MLP_SITES]
    names.append("hook_embed")
    _, cache = model.run_with_cache(torch.from_numpy(TOKENS.astype(np.int64)), names_filter=names)
    for name in names:
        (found,) = harvest(model, TOKENS, [name])
        expected = cache[name].flatten(2).numpy()
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
        assert found[name].dtype == np.float32
        assert hook_dimension(model, name) == expected.shape[-1]
    (together,) = harvest(model, TOKENS, names)
    for name in names:
        np.testing.assert_allclose(together[name], cache[name].flatten(2), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["blocks.0.mlp.hook_post", "blocks.0.mlp.hook_pre"])
def test_nothing_runs_beyond_the_last_hook_point(name, monkeypatch):
    model = scrambled()
    whole = next(harvest(model, TOKENS, [name]))[name]
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "layers.1" in parameter_name or "head" in parameter_name or "ln_out" in parameter_name:
                parameter.fill_(float("nan"))
    calls = []
    for module in (model.blocks[1], model.unembed, model.original_model.head):
        module.register_forward_pre_hook(lambda *_: calls.append(1))
    np.testing.assert_array_equal(next(harvest(model, TOKENS, [name]))[name], whole)
    assert not calls


def test_batches_come_in_order_and_do_not_matter():
    model = scrambled()
    name = "blocks.1.hook_resid_post"
    (whole,) = harvest(model, TOKENS, [name])
    parts = [part[name] for part in harvest(model, TOKENS, [name], batch_contexts=3)]
    assert [len(part) for part in parts] == [3, 3, 1]
    np.testing.assert_allclose(np.concatenate(parts), whole[name], rtol=1e-4, atol=1e-5)
    assert list(harvest(model, TOKENS[:0], [name])) == []


def test_no_hook_stays_behind():
    model = scrambled()
    list(harvest(model, TOKENS, ["blocks.0.mlp.hook_post", "blocks.0.mlp.hook_pre"]))
    spliced_losses(model, TOKENS, "blocks.0.mlp.hook_post", lambda x: x)
    assert not any(point.fwd_hooks for point in model.hook_dict.values())
    assert not model.original_model.head._forward_hooks


def test_unknown_and_unusable_hook_points_are_refused_with_neighbours():
    model = scrambled()
    with pytest.raises(InputError, match=r"Did you mean blocks\.0\.mlp\.hook_post"):
        next(harvest(model, TOKENS, ["blocks.0.mlp.hook_pots"]))
    with pytest.raises(InputError, match="unknown name"):
        check_hook_points(model, ["zzz"])
    with pytest.raises(InputError, match=r"shape \(1, 3, 2, 2\)"):
        hook_dimension(model, "blocks.0.attn.hook_pattern")
    with pytest.raises(InputError, match="use_attn_result"):
        hook_dimension(model, "blocks.0.attn.hook_result")
    with pytest.raises(InputError, match="one that fires"):
        spliced_losses(model, TOKENS, "blocks.0.attn.hook_result", lambda x: x)


@pytest.mark.parametrize(
    "name",
    ["mlp.hook_post", "hook_mlp_out", "attn.hook_z", "hook_attn_out", "hook_resid_post"],
)
def test_logit_weights_are_the_derivative_of_the_logits(name):
    # Without normalisation and in the last block, the direct path is the whole path for all but the attention.
    model = scrambled(n_layers=1, normalization_type=None)
    if name in ("attn.hook_z", "hook_attn_out"):
        with torch.no_grad():
            model.blocks[0].mlp.out.weight.zero_()
    hook_point = f"blocks.0.{name}"
    tokens = torch.from_numpy(TOKENS[:1].astype(np.int64))
    (acts,) = harvest(model, TOKENS[:1], [hook_point])
    bump = np.random.default_rng(1).standard_normal(acts[hook_point].shape[-1]).astype(np.float32)

    def bumped(value, hook):
        changed = value.clone()
        changed[0, 4] += torch.from_numpy(bump).reshape(changed[0, 4].shape)
        return changed

    before = model(tokens, return_type="logits")
    after = model.run_with_hooks(tokens, fwd_hooks=[(hook_point, bumped)], return_type="logits")
    weights = logit_weights(model, hook_point)
    assert weights.shape == (len(bump), 31)
    np.testing.assert_allclose((after - before)[0, 4].detach().numpy(), bump @ weights, rtol=1e-3, atol=1e-4)


def test_logit_weights_of_the_stream_are_the_unembedding():
    model = scrambled()
    for name in ("hook_embed", "blocks.1.hook_resid_pre", "blocks.0.hook_attn_out"):
        np.testing.assert_array_equal(logit_weights(model, name), model.W_U.detach().numpy())
    with pytest.raises(InputError, match="linear path"):
        logit_weights(model, "blocks.0.mlp.hook_pre")


def _divergence(model, tokens, hook_point):
    """KL of the predictions with zeros from the clean ones, in float64 with numpy."""
    with torch.no_grad():
        clean = model(tokens, return_type="logits")
        keep_first = torch.ones(tokens.shape).index_fill(1, torch.tensor([0]), 0).bool()[..., None]
        hook = (hook_point, lambda value, hook: value.masked_fill(keep_first, 0.0))
        zero = model.run_with_hooks(tokens, fwd_hooks=[hook], return_type="logits")
    p, q = (special.log_softmax(logits[:, :-1].double().numpy(), axis=-1) for logits in (clean, zero))
    return (np.exp(p) * (p - q)).sum(axis=-1).mean()


def test_recovered_shares():
    losses = SplicedLosses(ce_clean=3.0, ce_spliced=3.5, ce_zero=5.0, kl_spliced=0.5, kl_zero=2.0)
    assert losses.ce_recovered == pytest.approx(0.75)
    assert losses.kl_recovered == pytest.approx(0.75)
    worse = SplicedLosses(ce_clean=3.0, ce_spliced=3.5, ce_zero=2.9, kl_spliced=0.5, kl_zero=0.0)
    assert (worse.ce_recovered, worse.kl_recovered) == (0.0, 0.0)


def test_spliced_losses():
    model = scrambled()
    name = "blocks.0.mlp.hook_post"
    clean, same, zero, no_way, all_the_way = spliced_losses(model, TOKENS, name, lambda x: x, batch_contexts=3)
    tokens = torch.from_numpy(TOKENS.astype(np.int64))
    expected = model(tokens, return_type="loss")
    assert clean == pytest.approx(float(expected.detach()), rel=1e-5)
    assert same == pytest.approx(clean, rel=1e-6)
    assert spliced_losses(model, TOKENS, name, torch.zeros_like)[1] == pytest.approx(zero, rel=1e-6)
    assert abs(zero - clean) > 1e-3
    assert no_way == pytest.approx(0, abs=1e-6)
    assert all_the_way == pytest.approx(_divergence(model, tokens, name), rel=1e-4)
    nowhere = np.zeros(TOKENS.shape, bool)
    assert spliced_losses(model, TOKENS, name, torch.zeros_like, replaced=nowhere)[2] == pytest.approx(clean, rel=1e-6)
    seen = []
    spliced_losses(model, TOKENS, name, lambda x: seen.append(tuple(x.shape)) or x)
    assert seen == [(7 * 9, 20)]
    with pytest.raises(InputError, match="hook_resid_mid"):
        spliced_losses(model, TOKENS, "blocks.0.hook_resid_mid", lambda x: x)
    with pytest.raises(InputError, match="at least 1"):
        spliced_losses(model, TOKENS[:0], name, lambda x: x)


@pytest.mark.parametrize("shape", [(3, 5, 8), (3, 5, 2, 4)])
def test_a_dictionary_on_the_cpu_is_spliced_into_a_model_on_a_gpu(shape):
    """Heads are flattened for the dictionary; what it gives goes where the activations are."""
    with FakeTensorMode():
        value = torch.empty(shape, device="cuda", dtype=torch.bfloat16)
        rows = torch.empty(7, dtype=torch.int64, device="cuda")
        spliced = splice(lambda x: torch.empty(x.shape, device="cpu"), rows)(value, None)
    assert (spliced.device.type, spliced.dtype, spliced.shape) == ("cuda", torch.bfloat16, shape)


def test_a_splice_changes_its_rows_alone_and_leaves_the_activations():
    value = torch.arange(24.0).reshape(2, 3, 4)
    spliced = splice(lambda x: -x, torch.tensor([1, 5]))(value, None)
    flat, changed = value.flatten(0, 1), spliced.flatten(0, 1)
    assert torch.equal(changed[[1, 5]], -flat[[1, 5]])
    assert torch.equal(changed[[0, 2, 3, 4]], flat[[0, 2, 3, 4]])
    assert torch.equal(value, torch.arange(24.0).reshape(2, 3, 4))
