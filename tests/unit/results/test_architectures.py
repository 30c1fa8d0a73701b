"""Eight published architectures through their bridge: what hook points give is what transformers' own model computes.

Grouped queries, rotary and learned positions, sliding windows, tied embeddings, soft caps, norms of what is added, no
biases: each is in one of the configs, whose widths all differ.
"""

import numpy as np
import pytest
import torch
from tiny_models import D_VOCAB, EXPERTS, FAMILIES, save_model
from transformers import LlamaForCausalLM

from results.public.hub import load_pretrained, read_config
from results.public.shapes import shape_of, slip_at
from universality.errors import InputError
from universality.transformers.harvest import (
    harvest,
    hook_dimension,
    hook_widths,
    logit_weights,
    splice,
    spliced_losses,
)
from universality.transformers.hook_points import IN_BLOCKS, OUTSIDE

TOKENS = np.random.default_rng(0).integers(1, D_VOCAB, (3, 16)).astype(np.int32)
IDS = torch.from_numpy(TOKENS.astype(np.int64))


class Case:
    def __init__(self, folder, name):
        self.folder, self.name, self.family = str(folder), name, FAMILIES[name]
        self.own = save_model(folder, name).double()
        self.bridge = load_pretrained(self.folder)
        self.double = load_pretrained(self.folder).to(torch.float64, print_details=False)

    def module(self, layer, name):
        return self.own.get_submodule(f"{self.family.layers}.{layer}.{name}")

    def seen(self, layer, name, *, given=True):
        """What a module of transformers' own model is given, or gives."""
        kept = []

        def keep(module, args, output):
            kept.append(args[0] if given else output)

        handle = self.module(layer, name).register_forward_hook(keep)
        with torch.no_grad():
            self.own(IDS)
        handle.remove()
        return kept[0]


@pytest.fixture(scope="module", params=FAMILIES)
def case(request, tmp_path_factory):
    return Case(tmp_path_factory.mktemp(request.param), request.param)


def close(found, expected, scale=1.0):
    expected = expected.numpy() if isinstance(expected, torch.Tensor) else expected
    np.testing.assert_allclose(found, expected, rtol=1e-5 * scale, atol=1e-5 * scale)


