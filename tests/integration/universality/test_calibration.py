"""Calibration on planted worlds, the chance level where nothing is shared, and shams that must fail there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from universality.compare import CompareConfig, compare
from universality.compare.chance import Significance
from universality.correlation.nested import NestedRows
from universality.nulls import benjamini_hochberg
from universality.planted import PlantConfig, Planted, plant
from universality.planted.calibration import Setting, calibrate, matched, pooled, prepare
from universality.rows import Rows

# Without other halves: probabilities of classes have no part in p, q and levels.
CONFIG = CompareConfig(n_resamples=20, n_resplits=0, min_firings=10)
#: Latents that fire from about 10 to 10,000 times in a half, everywhere or in a handful of documents.
NOTHING = PlantConfig(
    n_universal=0, n_shared=0, n_specific=400, n_unstable=0, n_decodable=0, n_split=0, n_domain=0, n_token=0,
    n_position=0, n_untrained=0, n_dead=0, n_rare=0, d_in=2, n_rows=100_000, n_documents=400,
    max_rate=0.2, min_rate=0.0003, burst=0.02,
)  # fmt: skip
SEEDS = range(7)


@cache
def nothing(seed: int) -> Planted:
    # Without labels no time goes into the within-domain null, which has no part in p and q.
    return replace(plant(NOTHING, root_seed=300 + seed), domains=None, tokens=None)


def families(seeds: range = SEEDS) -> pd.DataFrame:
    """Every alive latent of both sides of every (world, pair): its firings, documents, r, p and q."""
    parts = []
    for seed in seeds:
        stages = matched(prepare(nothing(seed), CONFIG, seed, threads=1), "assignment")
        for pair in combinations(stages.models, 2):
            for model, other in (pair, pair[::-1]):
                partners, dictionary = stages.partners(model, other), stages.dictionaries[model]
                p = np.ones(dictionary.d_sae)
                table, end = stages.matchings[pair].pairs, "a" if model == pair[0] else "b"
                p[table[f"latent_{end}"]] = table["p"]
                values = {
                    "firings": dictionary.statistics.firings_score,
                    "documents": dictionary.statistics.documents_score,
                    "p": p,
                    "q": partners.q,
                    "r": partners.r,
                }
                part = pd.DataFrame({name: value[dictionary.alive] for name, value in values.items()})
                parts.append(part.assign(family=f"{seed}:{'-'.join(pair)}"))
    return pd.concat(parts, ignore_index=True)


def discovering(table: pd.DataFrame) -> float:
    """Share of (world, pair) families with a discovery."""
    return float((table["q"] < 0.05).groupby(table["family"]).any().mean())


def below_by_stratum(table: pd.DataFrame) -> pd.Series:
    """P(p < .05) by decade of firings and octave-pair of documents, where a stratum has 200 latents or more."""
    decade = np.floor(np.log10(table["firings"])).astype(int)
    spread = np.floor(np.log2(table["documents"]) / 2).astype(int)
    grouped = (table["p"] < 0.05).groupby([decade, spread])
    return grouped.mean()[grouped.size() >= 200]


@cache
def honest() -> pd.DataFrame:
    return families()


def discoveries_and_worst_stratum(table: pd.DataFrame) -> tuple[float, float]:
    """What the control bounds by .05 and by .06."""
    return discovering(table), float(below_by_stratum(table).max())


# --- nothing shared -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_world_reaches_from_ten_firings_to_ten_thousand_and_from_one_document_to_all() -> None:
    table = honest()
    assert table["firings"].min() < 15
    assert table["firings"].max() > 8_000
    assert table["documents"].min() <= 2
    assert table["documents"].max() >= 190
    assert len(below_by_stratum(table)) >= 6


@pytest.mark.slow
def test_nothing_shared_gives_no_discovery_and_honest_p_values_in_every_stratum() -> None:
    assert honest()["family"].nunique() == 21
    families_with_any, worst = discoveries_and_worst_stratum(honest())
    assert families_with_any <= 0.05
    assert worst <= 0.06


def test_a_sure_class_is_that_of_other_text_too_and_an_unsure_one_often_is_not() -> None:
    """One half of the documents, then the other, at an r around tau; docs/CALIBRATION.md has more worlds."""
    planted = plant(
        PlantConfig(n_twin=15), root_seed=0, noise=0.6, miss=0.25, spurious=0.25, n_rows=40_000, n_documents=320,
        n_untrained=0, d_in=2,
    )  # fmt: skip
    first = np.isin(planted.documents, np.random.default_rng(0).permutation(320)[:160])
    config = CompareConfig.model_validate({"n_resamples": 20})
    tables = [
        compare(
            {name: acts[rows] for name, acts in planted.acts.items()}, documents=planted.documents[rows],
            domains=planted.domains[rows], config=config,
        ).features.query("status == 'alive'").set_index(["model", "latent"])
        for rows in (first, ~first)
    ]  # fmt: skip
    one, other = tables[0].align(tables[1], join="inner", axis=0)
    same = one["class"] == other["class"]
    # Without drawing sources within the halves .95 and .91: halves of one text differ by less than two texts do.
    assert same[one["class_probability"] == 1].mean() > 0.98
    assert same[one["class_probability"] >= 0.9].mean() > 0.94
    assert same[one["class_probability"] < 0.7].mean() < 0.6
    assert (one["class_probability"] < 0.7).sum() > 50


@pytest.mark.parametrize("seed", range(3))
def test_two_true_pairs_among_many_unrelated_latents_are_found(seed: int) -> None:
    """The null of a stratum has some 4,000 values: by counting alone nothing below q = .1 can come out of it."""
    planted = plant(
        NOTHING, root_seed=seed, n_universal=2, n_specific=1_500, n_models=2, n_rows=20_000, n_documents=160,
        max_rate=0.02, min_rate=0.006,
    )  # fmt: skip
    stages = prepare(planted, CONFIG, seed)
    pairs = stages.with_matchings(token_interval=False).matchings["m0", "m1"].pairs
    truth = planted.truth[planted.truth["kind"] == "universal"].pivot(columns="model", index="feature", values="latent")
    true = [((pairs["latent_a"] == row["m0"]) & (pairs["latent_b"] == row["m1"])) for _, row in truth.iterrows()]
    true = np.logical_or.reduce(true)
    assert true.sum() == 2
    assert (pairs.loc[true, "q"] < 0.01).all()
    assert (pairs["q_min"] < 0.05).all()
    assert (pairs.loc[~true, "q"] < 0.05).sum() <= 1


# --- shams: the controls can fail ---------------------------------------------------------------------------


def test_without_the_null_the_control_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A textbook test of r takes tokens for independent and knows no bursts."""

    def textbook(r, indices_a, indices_b, null, pair) -> Significance:
        n = pair.rows.n_rows // 2
        p = np.maximum(stats.t.sf(r * np.sqrt((n - 2) / np.maximum(1 - r**2, 1e-12)), n - 2), 1e-300)
        m = max(min(pair.a.n_alive, pair.b.n_alive), r.size)
        return Significance(p, benjamini_hochberg(p, m=m), np.zeros(r.size), np.full(r.size, np.nan))

    monkeypatch.setattr("universality.compare.pairing.significance", textbook)
    families_with_any, worst = discoveries_and_worst_stratum(families(range(1)))
    assert families_with_any > 0.05
    assert worst > 0.06


