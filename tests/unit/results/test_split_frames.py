"""What becomes of features in larger dictionaries: rows in reading order, means over models, one sentence."""

import numpy as np
import pandas as pd
import pytest
from synthetic_splitting import split_agreement_of, splitting_of

from results.split_frames import (
    ORPHAN,
    SPLIT_KINDS,
    agreement_rows,
    children_of,
    features_to_follow,
    sizes_words,
    split_rows,
    split_sentence,
)  # fmt: skip


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    tables = [splitting_of(rng, model)["splits_by_size"] for model in ("m0", "m1")]
    return pd.concat(tables, ignore_index=True).drop(columns="study_id")


def test_rows_go_by_model_sizes_and_kinds_with_orphans_last(table):
    rows = split_rows(table.sample(frac=1, random_state=0))
    assert list(rows["kind"][:6]) == [*SPLIT_KINDS, ORPHAN]
    assert list(dict.fromkeys(rows["sizes"])) == ["64 to 128", "64 to 256", "128 to 256"]
    assert list(dict.fromkeys(rows["series"])) == ["m0", "m1"]
    assert list(dict.fromkeys(split_rows(table.assign(point="k 8"))["series"])) == ["m0, k 8", "m1, k 8"]


def test_sizes_are_thousands_where_they_come_out_even():
    assert sizes_words(512, 4096) == "512 to 4k"
    assert sizes_words(1000, 131072) == "1,000 to 128k"


def test_agreement_is_weighted_by_the_latents_asked():
    table = split_agreement_of(np.random.default_rng(0), ["m0", "m1"])
    table.loc[(table["model"] == "m0") & (table["other_model"] == "m1"), "n_asked"] = 300
    rows = agreement_rows(table).set_index(["measure", "sizes", "who"])
    across = table[(table["measure"] == "same_parent") & (table["d_sae"] == 64) & (table["child_d_sae"] == 128)]
    across = across.set_index(["model", "other_model"])["value"]
    row = rows.loc[("same_parent", "64 to 128", "models")]
    assert row["value"] == pytest.approx(0.75 * across["m0", "m1"] + 0.25 * across["m1", "m0"])
    assert row["n_asked"] == 400
    assert np.isnan(rows.loc[("rescued", "64 to 128", "one model"), "value"])


def test_the_sentence_tells_the_smallest_in_the_largest_beside_the_control(table):
    means = table[(table["d_sae"] == 64) & (table["child_d_sae"] == 256)].groupby("kind")[["share", "control"]].mean()
    told = split_sentence(table)
    assert told.startswith("Of the features of dictionaries of 64 latents, in one of 256 (in brackets: ")
    split = means.loc["split"]
    assert f"{100 * split['share']:.0f} % are split ({100 * split['control']:.0f} %)" in told
    assert "20 % of the latents there have no parent (15 %)" in told
    absorbed = table["kind"] == "absorbed"
    assert "absorbed" not in split_sentence(table.assign(share=table["share"].mask(absorbed)))
    assert split_sentence(table[:0]) == ""


def test_a_feature_is_followed_size_by_size_through_dictionaries_of_other_seeds():
    tree = splitting_of(np.random.default_rng(0), "m0")["split_tree"]
    features = features_to_follow(tree, "m0")
    assert set(features["d_sae"]) == {64}
    assert set(features["child_d_sae"]) == {128}
    assert (features["sae_seed"] != features["child_sae_seed"]).all()
    assert features["kind"].iloc[0] == "split"
    assert not features.duplicated(["sae_seed", "latent", "child_sae_seed"]).any()
    first = features.iloc[0]
    children = children_of(tree, "m0", 64, first["sae_seed"], first["latent"])
    assert len(children) == first["n_children"]
    assert children["share"].is_monotonic_decreasing
    child = children.iloc[0]
    grandchildren = children_of(tree, "m0", child["d_sae"], child["sae_seed"], child["latent"])
    assert set(grandchildren["d_sae"]) == {256}
    assert (grandchildren["parent_latent"] == child["latent"]).all()
    assert children_of(tree, "m0", 256, 0, 3).empty
