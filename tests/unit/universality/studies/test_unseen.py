"""Features of domains that a model never saw: counted where they are, and told from what all models saw."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from results.unseen_frames import missing_counts
from universality.rows import Rows
from universality.studies.unseen import domain_of_latents, unseen_domains

DOMAINS = ("known", "hidden")
#: m0 and m1 saw both domains, m2 never saw the second.
SEEN = np.array([[True, True], [True, True], [True, False]])
LOSSES = np.array([[1.0, 2.0], [1.1, 2.1], [1.2, 9.0]])


def matching(r, n_resamples=40):
    """Every latent assigned to its own number, but those of r 0."""
    latents = np.flatnonzero(r)
    pairs = pd.DataFrame({"latent_a": latents, "latent_b": latents, "r_held_out": r[latents]})
    rng = np.random.default_rng(len(latents))
    draws = (r[latents, None] + rng.normal(0, 0.01, (latents.size, n_resamples))).astype(np.float32)
    made = SimpleNamespace(pairs=pairs, resampled=draws)
    made.swapped = lambda: SimpleNamespace(pairs=pairs, resampled=draws)
    return made


@pytest.fixture
def world():
    """Eight latents a model: four of the known domain, three of the hidden one, one of neither; m2 lacks the hidden."""
    domain_of = {name: np.array([0, 0, 0, 0, 1, 1, 1, -1]) for name in ("m0", "m1", "m2")}
    alive = {name: np.array([True] * 7 + [False]) for name in domain_of}
    alive["m1"] = np.array([True] * 8)
    full, without = np.full(8, 0.8), np.array([0.7] * 4 + [0.1, 0.1, 0.0, 0.7])
    matchings = {("m0", "m1"): matching(full), ("m0", "m2"): matching(without), ("m1", "m2"): matching(without)}
    verdicts = [
        ("m0", 4, "m2", "absent"), ("m0", 5, "m2", "weak"), ("m0", 6, "m2", "decodable"),
        ("m1", 4, "m2", "absent"), ("m1", 5, "m2", "unstable"), ("m1", 6, "m2", "near_threshold"),
        ("m1", 0, "m0", "absent"), ("m2", 4, "m0", "absent"),
    ]  # fmt: skip
    columns = ["model", "latent", "other_model", "verdict"]
    return matchings, alive, domain_of, pd.DataFrame(verdicts, columns=columns)


def told(world, **changed):
    table = unseen_domains(*world, SEEN, LOSSES, DOMAINS)
    return table.set_index(["domain", "model"])


def test_features_are_counted_where_their_own_model_saw_the_domain(world):
    table = told(world)
    hidden = table.loc[("hidden", "m2")]
    assert not hidden["seen"]
    assert hidden["loss"] == 9.0
    counted = {name: hidden[f"n_{name}"] for name in ("features", "missing", "rearranged", "unstable", "undecided")}
    assert counted == {"features": 6, "missing": 3, "rearranged": 1, "unstable": 1, "undecided": 1}
    # m2's own latents of the hidden domain are nobody's features: it was never trained on it.
    assert table.loc[("hidden", "m0"), "n_features"] == 3
    assert table.loc[("known", "m0"), "n_missing"] == 1


def test_r_counts_those_without_a_partner_as_nothing(world):
    table = told(world)
    assert table.loc[("hidden", "m2"), "r"] == pytest.approx((0.1 + 0.1 + 0.0) / 3)
    assert table.loc[("hidden", "m1"), "r"] == pytest.approx(0.8)


def test_the_difference_in_differences_takes_off_what_a_model_lacks_of_every_domain(world):
    hidden = told(world).loc[("hidden", "m2")]
    # On the way to m2 features of the hidden domain lose 0.8 - 0.0667 beside the other model; those of the known, 0.1.
    assert hidden["did"] == pytest.approx((0.2 / 3 - 0.8) - (0.7 - 0.8))
    assert hidden["did_low"] < hidden["did"] < hidden["did_high"] < 0
    assert told(world)["did"].notna().sum() == 1


def test_where_all_models_see_all_text_nothing_is_told_of_differences(world):
    table = unseen_domains(*world, np.ones((3, 2), bool), LOSSES, DOMAINS)
    assert table["did"].isna().all()
    assert missing_counts(table)["asked"] == 0


def test_precision_and_recall_leave_out_what_is_unstable(world):
    counts = missing_counts(unseen_domains(*world, SEEN, LOSSES, DOMAINS))
    # Of six features five are stable, of which three are missing; one of the known domain is called missing too.
    assert counts.pop("partnered_seen") == 29
    assert counts == {"asked": 5, "asked_seen": 30, "rightly": 3, "missing": 4, "partnered": 0}


def test_a_latent_is_of_the_domain_that_holds_half_of_its_activation_on_fit_rows():
    fit = np.array([True] * 6 + [False] * 2)
    domains = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    acts = np.zeros((8, 4))
    acts[:3, 0], acts[3:6, 1] = 1.0, [2.0, 0.0, 1.0]
    acts[[0, 1, 3], 2] = [1.0, 0.5, 1.2]  # 1.5 against 1.2
    acts[6:, 3] = 5.0  # fires on score rows only
    rows = Rows(documents=np.arange(8), sources=np.arange(8), fit=fit, domains=domains, domain_names=DOMAINS)
    assert domain_of_latents(sparse.csr_matrix(acts), rows).tolist() == [0, 1, 0, -1]