def test_without_the_split_the_control_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scored on the rows they were chosen on, partners are the best of many once more."""
    monkeypatch.setattr(Rows, "score", property(lambda self: self.fit))
    families_with_any, worst = discoveries_and_worst_stratum(families(range(1)))
    assert families_with_any > 0.05
    assert worst > 0.06


DOMAINS = PlantConfig(n_domain=6, n_domains=6, n_universal=10, n_specific=20, n_split=0)
NOISE = Setting(0.2, 0.1, n_rows=24_000)


def without_documents(rows: Rows) -> NestedRows:
    """Neither domains nor documents are taken off."""
    return NestedRows(replace(rows, documents=np.arange(rows.n_rows), domains=None, domain_names=None), 3.0)


def believe_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("universality.compare.levels.nested_rows", without_documents)
    monkeypatch.setattr("universality.compare.levels.is_complete", lambda rows: True)


def domain_decoys_called_finer() -> float:
    # What fires in a third of a domain agrees at r = 0.1 to 0.4: below that, nothing is called anything.
    rule = CompareConfig(n_resamples=20, n_resplits=0, tau=0.15)
    found = calibrate([NOISE], ("assignment",), n_seeds=2, world=DOMAINS, config=rule, threads=1)
    table = pooled(found).set_index("class")
    assert table.loc["decoy_domain", "n_called"] >= 20
    return table["fdr"].to_dict()["decoy_domain"]


def test_domain_decoys_are_called_domain() -> None:
    assert domain_decoys_called_finer() == 0.0


def test_without_the_level_the_control_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no domain is taken off, whatever marks one looks like more."""
    believe_it(monkeypatch)
    assert domain_decoys_called_finer() > 0.5


