"""Steering against forward passes written out by hand, on planted models and on one from a folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from universality.effects import continue_prompt, latent_push, push_along, random_push, steer
from universality.effects.continuations import continue_along
from universality.errors import InputError
from universality.sae import SparseAutoencoder
from universality.transformers.harvest import hook_dimension
from universality.transformers.native import build
from universality.transformers.transformer_config import TransformerConfig

D_VOCAB, N_CTX = 40, 24
#: The planted half of the vocabulary: "domain A".
OF_A = np.arange(20, 40)
RNG = np.random.default_rng(0)
CONTEXTS = RNG.integers(1, D_VOCAB, (5, N_CTX))
SITES = ("blocks.0.hook_resid_pre", "blocks.0.attn.hook_z", "blocks.0.mlp.hook_post", "blocks.1.hook_mlp_out",
         "blocks.1.hook_resid_post", "blocks.0.hook_attn_out", "hook_embed")  # fmt: skip


def native(**changes):
    shape = {"n_layers": 2, "d_model": 32, "n_heads": 2, "d_mlp": 48, "d_vocab": D_VOCAB, "n_ctx": N_CTX}
    return build(TransformerConfig(**{**shape, **changes}), 3)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    config = GPT2Config(vocab_size=D_VOCAB, n_positions=N_CTX, n_embd=32, n_layer=2, n_head=2)
    folder = tmp_path_factory.mktemp("gpt2")
    GPT2LMHeadModel(config).save_pretrained(folder)
    from tiny_models import save_tokenizer

    save_tokenizer(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu").eval()


def dictionary(d_in, **changes):
    weights = torch.from_numpy(np.random.default_rng(1).standard_normal((6, d_in)).astype(np.float32))
    tensors = {"W_enc": weights.T.contiguous(), "W_dec": weights, "b_enc": torch.zeros(6), "b_dec": torch.zeros(d_in)}
    config = {"architecture": "topk", "k": 2, **changes}
    return SparseAutoencoder.from_tensors(config, {name: value.numpy() for name, value in tensors.items()})


def by_hand(model, hook_point, vector, contexts):
    """Logits with and without a vector at all positions but the first, and the stream behind the last block."""
    tokens, stream, logits = torch.from_numpy(contexts), [], []
    added = torch.from_numpy(vector.astype(np.float32))

    def add(value, hook):
        flat = value.flatten(2).clone()
        flat[:, 1:] += added
        return flat.view(value.shape)

    def keep(value, hook):
        stream.append(value[:, 1:].norm(dim=-1).mean().item())

    last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    for hooks in ([], [(hook_point, add)]):
        out = model.run_with_hooks(tokens, fwd_hooks=[*hooks, (last, keep)], return_type="logits")
        logits.append(out.detach().double().numpy())
    return logits, stream


def log_softmax(values):
    values = values - values.max(axis=-1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("hook_point", SITES)
@pytest.mark.parametrize("kind", ["native", "gpt2"])
def test_effects_are_those_of_a_forward_pass_with_the_vector_added(kind, hook_point, request):
    model = native() if kind == "native" else request.getfixturevalue("gpt2")
    d_in = hook_dimension(model, hook_point)
    push = latent_push(dictionary(d_in), 2, hook_point, np.linspace(0, 2, 101))
    row = dictionary(d_in).W_dec[2].double().numpy()
    # 101 values from 0 to 2 of which 100 are positive: their 95th percentile is 1.901.
    np.testing.assert_allclose(push.vector, 1.901 * row, rtol=1e-6)
    effect = steer(model, push, CONTEXTS, 3.0, tokens=[1, 7], batch_contexts=2)
    (clean, steered), stream = by_hand(model, hook_point, 3 * 1.901 * row, CONTEXTS)
    p, q = log_softmax(clean[:, 1:]), log_softmax(steered[:, 1:])
    np.testing.assert_allclose(effect.kl, (np.exp(p) * (p - q)).sum(-1).mean(), rtol=1e-5)
    moved = (steered - clean)[:, 1:]
    expected = (moved - moved.mean(-1, keepdims=True)).mean((0, 1))
    np.testing.assert_allclose(effect.logit_shift, expected, atol=1e-5)
    following = CONTEXTS[:, 2:, None]
    for found, log_p in ((effect.ce_clean, p), (effect.ce_steered, q)):
        np.testing.assert_allclose(found, -np.take_along_axis(log_p[:, :-1], following, 2).mean(), rtol=1e-5)
    of_set = [np.log(np.exp(log_p[..., [1, 7]]).sum(-1)).mean() for log_p in (p, q)]
    np.testing.assert_allclose([effect.log_p_clean, effect.log_p_steered], of_set, rtol=1e-5)
    np.testing.assert_allclose([effect.norm_clean, effect.norm_steered], stream, rtol=1e-5)
    assert effect.n_positions == 5 * (N_CTX - 1)
    assert effect.kl > 1e-5


def test_strength_zero_changes_nothing():
    effect = steer(native(), push_along("blocks.0.mlp.hook_post", RNG.standard_normal(48), 5.0), CONTEXTS, 0.0)
    assert (effect.kl, effect.norm_ratio) == (0.0, 1.0)
    assert not effect.logit_shift.any()


def test_a_latent_of_a_normalising_dictionary_is_scaled_as_it_comes_back():
    sae = dictionary(32, normalisation="constant_norm")
    push = latent_push(sae, 1, "blocks.0.hook_resid_post", [2.0])
    rows = torch.from_numpy(RNG.standard_normal((7, 32)).astype(np.float32))
    acts = sae.encode(rows)
    acts[:, 1] += 3 * 2.0
    scale = rows.norm(dim=1, keepdim=True) / 32**0.5
    before, after = sae.encode(rows) @ sae.W_dec * scale, acts @ sae.W_dec * scale
    np.testing.assert_allclose((push.edit(3.0)(rows) - rows).numpy(), (after - before).numpy(), atol=1e-4)


# -- a model with a planted direction ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """A model whose first residual coordinate decides between two halves of the vocabulary."""
    model = native(n_layers=1)
    with torch.no_grad():
        unembedding = model.W_U  # (d_model, d_vocab), a view of the parameter
        assert unembedding.untyped_storage().data_ptr() in {
            weight.untyped_storage().data_ptr() for weight in model.parameters()
        }
        unembedding.mul_(0.1)
        unembedding[0] = -1.0
        unembedding[0, OF_A] = 1.0
    return model


def share_of_a(model, push, strength, **options):
    said = continue_prompt(model, [0, 3, 5], push, strength, n_tokens=30, n_samples=20, never=[0], **options)
    return np.isin(said.tokens, OF_A).mean()


def test_the_planted_direction_moves_the_share_and_random_ones_of_equal_norm_do_not(planted):
    own = push_along("blocks.0.hook_resid_post", np.eye(32)[0], 1.0)
    multiples = (-2, 0, 0.5, 1, 2, 4, 8)
    shares = [share_of_a(planted, own, strength) for strength in multiples]
    assert shares == sorted(shares)
    assert shares[0] < 0.25
    assert shares[-1] > 0.9
    at_random = [share_of_a(planted, random_push(own, seed), 8) for seed in range(6)]
    assert abs(np.mean(at_random) - shares[1]) < 0.25
    assert max(at_random) < shares[-1]
    up, down = steer(planted, own, CONTEXTS, 2.0).top_tokens(5)
    assert set(up) <= set(OF_A)
    assert not set(down) & set(OF_A)


def test_continuations_differ_by_the_push_alone(planted):
    push = push_along("blocks.0.hook_resid_post", np.eye(32)[0], 1.0)
    options: dict[str, Any] = {"n_samples": 3, "n_tokens": 12}
    without = continue_prompt(planted, [0, 3, 5], **options).tokens
    assert (continue_prompt(planted, [0, 3, 5], push, 0.0, **options).tokens == without).all()
    assert (continue_prompt(planted, [0, 3, 5], push, 3.0, **options).tokens != without).any()
    assert (continue_prompt(planted, [0, 3, 5], seed=1, **options).tokens != without).any()
    longer = continue_prompt(planted, [0, 3, 5], n_samples=5, n_tokens=20).tokens
    assert (longer[:3, :12] == without).all()
    assert (continue_prompt(planted, [0, 3, 5], temperature=0, **options).tokens[0] ==
            continue_prompt(planted, [0, 3, 5], temperature=0, seed=9, **options).tokens[2]).all()  # fmt: skip
    assert not np.isin(continue_prompt(planted, [0, 3, 5], never=OF_A, **options).tokens, OF_A).any()


def test_sampling_follows_the_softmax(planted):
    with torch.no_grad():
        logits = planted.forward(torch.tensor([[0, 3, 5]]), return_type="logits")[0, -1].double().numpy()
    shares = []
    for temperature in (1.0, 0.2):
        expected = np.exp(log_softmax(logits / temperature))
        said = continue_prompt(planted, [0, 3, 5], n_tokens=1, n_samples=4000, temperature=temperature).tokens[:, 0]
        np.testing.assert_allclose(np.bincount(said, minlength=D_VOCAB) / 4000, expected, atol=0.012)
        shares.append(expected[OF_A].sum())
        assert np.isin(said, OF_A).mean() == pytest.approx(shares[-1], abs=0.03)
    assert abs(shares[0] - shares[1]) > 0.1


def test_a_prompt_beyond_the_context_keeps_its_start_and_its_last_tokens(planted):
    prompt = [0, *RNG.integers(1, D_VOCAB, 60)]
    said = continue_prompt(planted, prompt, n_tokens=4, n_samples=2)
    assert said.n_dropped == 61 - N_CTX
    assert said.read.tolist() == 2 * [[0, *prompt[62 - N_CTX :]]]
    same = continue_prompt(planted, said.read[0], n_tokens=4, n_samples=2)
    assert (same.tokens == said.tokens).all()
    # The window slides with what is written: the second token follows from the start, the last ones and the first.
    slid = np.concatenate([[0], said.read[0][2:], said.tokens[0][:1]])
    with torch.no_grad():
        greedy = continue_prompt(planted, prompt, n_tokens=2, n_samples=1, temperature=0)
        slid[-1] = greedy.tokens[0, 0]
        logits = planted.forward(torch.from_numpy(slid[None]), return_type="logits")[0, -1]
    assert greedy.tokens[0, 1] == int(logits.argmax())


# -- what is refused -------------------------------------------------------------------------------------------

HOOK = "blocks.0.hook_resid_post"
PUSH = push_along(HOOK, np.ones(32), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: steer(m, PUSH, CONTEXTS, np.nan), "strength of steer must be a finite number"),
        (lambda m: steer(m, PUSH, CONTEXTS, 1e19), "whose square float32 still holds"),
        (lambda m: steer(m, PUSH, CONTEXTS[:0], 1), "shape of contexts"),
        (lambda m: steer(m, PUSH, np.zeros((1, N_CTX + 1)), 1), f"2 to {N_CTX} tokens"),
        (lambda m: steer(m, PUSH, CONTEXTS + 30, 1), "token ids of contexts must be below 40"),
        (lambda m: steer(m, push_along("blocks.0.nowhere", np.ones(32), 1.0), CONTEXTS, 1), "an unknown name"),
        (
            lambda m: steer(m, push_along("blocks.0.hook_resid_mid", np.ones(32), 1.0), CONTEXTS, 1),
            "reaches the stream",
        ),
        (lambda m: steer(m, push_along(HOOK, np.ones(31), 1.0), CONTEXTS, 1), "that of the direction (31)"),
        (
            lambda m: steer(m, push_along("blocks.0.attn.hook_pattern", np.ones(24), 1.0), CONTEXTS, 1),
            "whose activations",
        ),
        (lambda m: push_along(HOOK, np.zeros(32), 1.0), "norm of the direction"),
        (lambda m: push_along(HOOK, [1.0, np.nan], 1.0), "1 NaN or infinite values"),
        (lambda m: latent_push(dictionary(32), 6, HOOK, [1.0]), "latent of the dictionary"),
        (lambda m: latent_push(dictionary(32), 1, HOOK, [0.0, -1.0]), "no unit to steer by"),
        (lambda m: continue_prompt(m, []), "length of the prompt"),
        (lambda m: continue_prompt(m, [0]), "length of the prompt"),
        (lambda m: continue_prompt(m, [0, 99]), "token ids of the prompt"),
        (lambda m: continue_prompt(m, [0, 1], temperature=-1.0), "temperature"),
        (lambda m: continue_prompt(m, [0, 1], n_tokens=0), "n_tokens"),
        (lambda m: continue_prompt(m, [0, 1], n_samples=0), "n_samples"),
        (lambda m: continue_prompt(m, [0, 1], PUSH, np.inf), "a finite number"),
    ],
)
def test_refusals_say_what_is_wrong(planted, call, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(").replace(")", r"\)")):
        call(planted)


def test_a_transcoder_is_refused():
    weights = {"W_enc": np.ones((4, 3)), "W_dec": np.ones((3, 5)), "b_enc": np.zeros(3), "b_dec": np.zeros(5)}
    sae = SparseAutoencoder.from_tensors({"architecture": "relu", "subtract_b_dec": False}, weights)
    with pytest.raises(InputError, match="width that is written"):
        latent_push(sae, 0, HOOK, [1.0])


def test_half_precision_that_overflows_is_refused():
    model = native().half()
    assert np.isfinite(steer(model, PUSH, CONTEXTS, 2.0).kl)
    with pytest.raises(InputError, match="NaN or infinite logits"):
        steer(model, PUSH, CONTEXTS, 1e6)
    with pytest.raises(InputError, match="NaN or infinite logits"):
        continue_prompt(model, [0, 1], PUSH, 1e6)


@pytest.mark.parametrize("kind", ["native", "gpt2"])
def test_several_pushes_at_once_write_what_each_writes_alone(kind, request):
    model = native() if kind == "native" else request.getfixturevalue("gpt2")
    width, hook_point = (48, 128)[kind == "gpt2"], "blocks.0.mlp.hook_post"
    pushes = [push_along(hook_point, np.random.default_rng(i).standard_normal(width), 2.0) for i in range(3)]
    arms = [(pushes[0], 1.0), (pushes[1], -4.0), (pushes[0], 6.0), (pushes[2], 6.0)]
    prompts = CONTEXTS[:3, :5]
    options: dict[str, Any] = {"n_tokens": 25, "n_samples": 2, "seed": 4}
    together = continue_along(model, prompts, arms, **options)
    assert len(together) == len(arms)
    alone = [continue_prompt(model, prompts, push, strength, **options) for push, strength in arms]
    for found, expected in zip(together, alone, strict=True):
        assert (found.tokens == expected.tokens).all()
        assert (found.read == expected.read).all()
    assert len({found.tokens.tobytes() for found in together}) == len(arms)
    (without,) = continue_along(model, prompts, [], **options)
    assert (without.tokens == continue_prompt(model, prompts, **options).tokens).all()
