"""What models write with features turned up, in tidy frames: counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from results.schema import MADE
from results.steering_frames import dose_rows, steering_summary, transfer_rows
from results.stored_comparison import StoredComparison

NAMES = ("steering_clusters", "steering_doses", "steering_transfer")


def table(name, rows):
    return MADE[name].typed(pd.DataFrame(rows, columns=pd.Index(MADE[name].names)))


def dose(model, kind, strength, share, draw=0, **more):
    where = {"cluster": 4, "domain": "dna", "model": model, "latent": 1, "kind": kind, "draw": draw}
    return {**where, "strength": strength, "share": share, "norm_ratio": 1 + strength / 10, **more}


def moved(model, arm, cosine, ratio=0.5, beta=2.0, **more):
    where = {"cluster": 4, "domain": "dna", "model": model, "latent": 1, "arm": arm, "draw": 0}
    return {**where, "beta": beta, "cosine": cosine, "ratio": ratio, **more}


CLUSTERS = table("steering_clusters", [
    {"domain": "dna", "hit": 0.9, "false_alarm": 0.0, "cluster": 4, "mcc": 0.7, "members": "m0:1;m1:1;m2:1"},
    {"domain": "html", "hit": 0.4, "false_alarm": 0.1, "cluster": 5, "mcc": 0.6, "members": "m0:2",
     "left_out": "not_told"},
])  # fmt: skip
DOSES = table("steering_doses", [
    *(dose(model, "own", x, share) for model, shares in (("m0", (0.0, 0.2, 0.6)), ("m1", (0.1, 0.3, 0.9)))
      for x, share in zip((0.0, 2.0, 8.0), shares, strict=True)),
    dose("m0", "random", 2.0, 0.02), dose("m1", "random", 2.0, 0.05, 1), dose("m0", "random", 8.0, 0.5),
    dose("m0", "other", 2.0, 0.01),
    {"cluster": 4, "domain": "dna", "model": "m2", "latent": 1, "kind": "own", "draw": 0, "problem": "no direction"},
])  # fmt: skip
TRANSFER = table("steering_transfer", [
    moved("m0", "own", 1.0, 1.0), moved("m0", "partner", 0.8, 0.9, other_model="m1"),
    moved("m1", "partner", 0.6, 0.7, other_model="m0"), moved("m0", "partner", -1.0, beta=4.0, other_model="m1"),
    moved("m0", "random", 0.1, 0.2),
    {"cluster": 4, "domain": "dna", "model": "m2", "latent": 1, "arm": "own", "draw": 0, "problem": "no direction"},
])  # fmt: skip


def test_a_summary_has_a_row_for_each_steered_cluster_at_the_strength_of_transfer():
    (row,) = steering_summary(CLUSTERS, DOSES, TRANSFER).to_dict("records")
    assert (row["domain"], row["cluster"], row["n_models"], row["strength"]) == ("dna", 4, 2, 2.0)
    assert row["without"] == pytest.approx(0.05)
    assert (row["steered"], row["low"], row["high"]) == pytest.approx((0.25, 0.2, 0.3))
    assert (row["random"], row["other"], row["norm_ratio"]) == pytest.approx((0.05, 0.01, 1.2))
    assert (row["t_partner"], row["ratio_partner"], row["t_random"]) == pytest.approx((0.7, 0.8, 0.1))
    assert pd.isna(row["t_hard_exchange"])
    assert row["problem"] == "no direction"


def test_without_the_usual_strength_the_nearest_is_told():
    other = DOSES[DOSES["strength"] != 2.0]
    (row,) = steering_summary(CLUSTERS, other, TRANSFER.iloc[:0]).to_dict("records")
    assert (row["strength"], row["steered"], row["random"]) == pytest.approx((8.0, 0.75, 0.5))
    nothing = steering_summary(CLUSTERS, DOSES[DOSES["problem"].notna()], TRANSFER.iloc[:0])
    assert (nothing["n_models"].item(), nothing["problem"].item()) == (0, "no direction")
    assert nothing["steered"].isna().all()
    assert steering_summary(CLUSTERS.iloc[1:], DOSES, TRANSFER).empty


def test_frames_of_figures_hold_what_was_measured(tmp_path):
    assert len(dose_rows(DOSES)) == len(DOSES) - 1
    assert transfer_rows(TRANSFER)["cosine"].tolist() == [0.8, 0.6, 0.1]
    assert transfer_rows(TRANSFER.iloc[:0]).empty
    stored = StoredComparison(write_synthetic_run(str(tmp_path), n_latents=60, n_documents=96), "main")
    summary = steering_summary(*(stored.table(name) for name in NAMES))
    assert len(summary) == 2
    assert (summary["steered"] > summary["random"]).all()
    assert (summary["problem"] != "").sum() == 1
