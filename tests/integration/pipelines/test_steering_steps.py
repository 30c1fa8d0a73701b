"""The steps that steer, on a run with weights: what they store is what whoever opens the run measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run

from pipelines.engine.step import StepContext, find_step
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from results.dose_response import dose_response, neutral_prompts, spread
from results.schema import TABLES
from results.steering import Member, Sampling, Steering
from results.stored_comparison import StoredComparison, activations_node, transformer_node
from results.transfer import Transfers, TransferSettings
from universality.effects import continue_prompt
from universality.transformers.harvest import harvest

HOOK = "blocks.0.mlp.hook_post"
HOW = {"clusters": 2, "strengths": [1.0, 4.0], "prompts": 3, "samples": 2, "tokens": 5, "random": 1,
       "transfer_strengths": [2.0], "transfer_contexts": 4}  # fmt: skip
PARAMS = {"comparison_id": "main", "models": ["m0", "m1"], "root_seed": 3, "hook_point": HOOK, "steering": HOW,
          "clusters": 2, "model_of": {"m0": "m0", "m1": "m1"}}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_synthetic_run(
        str(tmp_path_factory.mktemp("steps")), n_models=2, n_latents=40, n_documents=60, n_ctx=32, n_untrained=0,
        replicates=False, loadable=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stored(run):
    return StoredComparison(run, "main")


@pytest.fixture(scope="module")
def inputs(run, stored):
    """What the plan gives the steps, with the activations that the synthetic run leaves out."""
    found = {node: run.artifact(node) for node in run.nodes() if not node.startswith("steering")}
    for number, model in enumerate(("m0", "m1")):
        key, text = f"{number}" * 32, stored.text
        batches = harvest(stored.transformer(model), np.asarray(text.contexts), [HOOK])
        values = np.concatenate([batch[HOOK] for batch in batches])
        with run.store.create(key, step="activations", version=1, params={}, inputs={}) as out:
            out.array(HOOK, values[np.asarray(text.row_context), np.asarray(text.row_position)])
        found[activations_node(model, "eval")] = run.store.get(key)
    return found


def made(run, inputs, step, key, **params):
    with run.store.create(key, step=step, version=1, params={}, inputs={}) as out:
        context = StepContext(step, {**PARAMS, **params}, inputs, out, run.store.checkpoint(key))
        find_step(step).function(context)
    return run.store.get(key)


@pytest.fixture(scope="module")
def choice(run, inputs):
    return made(run, inputs, "steering_clusters", "a" * 32)


@pytest.fixture(scope="module")
def of_m0(run, inputs, choice):
    """Nothing but the steered model's own transformer is there: no other is opened."""
    given = {node: artifact for node, artifact in inputs.items() if node != transformer_node("m1")}
    return made(run, {**given, "steering_clusters/main": choice}, "steering", "b" * 32, id="m0")


def test_clusters_are_chosen_by_what_they_fire_on(choice, stored):
    table = choice.table("steering_clusters")
    TABLES["steering_clusters"].check(table)
    assert set(table["domain"]) == set(stored.text.domains)
    steered = table[table["left_out"].isna()]
    assert len(steered) == HOW["clusters"]
    features = stored.table("features").set_index(["model", "latent"])
    for _, row in steered.iterrows():
        for listed in row["members"].split(";"):
            model, _, latent = listed.partition(":")
            assert features.loc[(model, int(latent)), "cluster"] == row["cluster"]
            assert features.loc[(model, int(latent)), "class"] == "universal"
            fires = stored.acts(model)[:, [int(latent)]].toarray()[:, 0][~stored.score_rows] > 0
            inside = np.asarray(stored.text.row_domain)[~stored.score_rows] == stored.text.domains.index(row["domain"])
            assert np.corrcoef(fires, inside)[0, 1] > 0.3


def members_of(choice):
    table = choice.table("steering_clusters")
    for _, row in table[table["left_out"].isna()].iterrows():
        pairs = (listed.partition(":") for listed in row["members"].split(";"))
        yield row, [Member(model, int(latent)) for model, _, latent in pairs]


def test_stored_doses_are_those_that_are_measured_on_the_run(of_m0, choice, stored):
    table, steering = of_m0.table("steering_doses"), Steering(stored)
    TABLES["steering_doses"].check(table)
    assert not table.duplicated(list(TABLES["steering_doses"].key)).any()
    for row, members in members_of(choice):
        expected = dose_response(
            steering, members[:1], row["domain"], (0.0, 1.0, 4.0), Sampling(5, 2, seed=3), n_prompts=3, n_random=1
        )
        found = table[table["cluster"] == row["cluster"]].reset_index(drop=True)
        assert set(found["domain"]) == {row["domain"]}
        expected["script"] = expected["script"].astype(float)
        pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)
    assert table["problem"].isna().all()
    assert set(table["kind"]) == {"own", "random", "other"}


