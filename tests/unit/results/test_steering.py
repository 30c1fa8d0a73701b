"""What a person means by a subject and strengths, prompts of doses, and models that several visitors steer at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from synthetic_run import write_synthetic_run

from results.dose_response import PROMPT_TOKENS, dose_response, neutral_prompts, other_member
from results.steered import doubt, steer_prompt
from results.steering import Member, Sampling, Steering, domain_of, members_of, strengths_of, strengths_text
from results.stored_comparison import StoredComparison
from results.transfer import quiet_contexts
from universality.errors import InputError


@pytest.fixture(scope="module")
def steering(tmp_path_factory):
    run = write_synthetic_run(
        str(tmp_path_factory.mktemp("steering")), n_models=2, n_latents=40, n_documents=60, n_ctx=32, n_untrained=0,
        replicates=False, loadable=True,
    )  # fmt: skip
    return Steering(StoredComparison(run, "main"))


@pytest.fixture(scope="module")
def members(steering):
    features = steering.stored.table("features")
    return members_of(steering.stored, str(int(features.loc[features["n_models"] == 2, "cluster"].iloc[0])))


def test_a_cluster_is_its_members_in_the_order_of_models(steering, members):
    features = steering.stored.table("features").set_index(["model", "latent"])
    assert [member.model for member in members] == ["m0", "m1"]
    assert len({int(features.loc[(m.model, m.latent), "cluster"]) for m in members}) == 1
    assert members_of(steering.stored, members[1].id) == [members[1]]
    domains = {features.loc[(m.model, m.latent), "top_domain"] for m in members}
    assert domain_of(steering.stored, members) in domains


def test_strengths_are_read_as_they_are_written(members):
    assert strengths_of(members, "2") == {"m0": 2, "m1": 2}
    assert strengths_of(members, " m1=-0.5, m0=1e1") == {"m0": 10, "m1": -0.5}
    assert strengths_of(members, "1,m1=3") == {"m0": 1, "m1": 3}
    for strengths in ({"m0": 2.0, "m1": 2.0}, {"m0": 0.25, "m1": -3.0}, {"m1": 7.0}):
        assert strengths_of(members, strengths_text(strengths)) == strengths
    for wrong in ("", "m0=", "=2", "inf", "m0=2,x", "101"):
        with pytest.raises(InputError, match="numbers from -100 to 100"):
            strengths_of(members, wrong)


def test_the_unit_is_the_95th_percentile_on_fit_rows(steering, members):
    member, stored = members[0], steering.stored
    acts = stored.acts(member.model).toarray()[:, member.latent]
    of_fit = acts[~stored.score_rows]
    row = stored.dictionary(member.model).W_dec[member.latent].numpy()
    expected = np.quantile(of_fit[of_fit > 0], 0.95) * row
    np.testing.assert_allclose(steering.push(member).vector, expected, rtol=1e-6)


def test_prompts_of_doses_are_held_out_text_of_every_other_domain(steering):
    text, stored = steering.stored.text, steering.stored
    prompts = neutral_prompts(steering, "dna")
    assert prompts.shape == (len(text.domains) - 1, PROMPT_TOKENS + 1)
    rows = steering.row_tokens
    windows = np.lib.stride_tricks.sliding_window_view(rows, PROMPT_TOKENS)
    for prompt in prompts:
        found = np.flatnonzero((windows == prompt[1:]).all(axis=1))
        assert any(stored.score_rows[i] and text.domain(i) != "dna" for i in found)


def test_doses_without_strength_are_those_of_the_model_as_it_is(steering, members):
    frame = dose_response(steering, members[:1], "dna", (0.0, 3.0), Sampling(4, 1))
    zero, three = (frame[frame["strength"] == strength] for strength in (0, 3))
    assert zero["share"].nunique() == zero["norm_ratio"].nunique() == 1
    assert (zero["kl"] == 0).all()
    assert (three["kl"] > 0).all()
    other = other_member(steering, members[0], "dna")
    assert other is not None
    features = steering.stored.table("features").set_index(["model", "latent"])
    assert features.loc[(other.model, other.latent), "top_domain"] != "dna"


def test_quiet_contexts_are_those_in_which_the_feature_is_silent(steering, members):
    stored, member = steering.stored, members[0]
    fired = np.bincount(np.asarray(stored.text.row_context)[stored.firing(member.model, member.latent).rows],
                        minlength=len(stored.text.contexts))  # fmt: skip
    for of_score in (True, False):
        chosen = quiet_contexts(steering, member, of_score)
        numbers = [int(np.flatnonzero((stored.text.contexts == context).all(axis=1))[0]) for context in chosen]
        of_half = np.isin(np.asarray(stored.text.row_context), numbers)
        assert (stored.score_rows[of_half] == of_score).mean() > 0.5
        assert fired[numbers].mean() < fired.mean()


def test_visitors_who_steer_one_model_at_once_do_not_reach_into_each_other(steering, members):
    def norm(strength):
        side = steer_prompt(steering, members[0], strength, "hello there", sampling=Sampling(6, 1))
        return side.effect.norm_ratio, side.effect.kl

    strengths = [0.0, 30.0, 0.0, 10.0, 0.0, 30.0, 1.0, 0.0]
    alone = [norm(strength) for strength in strengths]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(norm, strengths)) == alone


def test_a_broken_model_is_doubted(steering, members):
    usual = steer_prompt(steering, members[0], 0.0, "hello", sampling=Sampling(8, 2))
    assert doubt(usual) == ""
    broken = steer_prompt(steering, members[0], 100.0, "hello", sampling=Sampling(8, 2))
    assert "rather broken than steered" in doubt(broken)


def test_text_that_the_tokenizer_does_not_know_is_refused_by_its_characters(steering, monkeypatch):
    from tokenizers import Tokenizer, models, pre_tokenizers

    unknown = str(steering.stored.text.special_text[int(np.flatnonzero(steering.stored.text.special)[0])])
    core = Tokenizer(models.WordLevel({unknown: int(np.flatnonzero(steering.stored.text.special)[0]), "known": 5},
                                      unk_token=unknown))  # fmt: skip
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    other = Steering(steering.stored)
    monkeypatch.setattr(other, "_tokenizer", core, raising=False)
    assert other.encode("known known")[1:] == [5, 5]
    with pytest.raises(InputError, match=r"\['odd', 'ones'\]"):
        other.encode("known odd known ones")
    with pytest.raises(InputError, match="at least one token"):
        other.encode("  ")
    assert Member("m0", 3).id == "m0:3"
