"""One row per label: means counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from results.probe_frames import explanation_summary, probe_summary
from results.schema import MADE


def probe(label, kind, a, b, transfer, auc=0.8):
    return {"label": label, "kind": kind, "model_a": a, "latent_a": 1, "model_b": b, "latent_b": 2, "best_latent": 3,
            "n_rows": 70, "mcc": 0.5, "auc": auc, "auc_best": 0.9, "transfer": transfer}  # fmt: skip


def test_a_label_has_the_means_of_its_kinds_over_both_directions():
    rows = [
        probe("line_start", "matched", "m0", "m1", 0.5, 0.7), probe("line_start", "matched", "m1", "m0", 0.9, 0.9),
        probe("line_start", "matched", "m0", "m2", None, 0.7), probe("line_start", "hard_exchange", "m0", "m1", 0.1),
        probe("line_start", "floor", "u0", "u1", 0.3, 0.6), probe("digit", "matched", "m0", "m1", 1.0, 0.95),
    ]  # fmt: skip
    table = MADE["probes"].typed(pd.DataFrame(rows, columns=pd.Index(MADE["probes"].names)))
    found = probe_summary(table)
    assert found["label"].tolist() == ["digit", "line start"]
    row = found.iloc[1]
    assert (row["auc"], row["matched"], row["low"], row["high"]) == pytest.approx((0.8, 0.7, 0.5, 0.9))
    assert (row["hard_exchange"], row["floor"]) == pytest.approx((0.1, 0.3))
    assert pd.isna(row["ceiling"])
    assert probe_summary(table.iloc[:0]).empty


def test_explanations_stand_by_partner_over_edges_and_then_by_level():
    rows = [
        {"kind": kind, "level": level, "n": 9, "own": 0.4, "score": 0.3, "transfer": 0.75}
        for kind in ("floor", "matched", "hard_exchange") for level in ("all_pairs", "edges", "token", "context")
    ]  # fmt: skip
    names = MADE["explanation_transfer"].names
    found = explanation_summary(MADE["explanation_transfer"].typed(pd.DataFrame(rows, columns=pd.Index(names))))
    assert list(zip(found["kind"], found["level"], strict=True)) == [
        ("matched", "edges"), ("hard_exchange", "edges"), ("floor", "edges"),
        ("matched", "context"), ("matched", "token"),
    ]  # fmt: skip
    assert found["partner"].iloc[3] == "matched, level context"