def test_logits_are_those_of_the_published_model(case):
    with torch.no_grad():
        expected = case.own(IDS).logits
        # Norms and soft caps of transformers round to float32 on the way, whatever the weights are.
        torch.testing.assert_close(case.double(IDS, return_type="logits"), expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(case.bridge(IDS, return_type="logits").double(), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


def test_hook_points_give_what_they_are_called_after(case):
    family, layers = case.family, (0, 1)
    sites = ["hook_resid_pre", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "attn.hook_z", "mlp.hook_post"]
    sites += ["hook_resid_mid"] if family.mid else []
    names = [f"blocks.{layer}.{site}" for layer in layers for site in sites]
    (got,) = harvest(case.double, TOKENS, [*names, "ln_final.hook_out"])
    with torch.no_grad():
        stream = case.own(IDS, output_hidden_states=True).hidden_states
    close(got["blocks.0.hook_resid_pre"], stream[0])
    close(got["blocks.0.hook_resid_post"], stream[1])
    close(got["blocks.1.hook_resid_pre"], stream[1])
    close(got["ln_final.hook_out"], stream[2])
    for layer in layers:
        at = {site: got[f"blocks.{layer}.{site}"] for site in sites}
        # Heads are flattened as the output projection reads them, and as files of dictionaries have them.
        close(at["attn.hook_z"], case.seen(layer, family.o))
        close(at["mlp.hook_post"], case.seen(layer, family.down))
        close(at["hook_attn_out"] + at["hook_mlp_out"], at["hook_resid_post"] - at["hook_resid_pre"])
        added = family.post or (family.o, family.down)
        close(at["hook_attn_out"], case.seen(layer, added[0], given=False))
        close(at["hook_mlp_out"], case.seen(layer, added[1], given=False))
        if family.mid:
            close(at["hook_resid_mid"], case.seen(layer, family.mid))
            close(at["hook_resid_mid"], at["hook_resid_pre"] + at["hook_attn_out"])


@pytest.mark.parametrize("site", ["hook_resid_post", "attn.hook_z", "mlp.hook_post"])
def test_edits_at_a_hook_point_change_the_logits_as_in_the_published_model(case, site):
    d_in = hook_dimension(case.bridge, f"blocks.0.{site}")
    push = torch.randn(d_in, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    if site == "hook_resid_post":
        layer = case.own.get_submodule(f"{case.family.layers}.0")

        def after(module, args, output):
            return (output[0] + push, *output[1:]) if isinstance(output, tuple) else output + push

        handle = layer.register_forward_hook(after)
    else:
        read = case.module(0, case.family.o if site == "attn.hook_z" else case.family.down)
        handle = read.register_forward_pre_hook(lambda module, args: (args[0] + push, *args[1:]))
    with torch.no_grad():
        clean = case.double(IDS, return_type="logits")
        expected = case.own(IDS).logits
        handle.remove()
        add = splice(lambda x: x + push, torch.arange(TOKENS.size))
        found = case.double.run_with_hooks(IDS, fwd_hooks=[(f"blocks.0.{site}", add)], return_type="logits")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (found - clean).abs().max() > 0.01


def test_the_direct_path_leads_through_the_norm_of_what_is_added(case):
    unembedding = case.own.get_output_embeddings().weight.T
    for site, module, number in (("attn.hook_z", case.family.o, 0), ("mlp.hook_post", case.family.down, 1)):
        weight = case.module(1, module).weight
        weight = weight if case.name == "gpt2" else weight.T
        if case.family.post:
            weight = weight * (1 + case.module(1, case.family.post[number]).weight)
        close(logit_weights(case.bridge, f"blocks.1.{site}"), (weight @ unembedding).detach(), 10)
    close(logit_weights(case.bridge, "blocks.1.hook_mlp_out"), unembedding.detach())


def test_losses_of_reconstructions(case):
    clean, spliced, zero, *_ = spliced_losses(case.bridge, TOKENS, "blocks.0.attn.hook_z", lambda x: x)
    assert spliced == pytest.approx(clean, rel=1e-6)
    assert abs(zero - clean) > 1e-4


def test_config_alone_tells_the_hook_points_and_their_widths(case):
    config, widths = read_config(case.folder), hook_widths(case.bridge)
    assert {name: shape_of(config).width_at(name) for name in widths} == widths
    assert {name: slip for name in widths if (slip := slip_at(name, config)) is not None} == {}
    readable = {name for name in {*case.bridge.hook_dict, *every_name()} if slip_at(name, config) is None}
    assert readable == set(widths)
    assert "blocks 0 to 1" in slip_at("blocks.2.hook_resid_post", config)


def every_name():
    return {f"blocks.1.{site}" for site in (*IN_BLOCKS, "ln1_post.hook_in")} | {*OUTSIDE, "rotary_emb.hook_in"}


def test_a_hook_that_never_fires_is_an_error_with_the_nearest_that_do(case):
    silent = sorted(set(case.bridge.hook_dict) - set(hook_widths(case.bridge)))
    assert silent
    for name in silent[::9]:
        with pytest.raises(InputError, match=r"Did you mean .*\?$|Take a residual") as caught:
            list(harvest(case.bridge, TOKENS, [name]))
        for near in str(caught.value).partition("Did you mean ")[2].rstrip("?").split(" or "):
            assert not near or hook_dimension(case.bridge, near) > 0


def test_bfloat16_is_kept_where_it_is_asked_for_and_widened_where_not(tmp_path):
    save_model(tmp_path, "llama", dtype=torch.bfloat16)
    widened, kept = load_pretrained(str(tmp_path)), load_pretrained(str(tmp_path), dtype="bfloat16")
    names = [f"blocks.1.{site}" for site in ("hook_resid_pre", "attn.hook_z", "mlp.hook_post")]
    for bridge, dtype in ((kept, torch.bfloat16), (widened, torch.float32)):
        theirs = LlamaForCausalLM.from_pretrained(tmp_path, dtype=dtype, attn_implementation="eager")
        assert {weight.dtype for weight in bridge.parameters()} == {dtype}
        with torch.no_grad():
            stream = theirs(IDS, output_hidden_states=True).hidden_states[1].float()
        (got,) = harvest(bridge, TOKENS, names)
        assert {values.dtype for values in got.values()} == {np.dtype(np.float32)}
        close(got["blocks.1.hook_resid_pre"], stream, 1e3 if bridge is kept else 1)  # bfloat16 has 8 bits
        # float32 on, from the weights as they were saved: to the last bit the same map.
        np.testing.assert_array_equal(*(logit_weights(b, "blocks.1.mlp.hook_post") for b in (kept, widened)))
    clean, spliced, *_ = spliced_losses(kept, TOKENS, "blocks.1.mlp.hook_post", lambda x: x)
    assert spliced == clean
    assert clean == pytest.approx(spliced_losses(widened, TOKENS, "blocks.1.mlp.hook_post", lambda x: x)[0], rel=0.02)
    untrained = load_pretrained(str(tmp_path), untrained_seed=0, dtype="bfloat16")
    assert {weight.dtype for weight in untrained.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("name", EXPERTS)
def test_neurons_of_experts_are_refused_by_name(tmp_path, name):
    own, bridge = save_model(tmp_path, name), load_pretrained(str(tmp_path))
    with torch.no_grad():
        torch.testing.assert_close(bridge(IDS, return_type="logits"), own(IDS).logits, rtol=1e-4, atol=1e-5)
    for site in ("hook_pre", "hook_post"):
        for act in (hook_dimension, logit_weights):
            with pytest.raises(InputError, match=r"layer of experts, .*Take blocks\.1\.hook_mlp_out"):
                act(bridge, f"blocks.1.mlp.{site}")
        assert "Take hook_mlp_out" in slip_at(f"blocks.1.mlp.{site}", read_config(str(tmp_path)))
    assert slip_at("blocks.1.hook_mlp_out", read_config(str(tmp_path))) is None
    widths, shape = hook_widths(bridge), shape_of(read_config(str(tmp_path)))
    assert {site: widths[site] for site in widths if shape.width_at(site) not in (widths[site], None)} == {}
    assert "blocks 0 to 1" in slip_at("blocks.2.hook_mlp_out", read_config(str(tmp_path)))
    assert hook_dimension(bridge, "blocks.1.hook_mlp_out") == 24
