"""Parts of the training text: what is kept, and what a recipe may say of them."""

import numpy as np
import pandas as pd
import pytest

from pipelines.corpus.mix import MixConfig, mix_mask
from pipelines.plan import build_plan
from pipelines.recipe import Recipe, load_recipe
from universality.errors import InputError

TWO = ["mixes={a: {without: [dna]}}", "models.data=[a, null]"]


@pytest.fixture
def texts():
    """Two domains of twenty sources with three documents each, one of which is held out of training."""
    rows = [
        (domain, 100 * number + i, part, 50 + 7 * i)
        for number, domain in enumerate(("prose", "dna"))
        for i in range(20)
        for part in ("sae_a", "sae_b", "score")
    ]
    return pd.DataFrame(rows, columns=["domain", "source_group", "part", "n_bytes"])


def kept(texts, root_seed=0, **settings):
    return texts[mix_mask(texts, MixConfig(**settings), "a", root_seed)]


def test_a_mix_keeps_training_documents_of_its_domains(texts):
    for settings in ({"domains": ["prose"]}, {"without": ["dna"]}):
        chosen = kept(texts, **settings)
        assert set(chosen["domain"]) == {"prose"}
        assert set(chosen["part"]) == {"sae_a", "sae_b"}
        assert len(chosen) == 40


@pytest.mark.parametrize("seed", range(5))
def test_two_halves_share_no_source_and_are_of_like_size_in_every_domain(texts, seed):
    first, second = (kept(texts, seed, half=half) for half in ("first", "second"))
    assert len(first) + len(second) == 80
    for domain in ("prose", "dna"):
        one, other = (half[half["domain"] == domain] for half in (first, second))
        assert not set(one["source_group"]) & set(other["source_group"])
        assert abs(one["n_bytes"].sum() - other["n_bytes"].sum()) <= 2 * texts["n_bytes"].max()
    assert not kept(texts, seed + 10, half="first").index.equals(first.index)


def test_a_domain_that_the_corpus_lacks_is_named(texts):
    with pytest.raises(InputError, match=r"mix 'a'.*dna, prose.*'rna'"):
        kept(texts, without=["rna"])
    with pytest.raises(InputError, match="training documents"):
        kept(texts[texts["domain"] == "dna"], without=["dna"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "must leave something out"),
        ({"domains": ["dna"], "without": ["prose"]}, "got both"),
        ({"domains": []}, "at least 1"),
    ],
)
def test_a_mix_that_says_nothing_or_too_much_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MixConfig(**settings)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["models.data=[a, null]"], "mixes is empty"),
        (["mixes={a: {without: [dna]}}", "models.data=[a]"], "one entry per model seed"),
        (["mixes={'A b': {without: [dna]}}"], "small letters"),
        (["mixes={a: {without: [dna]}}", "models.data=[a, b]"], "'b'"),
    ],
)
def test_recipes_that_name_no_mix_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        load_recipe("tiny", overrides)


def test_only_the_model_of_a_mix_has_another_key():
    before, after = (build_plan(load_recipe("tiny", overrides)).keys() for overrides in ([], TWO))
    assert after["transformer/m0"] != before["transformer/m0"]
    for name in ("tokens", "tokenizer", "transformer/m1", "transformer/u0", "latents/main/m1"):
        assert after[name] == before[name]
    assert set(after) - set(before) == {
        "mix/a", "domain_losses/main/m0", "domain_losses/main/m1", "unseen_domains/main",
    }  # fmt: skip


def test_a_recipe_without_mixes_is_written_as_it_was():
    plain, mixed = (load_recipe("tiny", overrides).resolved() for overrides in ([], TWO))
    assert "mixes" not in plain
    assert "data" not in plain["models"]
    assert Recipe.model_validate(mixed).resolved() == mixed
    assert mixed["models"]["data"] == ["a", None]


def test_a_mix_that_no_model_reads_makes_no_node():
    plan = build_plan(load_recipe("tiny", ["mixes={a: {without: [dna]}}"]))
    assert "mix/a" not in plan
    assert np.all([node.step != "domain_losses" for node in plan])
