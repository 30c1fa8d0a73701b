"""What docs/STEERING.md says of the quickstart's doses is what the table beside it holds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from results.dose_response import COLUMNS, MULTIPLES, N_RANDOM

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def doses():
    return pd.read_csv(DOCS / "steering.csv")


def test_the_table_is_that_of_three_domains_in_three_models(doses):
    assert list(doses.columns) == ["domain", *COLUMNS]
    assert list(dict.fromkeys(doses["domain"])) == ["arabic", "dna", "base64"]
    assert set(doses["strength"]) == set(MULTIPLES)
    arms = 1 + N_RANDOM + 1
    assert len(doses) == 3 * 3 * arms * len(MULTIPLES)


def test_features_move_the_share_of_their_domain_at_every_step_and_random_directions_do_not(doses):
    own = doses[doses["kind"] == "own"].pivot(index=["domain", "model"], columns="strength", values="share")
    assert (own.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert own[0.0].max() < 0.01
    assert own[4.0].min() > 0.35
    random = doses[doses["kind"] == "random"]
    at_two = random[random["strength"] == 2]["share"]
    assert at_two.max() < 0.06
    assert own[2.0].min() > 2 * at_two.max()
    mean = random[random["strength"] == 4].groupby(["domain", "model"])["share"].mean()
    assert mean.max() < 0.1
    assert (doses[doses["kind"] == "other"]["share"] < 0.07).all()


def test_steered_models_do_not_write_one_token_again_and_again(doses):
    distinct = doses.pivot_table(index=["domain", "model", "kind", "draw"], columns="strength", values="distinct")
    assert (distinct[4.0] > 0.74 * distinct[0.0]).all()


def test_the_text_quotes_the_table(doses):
    text = (DOCS / "STEERING.md").read_text("utf-8")
    for (domain, model), rows in doses[doses["kind"] == "own"].groupby(["domain", "model"]):
        shares = rows.sort_values("strength")["share"]
        assert f"| {domain} | {model}:{rows['latent'].iloc[0]} | " + " | ".join(
            f"{100 * share:.0f}" for share in shares
        ) in text  # fmt: skip


def test_the_text_quotes_the_table_of_transfer():
    frame = pd.read_csv(DOCS / "steering_transfer.csv")
    text = (DOCS / "STEERING.md").read_text("utf-8")
    frame = frame[frame["beta"] == 2].assign(kind=frame["arm"].str.partition(" ")[0])
    keys = ["domain", "model", "other_model"]
    mean = {name: frame.groupby([*keys, "kind"])[name].mean().unstack() for name in ("cosine", "ratio")}
    for domain in ("arabic", "dna", "base64"):
        cells = [mean[name].loc[domain][kind] for name in mean for kind in ("partner", "hard_exchange", "random")]
        said = " | ".join(
            f"{cell.mean():.2f} ({cell.min():.2f} to {cell.max():.2f})".replace("-", "−") for cell in cells
        )
        assert f"| {domain} | {said} |" in text
    above = [(table["partner"] > table["hard_exchange"]).sum() for table in mean.values()]
    assert "in 15 of 18 ordered pairs, its ratio in 12" in text.replace("\n ", "")
    assert above == [15, 12]
    assert all((table["partner"] > table["random"]).all() for table in mean.values())
    assert len(mean["cosine"]) == 18
