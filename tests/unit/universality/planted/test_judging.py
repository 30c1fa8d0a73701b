"""Called against true, counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from universality.compare import CompareConfig
from universality.planted import PlantConfig, plant
from universality.planted.calibration import Setting, calibrate, matched, pooled, prepare
from universality.planted.judging import decoy_table, exchanged, judge, judge_groups, judge_levels

#: model, latent, feature, kind, family, group
TRUTH = pd.DataFrame(
    [
        *[(model, 0, 0, "universal", -1, "partnered") for model in ("m0", "m1")],
        *[(model, 1, 1, "token", -1, None) for model in ("m0", "m1")],
        *[(model, 2, 2, "bigram", -1, None) for model in ("m0", "m1")],
        ("m0", 3, 3, "whole", -1, "rearranged"), ("m1", 3, 4, "piece", 3, "rearranged"),
        ("m0", 4, 5, "specific", -1, "missing"), ("m1", 4, 6, "specific", -1, "missing"),
    ],
    columns=["model", "latent", "feature", "kind", "whole", "expected_group"],
)  # fmt: skip


def edges(*rows: tuple[int, int, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["latent_a", "latent_b", "level"])
    return table.assign(model_a="m0", model_b="m1")


def counts(table: pd.DataFrame) -> dict[str, list[int]]:
    return table.set_index("class")[["n_called", "n_true", "n_correct"]].T.to_dict("list")


def test_levels_of_features_families_and_decoys_have_a_truth() -> None:
    table = judge_levels(TRUTH, edges((0, 0, "context"), (1, 1, "token"), (2, 2, "context"), (3, 3, "domain")))
    assert counts(table) == {
        "level_domain": [1, 0, 0], "level_token": [1, 1, 1], "level_bigram": [0, 1, 0], "level_context": [2, 2, 1],
    }  # fmt: skip
    by = table.set_index("class")
    assert by.loc["level_context", "precision"] == by.loc["level_context", "recall"] == 0.5
    assert by.loc["level_bigram", ["precision", "recall"]].tolist() == [1.0, 0.0]
    assert by["fdr"].to_dict()["level_domain"] == 1.0


def test_an_edge_between_different_features_is_wrong_at_every_level() -> None:
    assert counts(judge_levels(TRUTH, edges((4, 4, "token"), (0, 4, "context")))) == {
        "level_token": [1, 0, 0], "level_context": [1, 0, 0],
    }  # fmt: skip


def test_two_decoys_of_different_kinds_are_wrong_at_context_alone() -> None:
    assert counts(judge_levels(TRUTH, edges((1, 2, "token"), (2, 1, "context")))) == {"level_context": [1, 0, 0]}


def test_groups_are_counted_where_one_is_promised() -> None:
    groups = TRUTH[["model", "latent"]].assign(
        group=["partnered", "missing", *["partnered"] * 4, "partnered", "rearranged", "missing", "untested"]
    )
    assert counts(judge_groups(TRUTH, groups)) == {
        "group_partnered": [2, 2, 1], "group_rearranged": [1, 2, 1], "group_missing": [2, 2, 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("called", "n_right"),
    [
        (["rearranged", "rearranged", "partnered"], 3),
        (["missing", "partnered", "rearranged"], 2),
        (["partnered", "partnered", "partnered"], 1),
    ],
)
def test_which_copy_is_the_partner_is_left_open(called: list[str], n_right: int) -> None:
    latents = pd.DataFrame(
        {
            "model": "m0", "whole": 7, "kind": ["copied", "copy", "copy"], "group": called,
            "expected_group": ["partnered", "rearranged", "rearranged"],
        }
    )  # fmt: skip
    dealt = exchanged(latents, "group")
    assert (dealt["group"] == dealt["expected_group"]).sum() == n_right
    assert sorted(dealt["expected_group"]) == sorted(latents["expected_group"])


def test_copies_of_other_features_and_models_are_not_exchanged() -> None:
    latents = pd.DataFrame(
        {
            "model": ["m0", "m1", "m0"], "whole": [7, 7, 8], "kind": ["copied", "copy", "copy"],
            "group": ["rearranged", "partnered", "partnered"],
            "expected_group": ["partnered", "rearranged", "rearranged"],
        }
    )  # fmt: skip
    assert exchanged(latents, "group")["expected_group"].tolist() == latents["expected_group"].tolist()


def test_a_world_is_judged_by_class_level_group_and_decoy() -> None:
    planted = plant(
        root_seed=1, n_rows=16_000, n_documents=128, n_universal=16, n_shared=0, n_specific=8, n_unstable=4,
        n_decodable=4, n_split=2, n_domain=0, n_token=4, n_position=0, n_end_of_document=2, d_vocab=300, n_ctx=32,
        d_in=32, min_rate=0.01, n_models=2,
    )  # fmt: skip
    config = CompareConfig(n_resamples=20, n_resplits=0)
    stages = matched(prepare(planted, config, 1, threads=1, replicates=True), "assignment")
    by = judge(planted, stages).set_index("class")
    assert by.loc[["level_token", "group_missing", "group_unstable", "group_rearranged"], "n_true"].tolist() == [
        4 + 2, 16, 8, 8 + 2 + 10,
    ]  # fmt: skip
    assert by.loc[["group_partnered", "group_missing", "group_unstable"], ["precision", "recall"]].min().min() > 0.9
    assert by["n_correct"].to_dict()["level_token"] >= 4
    assert by["precision"].to_dict()["level_token"] == 1.0
    table = decoy_table(planted, stages).set_index("kind")
    assert table.index.tolist() == ["token", "end_of_document"]
    assert table["n"].tolist() == [8, 4]
    assert table.loc["token", ["n_edges", "token", "context", "n_context"]].tolist() == [4, 4, 0, 0]
    levels = ["untested", "domain", "document", "token", "token_x_domain", "bigram", "context"]
    assert (table[levels].sum(axis=1) == table["n_edges"]).all()
    without = judge(planted, matched(prepare(planted, config, 1, threads=1), "assignment"))
    assert not without["class"].str.startswith("group").any()


def test_a_calibration_has_levels_always_and_groups_on_request() -> None:
    world = PlantConfig(
        n_universal=10, n_shared=0, n_specific=6, n_unstable=3, n_decodable=0, n_split=0, n_domain=0, n_token=2,
        n_position=0, n_untrained=2, d_in=16, min_rate=0.03, n_domains=2,
    )  # fmt: skip
    setting = Setting(0.2, 0.1, n_rows=8_000, n_models=2)
    for groups in (False, True):
        table = pooled(calibrate([setting], ("assignment",), n_seeds=1, world=world, groups=groups, threads=1))
        by = table.set_index("class")["n_true"].to_dict()
        assert by["level_context"] == 10
        assert by.get("group_missing") == (12 if groups else None)
        assert by.get("group_unstable") == (6 if groups else None)
