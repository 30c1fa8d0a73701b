"""What features do, in lists and figures: one number per pair, controls kept apart."""

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from results.effect_frames import effect_curve, effect_pairs, effect_rows
from results.effect_lists import ablated, effects_within
from results.pair_lists import EFFECTS, PairFilter, listed_pairs, sort_pairs
from results.stored_comparison import StoredComparison
from results.words import EFFECT_PARTNERS


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredComparison:
    return StoredComparison(write_synthetic_run(str(tmp_path_factory.mktemp("store"))), "main")


def test_a_pair_has_the_effect_of_its_assigned_partner(stored: StoredComparison) -> None:
    listed, effects = listed_pairs(stored), stored.table("effects")
    assert len(listed) == len(stored.table("pairs"))
    row = listed.iloc[5]
    same = (
        effects[["model_a", "latent_a", "model_b", "latent_b"]] == row[["model_a", "latent_a", "model_b", "latent_b"]]
    )
    of = effects[same.all(axis=1) & (effects["kind"] == "matched")]
    assert len(of) == 1
    assert of["r_effect_both"].iloc[0] == row["r_effect_both"]


def test_pairs_are_found_and_ordered_by_what_they_do(stored: StoredComparison) -> None:
    listed = listed_pairs(stored)
    found = PairFilter(effects=["other_effect"]).rows(listed, stored, 0.05)
    assert 0 < len(found) < len(listed)
    assert set(found["effect_class"]) == {"other_effect"}
    ordered = sort_pairs(listed, "Least alike in what they do")["r_effect_both"].dropna()
    assert ordered.is_monotonic_increasing


def test_a_run_without_effects_lists_its_pairs_all_the_same(stored: StoredComparison, monkeypatch) -> None:
    fresh = StoredComparison(stored.run, "main")
    whole = StoredComparison.optional
    monkeypatch.setattr(StoredComparison, "optional", lambda s, name: None if name == "effects" else whole(s, name))
    listed = listed_pairs(fresh)
    assert len(listed) == len(stored.table("pairs"))
    assert listed[list(EFFECTS)].isna().all(axis=None)


def test_frames_hold_edges_of_all_pairs_in_the_order_of_the_partners(stored: StoredComparison) -> None:
    rows = effect_rows(stored.table("effect_agreement"))
    assert list(rows["kind"]) == [kind for kind in EFFECT_PARTNERS if kind in set(rows["kind"])]
    pairs = effect_pairs(stored.table("effects"))
    assert rows.set_index("kind").loc["matched", "n"] == len(pairs)
    assert np.isclose(rows.set_index("kind").loc["matched", "r_effect"], pairs["r_effect"].mean())
    curve = effect_curve(stored.table("substitution_curve"))
    own = stored.table("substitution_curve").query("kind == 'matched'").groupby(["model_a", "model_b"]).head(1)
    assert curve.query("kind == 'matched'")["recovered"].iloc[0] == pytest.approx(own["recovered"].mean())


def test_features_and_clusters_have_the_effects_of_their_own(stored: StoredComparison) -> None:
    table = stored.table("latent_effects")
    row = table[(table["model"] == "m1") & (table["n_rows"] > 0)].iloc[3]
    assert ablated(stored, "m1", int(row["latent"]))["loss_change"] == row["loss_change"]
    assert ablated(stored, "m1", 10**6) is None
    pair = listed_pairs(stored).query("edge").iloc[0]
    members = pd.DataFrame([[pair[f"{what}_{side}"] for what in ("model", "latent")] for side in "ab"])
    members = members.set_axis(["model", "latent"], axis=1)
    assert effects_within(stored, members).tolist() == [pair["r_effect_both"]]
    assert effects_within(stored, members.iloc[:1]).empty