# --- calibration --------------------------------------------------------------------------------------------


#: The other two cost more and are measured by ``universality calibrate``.
TRIED = ("assignment", "max")


@cache
def documented() -> pd.DataFrame:
    return calibrate([NOISE], TRIED, n_seeds=3, threads=1)


def test_classes_are_right_at_the_documented_noise() -> None:
    table = documented()
    table = table[table["class"].isin(["universal", "specific"])]
    assert len(table) == 2 * 3 * len(TRIED)
    assert table[["precision", "recall"]].min().min() >= 0.95


def test_true_pairs_are_found_and_no_others() -> None:
    table = pooled(documented()).set_index(["class", "matcher"])
    pairs = table.loc["pairs"]
    assert pairs["recall"].min() >= 0.95
    assert pairs["fdr"].max() <= 0.05
    assert table.loc["decoy_edges", "fdr"].max() <= 0.05


def test_one_to_one_assignment_tells_twins_apart_better_than_the_best_partner() -> None:
    world = PlantConfig(n_twin=50, n_universal=10, n_specific=10, n_split=0)
    setting = Setting(0.6, 0.25, n_rows=24_000, n_models=2)
    hard = pooled(calibrate([setting], ("assignment", "max"), n_seeds=2, world=world, threads=1))
    twins = hard[hard["class"] == "twins"].set_index("matcher")
    assert twins.loc["assignment", "precision"] > twins.loc["max", "precision"]
    assert twins.loc["assignment", "recall"] > twins.loc["max", "recall"]


def document_decoys_called_finer(density: float) -> float:
    world = PlantConfig(n_document=10, document_density=density, n_universal=20, n_specific=20, n_split=0)
    table = pooled(calibrate([NOISE], ("assignment",), n_seeds=2, world=world, threads=1)).set_index("class")
    assert table.loc["decoy_document", "n_called"] >= 20
    return table["fdr"].to_dict()["decoy_document"]


@pytest.mark.parametrize("density", [0.3, 0.9])
def test_what_shares_few_documents_is_called_document_or_coarser(density: float) -> None:
    assert document_decoys_called_finer(density) == 0.0


def test_without_document_means_the_control_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no document is taken off, what is on all over a few of them looks like more."""
    believe_it(monkeypatch)
    assert document_decoys_called_finer(0.9) > 0.5


def test_counts_and_ratios_belong_together() -> None:
    table = documented()
    assert (table["n_correct"] <= table["n_called"]).all()
    assert table[["precision", "recall", "fdr"]].stack().between(0, 1).all()
    np.testing.assert_allclose(table["fdr"], 1 - table["precision"])
    again = calibrate([NOISE], ("max",), n_seeds=1, threads=1)
    same = table[(table["matcher"] == "max") & (table["seed"] == 0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, same)
