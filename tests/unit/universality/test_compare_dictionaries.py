"""Two dictionaries by their weights: planted truth comes back, with its chance, and nothing else is compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from universality.compare_dictionaries import compare_dictionaries
from universality.errors import InputError
from universality.sae import SparseAutoencoder, load_sae
from universality.sae.activations import ReLU

PEERS = sorted(path for path in (Path(__file__).parents[2] / "fixtures" / "peer_formats").iterdir() if path.is_dir())
D, N = 48, 300


def dictionary(decoder, encoder=None, **changes):
    decoder, encoder = (np.asarray(m, np.float32) for m in (decoder, decoder if encoder is None else encoder))
    fields = {
        "W_dec": torch.from_numpy(decoder.copy()), "b_dec": torch.zeros(decoder.shape[1]), "activation": ReLU(),
        "W_enc": torch.from_numpy(encoder.T.copy()), "b_enc": torch.zeros(len(decoder)),
        "metadata": {"model": "gpt2", "hook_point": "blocks.1.hook_resid_pre", "hook_point_out": "out"},
    }  # fmt: skip
    return SparseAutoencoder(**{**fields, **changes})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def planted(rng, noise, n_b=N):
    """Two dictionaries of which latent ``order[i]`` of b is latent i of a, and noise; and that order."""
    w = rng.standard_normal((2, N, D))
    order = rng.permutation(N)
    other = np.empty_like(w)
    other[:, order] = w + noise * rng.standard_normal(w.shape)
    return dictionary(*w), dictionary(*other[:, :n_b]), order


def shared(a, b, **options):
    return compare_dictionaries(a, b, **{"draws": 0, **options}).index("paulo_shared_fraction", "both")


def test_a_permuted_copy_is_found_latent_by_latent(rng):
    a, b, order = planted(rng, 0.0)
    found = compare_dictionaries(a, b, draws=2)
    assert {i.value for i in found.indices if i.name.endswith("fraction") or "above" in i.name} == {1.0}
    np.testing.assert_array_equal(found.pairs["latent_b"], order)
    assert set(found.pairs["assigned_by"]) == {"both"}
    assert not found.identical
    assert found.warnings == ()
    np.testing.assert_allclose(found.pairs[["cos_decoder", "cos_encoder"]], 1.0, atol=1e-14)


def test_the_shared_fraction_falls_with_noise_as_the_cosine_says(rng):
    values = [shared(*planted(rng, noise)[:2]).value for noise in (0.0, 0.7, 1.0, 1.4, 3.0)]
    assert values[0] == 1.0
    assert values[1] > 0.95  # a mean cosine of 0.82
    assert 0.15 < values[2] < 0.4  # of 0.71, and both kinds of weights must reach 0.7
    assert values[3] < 0.02
    assert values[4] == 0.0
    a, b, _ = planted(rng, 1.0)
    assert shared(a, b, threshold=0.5).value > 0.95 > shared(a, b).value


def test_flipped_latents_count_only_without_their_sign(rng):
    a, b, order = planted(rng, 0.0)
    flipped = np.ones((N, 1), np.float32)
    flipped[order[:100]] = -1
    b = replace(b, W_dec=b.W_dec * torch.from_numpy(flipped))
    found = compare_dictionaries(a, b, draws=0)
    signed, absolute = (found.index(f"mean_matched_{name}_cos") for name in ("signed", "abs"))
    np.testing.assert_allclose(absolute.value, 1.0)
    assert signed.value < 0.85
    assert found.index("paulo_shared_fraction", "both").value == pytest.approx(2 / 3)
    assert found.index("mean_matched_signed_cos", "encoder").value == pytest.approx(1.0)


def test_a_decoder_alone_is_not_shared(rng):
    """Paulo and Belrose ask both assignments: equal decoders with encoders in another order share nothing."""
    w = rng.standard_normal((2, N, D))
    a, b = dictionary(*w), dictionary(w[0], np.roll(w[1], 1, axis=0))
    found = compare_dictionaries(a, b, draws=0)
    assert found.index("matched_above").value == found.index("matched_above", "encoder").value == 1.0
    assert found.index("same_partner_fraction", "both").value == 0.0
    assert found.pairs["assigned_by"].value_counts().to_dict() == {"decoder": N, "encoder": N}
    by = found.pairs.set_index("assigned_by")
    np.testing.assert_allclose(by.loc["encoder", "cos_encoder"], 1.0)
    assert by.loc["encoder", "cos_decoder"].abs().max() < 0.7


def test_one_to_one_is_stricter_than_any_partner_and_sizes_may_differ(rng):
    w = rng.standard_normal((100, D))
    a, b = dictionary(np.tile(w, (3, 1))), dictionary(w)  # three copies of everything
    found = compare_dictionaries(a, b, draws=0)
    assert found.d_sae == (300, 100)
    assert found.index("max_above").value == found.index("max_above_b").value == 1.0
    assert (found.index("max_above").n, found.index("max_above_b").n, found.index("matched_above").n) == (300, 100, 100)
    assert len(found.pairs) >= 100
    smaller, larger, order = planted(rng, 0.0, n_b=200)
    found = compare_dictionaries(smaller, larger, draws=0)
    assert shared(smaller, larger).value == shared(larger, smaller).value == 1.0
    assert found.index("max_above").value == pytest.approx(np.mean(order < 200), abs=0.01)


def test_chance_is_what_unrelated_directions_reach(rng):
    a, b, _ = planted(rng, 0.8)
    unrelated, found = dictionary(*rng.standard_normal((2, N, D))), compare_dictionaries(a, b, draws=3)
    none = compare_dictionaries(a, unrelated, draws=0)
    for index in found.indices:
        assert index.chance_low <= index.chance <= index.chance_high
        assert abs(index.chance - none.index(index.name, index.weights).value) < 0.02, index
    assert found.index("mean_matched_signed_cos").chance_low < found.index("mean_matched_signed_cos").chance_high
    again = compare_dictionaries(a, b, draws=3, threads=2)
    assert [i.chance for i in again.indices] == [i.chance for i in found.indices]
    assert [i.chance for i in compare_dictionaries(a, b, draws=3, root_seed=1).indices] != [
        i.chance for i in found.indices
    ]
    assert np.isnan(compare_dictionaries(a, b, draws=0).indices[0].chance)


def test_a_shared_start_is_seen_in_the_weights_and_beside_known_ones(rng):
    start = rng.standard_normal((N, D))
    a, b = (dictionary(start + 0.6 * rng.standard_normal((N, D))) for _ in range(2))
    found = compare_dictionaries(a, b, draws=0, initial=(start, start))
    assert found.traces[-1].name == "shared_init"
    assert found.traces[-1].value == 1.0
    assert found.index("mean_matched_signed_cos").initial == pytest.approx(1.0)
    assert np.isnan(found.index("same_partner_fraction", "both").initial)
    apart = compare_dictionaries(a, planted(rng, 0)[1], draws=0, initial=(start, rng.standard_normal((N, D))))
    assert apart.traces[-1].value == 0.0
    assert apart.index("mean_matched_signed_cos").initial < 0.5
    with pytest.raises(InputError, match="initial of a and b must be of shapes"):
        compare_dictionaries(a, b, initial=(start, start[:5]))


def test_latents_of_zeros_and_unused_ones_are_left_out_and_counted(rng):
    a, b, order = planted(rng, 0.0)
    a.W_dec[:3] = 0
    a.W_enc[:, 2:5] = 0
    used = np.arange(N) >= 10
    found = compare_dictionaries(a, b, used=(None, used), draws=0, names=("A", "B"))
    assert [int(mask.sum()) for mask in found.compared] == [N - 5, N - 10]
    assert found.warnings == (
        "Latents of A left out: 5 with weights of zero.",
        "Latents of B left out: 10 that hardly ever fire in their run.",
    )
    kept = [i for i in range(5, N) if order[i] >= 10]
    pairs = found.pairs[found.pairs["cos_decoder"] > 0.999]
    np.testing.assert_array_equal(pairs[["latent_a", "latent_b"]], [(i, order[i]) for i in kept])


def test_a_dictionary_and_itself(rng):
    a, _, _ = planted(rng, 0)
    found = compare_dictionaries(a, a, draws=0)
    assert found.identical
    assert (found.pairs["latent_a"] == found.pairs["latent_b"]).all()
    assert max(found.certificates.values()) < 1e-6


REFUSED = {
    "d_in of a and b must be equal; got 48 and 47": lambda a: dictionary(a.W_dec[:, 1:]),
    "model of a and b must be one; got a says gpt2, b says EleutherAI/pythia": lambda a: replace(
        a, metadata={"model": "EleutherAI/pythia"}
    ),
    "hook point of a and b must be one": lambda a: replace(a, metadata={"hook_point": "blocks.1.hook_resid_post"}),
    "output hook point of a and b must be one; got a says out, b says elsewhere": lambda a: replace(
        a, metadata={"hook_point_out": "elsewhere"}
    ),
    "decoder weights of b must be finite; got 1 latents": lambda a: replace(
        a, W_dec=torch.where(torch.arange(N)[:, None] == 7, torch.nan, a.W_dec)
    ),
    "encoder weights of b must be finite; got 300 latents": lambda a: replace(
        a, W_enc=torch.where(torch.arange(D)[:, None] == 7, torch.inf, a.W_enc)
    ),
    "latents of b must be at least one": lambda a: replace(a, W_dec=torch.zeros_like(a.W_dec)),
    "b of compare_dictionaries must be a SparseAutoencoder": lambda a: a.W_dec,
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_has_no_cosine_is_refused(said, rng):
    a, _, _ = planted(rng, 0)
    with pytest.raises(InputError, match=said):
        compare_dictionaries(a, REFUSED[said](a))


def test_metadata_are_read_as_people_write_them_and_may_be_ignored(rng):
    a, b, _ = planted(rng, 0)
    same = replace(b, metadata={"model": "openai-community/gpt2-small", "hook_point": "blocks.0.hook_resid_post"})
    assert compare_dictionaries(a, same, draws=0).warnings == ()
    silent = compare_dictionaries(
        a, replace(b, metadata={"warning": "half trained"}, normalisation="layer_norm"), draws=0
    )
    assert [text.split(" ")[0:2] for text in silent.warnings] == [
        ["Which", "model"], ["Which", "hook"], ["Their", "inputs"], ["b:", "half"],
    ]  # fmt: skip
    other = replace(b, metadata={**a.metadata, "model": "gpt2-medium"})
    found = compare_dictionaries(a, other, draws=0, ignore_metadata=True)
    assert found.warnings == ("By their metadata they do not share a model: a says gpt2, b says gpt2-medium.",)


def test_transcoders_of_one_place_have_two_spaces(rng):
    w, out = rng.standard_normal((N, D)), rng.standard_normal((N, 20))
    order = rng.permutation(N)
    a, b = (
        dictionary(decoder, encoder, subtract_b_dec=False) for decoder, encoder in ((out, w), (out[order], w[order]))
    )
    found = compare_dictionaries(a, b, draws=1).index("paulo_shared_fraction", "both")
    assert (found.value, found.chance) == (1.0, 0.0)


@pytest.mark.parametrize("other", PEERS, ids=lambda path: path.name)
def test_dictionaries_of_every_format_are_compared(other):
    """A format's dictionary with its latents in another order, against the same read from its files."""
    sae = load_sae(other)
    order = np.random.default_rng(0).permutation(sae.d_sae)
    weights = sae.W_dec.numpy()[order], sae.W_enc.numpy().T[order]
    turned = dictionary(*weights, metadata={}, normalisation=sae.normalisation)
    found = compare_dictionaries(sae, turned, draws=0)
    assert found.index("paulo_shared_fraction", "both").value == 1.0
    np.testing.assert_array_equal(order[found.pairs["latent_b"]], found.pairs["latent_a"])