def test_a_share_is_counted_from_continuations_of_the_prompts(of_m0, choice, stored):
    row, members = next(iter(members_of(choice)))
    steering, domain = Steering(stored), row["domain"]
    prompts = spread(neutral_prompts(steering, domain), 3)
    assert len(prompts) == 3
    model = steering.model("m0")[0]
    options = steering.options("m0", Sampling(5, 2, seed=3))
    said = continue_prompt(model, prompts, steering.push(members[0]), 4.0, **options)
    judge = steering.judge
    assert judge is not None
    inside = (judge.judge(said.tokens) == judge.code(domain)).reshape(3, 2 * 5).mean(axis=1)
    found = of_m0.table("steering_doses").query(f"cluster == {row['cluster']} and kind == 'own' and strength == 4")
    np.testing.assert_allclose(found["share"], inside.mean())
    np.testing.assert_allclose(found["share_se"], inside.std(ddof=1) / np.sqrt(3))


def test_stored_transfer_is_that_through_the_models_themselves(of_m0, choice, stored):
    table, steering = of_m0.table("steering_transfer"), Steering(stored)
    TABLES["steering_transfer"].check(table)
    assert not table.duplicated(list(TABLES["steering_transfer"].key)).any()
    # Raw activations are read through both transformers here, and out of their artifacts by the step.
    transfers = Transfers(steering, TransferSettings(4, 1, 1, (2.0,)))
    for row, members in members_of(choice):
        found = table[table["cluster"] == row["cluster"]].reset_index(drop=True)
        expected = transfers.into(members[0], members[1:])
        assert set(found["arm"]) >= {"own", "partner", "random"}
        columns = ["arm", "other_latent", "r2", "cosine", "kl", "ratio"]
        pd.testing.assert_frame_equal(found[columns], expected[columns], check_dtype=False, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_steered_is_told(run, inputs, choice, of_m0):
    """The first cluster's latent has no direction: one row says so, and the other cluster is there."""
    (row, members), *_ = members_of(choice)
    stored = inputs["sae/main/m0"]
    tensors = {name: value.copy() for name, value in stored.tensors("sae").items()}
    tensors["W_dec"][members[0].latent] = 0.0
    with run.store.create("d" * 32, step="sae", version=1, params={}, inputs={}) as out:
        out.json("sae_config", stored.json("sae_config"))
        out.tensors("sae", tensors)
    given = {**inputs, "steering_clusters/main": choice, "sae/main/m0": run.store.get("d" * 32)}
    for name, column in (("steering_doses", "share"), ("steering_transfer", "cosine")):
        if name == "steering_doses":
            broken = made(run, given, "steering", "e" * 32, id="m0")
        table = broken.table(name)
        TABLES[name].check(table)
        lost = table[table["cluster"] == row["cluster"]]
        assert len(lost) == 1
        assert "norm of the direction" in lost["problem"].iloc[0]
        assert lost[column].isna().all()
        rest = table[table["cluster"] != row["cluster"]]
        assert len(rest) == (of_m0.table(name)["cluster"] != row["cluster"]).sum() > 0
        assert rest["problem"].isna().all()


def test_a_corpus_without_labels_has_empty_tables(run, inputs, monkeypatch):
    monkeypatch.setattr(Steering, "judge", None)
    empty = made(run, inputs, "steering_clusters", "f" * 32)
    assert empty.table("steering_clusters").empty
    assert "no labels" in empty.manifest["facts"]["nothing"]
    steered = made(run, {**inputs, "steering_clusters/main": empty}, "steering", "0a" * 16, id="m0")
    assert steered.table("steering_doses").empty
    assert steered.table("steering_transfer").empty


def test_steering_is_planned_where_it_is_asked_for_and_changes_no_key_of_other_effects():
    plans = {
        name: build_plan(load_recipe("tiny", sets))
        for name, sets in {
            "usual": [], "off": ["effects={steering: null}"], "no effects": ["effects=null"],
            "other": ["effects={steering: {clusters: 1, strengths: [1], samples: 3}}"],
        }.items()
    }  # fmt: skip
    steps = {name: [node.step for node in plan if node.step.startswith("steering")] for name, plan in plans.items()}
    assert steps["usual"] == steps["other"] == ["steering_clusters", "steering", "steering"]
    assert steps["off"] == steps["no effects"] == []
    keys = {name: plan.keys() for name, plan in plans.items()}
    changed = {node for node, key in keys["usual"].items() if keys["other"].get(node) != key}
    assert changed == {"steering/main/m0", "steering/main/m1"}
    assert set(keys["off"].items()) <= set(keys["usual"].items())
