"""Models from folders (and the refusals), on tiny GPT-2 and GPT-NeoX checkpoints made on the spot."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import D_VOCAB, save_tokenizer

from results.public.errors import HubError
from results.public.hub import describe_pretrained, load_pretrained
from universality.transformers.harvest import harvest, hook_dimension, logit_weights, spliced_losses

N_CTX = 16


def save_model(folder, kind):
    from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

    ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        if kind == "gpt2":
            config = GPT2Config(n_layer=2, n_embd=12, n_head=3, vocab_size=D_VOCAB, n_positions=N_CTX, **ids)
            model = GPT2LMHeadModel(config)
        else:
            config = GPTNeoXConfig(
                num_hidden_layers=2,
                hidden_size=12,
                num_attention_heads=3,
                intermediate_size=20,
                vocab_size=D_VOCAB,
                max_position_embeddings=N_CTX,
                **ids,
            )
            model = GPTNeoXForCausalLM(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    save_tokenizer(folder)
    return model


@pytest.fixture(scope="module", params=["gpt2", "neox"])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return folder, save_model(folder, request.param), request.param


TOKENS = np.random.default_rng(0).integers(1, D_VOCAB, (3, N_CTX)).astype(np.int32)


def test_bridge_computes_what_the_published_model_computes(saved):
    folder, original, _ = saved
    bridge = load_pretrained(str(folder))
    tokens = torch.from_numpy(TOKENS.astype(np.int64))
    with torch.no_grad():
        expected = original(tokens).logits
        found = bridge(tokens, return_type="logits")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_harvest_and_logit_weights_of_a_published_model(saved):
    folder, original, kind = saved
    bridge = load_pretrained(str(folder))
    d_mlp = 48 if kind == "gpt2" else 20
    hook_point = "blocks.1.mlp.hook_post"
    assert hook_dimension(bridge, hook_point) == d_mlp
    (blocks,) = harvest(bridge, TOKENS, [hook_point, "blocks.0.hook_resid_post"])
    assert blocks[hook_point].shape == (3, N_CTX, d_mlp)
    with torch.no_grad():
        states = original(torch.from_numpy(TOKENS.astype(np.int64)), output_hidden_states=True).hidden_states
    np.testing.assert_allclose(blocks["blocks.0.hook_resid_post"], states[1].numpy(), rtol=1e-4, atol=1e-5)
    weights = dict(original.named_parameters())
    if kind == "gpt2":
        expected = weights["transformer.h.1.mlp.c_proj.weight"] @ weights["transformer.wte.weight"].T
    else:
        expected = weights["gpt_neox.layers.1.mlp.dense_4h_to_h.weight"].T @ original.get_output_embeddings().weight.T
    np.testing.assert_allclose(logit_weights(bridge, hook_point), expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_splicing_the_activations_themselves_changes_nothing(saved):
    bridge = load_pretrained(str(saved[0]))
    clean, spliced, zero, *_ = spliced_losses(bridge, TOKENS, "blocks.0.mlp.hook_post", lambda x: x)
    assert spliced == pytest.approx(clean, rel=1e-6)
    assert abs(zero - clean) > 1e-3


def test_untrained_weights_follow_from_their_seed_alone(saved):
    folder, _, _ = saved
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a = load_pretrained(str(folder), untrained_seed=3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    b = load_pretrained(str(folder), untrained_seed=3).state_dict()
    c = load_pretrained(str(folder), untrained_seed=4).state_dict()
    trained = load_pretrained(str(folder)).state_dict()
    name = next(n for n in a if n.endswith("mlp.in.weight"))
    assert torch.equal(a[name], b[name])
    assert not torch.equal(a[name], c[name])
    assert not torch.equal(a[name], trained[name])


def test_description_pins_the_weights(saved, tmp_path):
    folder, original, kind = saved
    facts = describe_pretrained(str(folder))
    assert facts["revision"] is None
    assert facts["d_vocab"] == D_VOCAB
    assert facts["architecture"] == type(original).__name__
    assert describe_pretrained(str(folder)) == facts
    load_pretrained(str(folder), digest=facts["digest"])
    changed = save_model(tmp_path, kind)
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    changed.save_pretrained(tmp_path)
    assert describe_pretrained(str(tmp_path))["digest"] != facts["digest"]
    with pytest.raises(HubError, match="those the run was planned with"):
        load_pretrained(str(tmp_path), digest=facts["digest"])


@pytest.mark.parametrize("act", [load_pretrained, describe_pretrained])
def test_unreachable_names_say_what_to_do(act, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set") as caught:
        act("nobody/no-such-model-at-all", "main")
    assert isinstance(caught.value, OSError)
    with pytest.raises(HubError, match="save_pretrained"):
        act(str(tmp_path))


def test_a_folder_without_weights_is_refused(saved, tmp_path):
    (tmp_path / "config.json").write_bytes((saved[0] / "config.json").read_bytes())
    with pytest.raises(HubError, match="holds none of the weight files"):
        describe_pretrained(str(tmp_path))
