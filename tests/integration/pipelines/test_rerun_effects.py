"""Effects at a hook point from which the model runs again: every alive latent is measured, and all are attributed."""

import numpy as np
import pytest
from stored_types import assert_files_hold_the_declared_types

from pipelines.engine.plan import Plan
from pipelines.engine.runner import run_plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from storage import open_store

COMPARISON = (
    "comparisons=[{id: main, hook_point: blocks.0.attn.hook_z, replicates: false, neurons: false, "
    "sae: {d_sae: 48, k: 6, tokens: 8000, batch_rows: 128, lr: 0.003}}]"
)
SETTINGS = [
    COMPARISON,
    "models.training.tokens=20000",
    "models.architecture.n_layers=2",
    "n_ctx=32",
    "split={fit_tokens: 2500, score_tokens: 2500, validation_tokens: 500}",
    "models.n_untrained=0",
    "compare.n_resamples=20",
]
RANDOM, PER_LATENT = 100, 24


def planned(**effects: int) -> Plan:
    """The pair's effects and all that they are made from."""
    settings = {"rerun_rows": RANDOM, "per_latent": PER_LATENT, "horizon": 4, "rows": 1500, **effects}
    words = ", ".join(f"{name}: {value}" for name, value in settings.items())
    plan = build_plan(load_recipe("tiny", [*SETTINGS, f"effects={{{words}}}"]))
    needed = {"effect_agreement/main"}
    for node in reversed(plan.nodes):
        if node.id in needed:
            needed.update(node.inputs.values())
    return Plan(node for node in plan if node.id in needed)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    plan = planned()
    store = open_store(str(tmp_path_factory.mktemp("rerun") / "store"))
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    made = store.create_run("rerun", recipe_name="tiny", recipe={}, nodes=nodes)
    outcome = run_plan(plan, store, made)
    assert outcome.status == "done", outcome.errors
    return made


def test_every_latent_is_measured_as_often_as_it_fires_or_as_its_budget_says(run):
    acts = run.artifact("latents/main/m0").csr("acts")
    tokens = run.artifact("tokens")
    context, position = (np.asarray(tokens.array(f"row_{name}")) for name in ("context", "position"))
    usable = ~np.asarray(tokens.array("row_fit")) & (position < np.asarray(tokens.array("eval_contexts")).shape[1] - 1)
    fires = np.bincount(acts[np.flatnonzero(usable)].indices, minlength=acts.shape[1])
    of = run.table("latent_effects").query("model == 'm0'")["n_rows"].to_numpy()
    assert (of >= np.minimum(fires, PER_LATENT)).all()
    assert (of <= fires).all()
    assert 0.02 < of.sum() / fires.sum() < 0.9
    made = run.artifact("fingerprints/main/m0")
    attributed = np.asarray(made.array("attributed_rows"))
    assert usable[attributed].all()
    assert 1000 < attributed.size <= 1500
    whole = np.flatnonzero(usable & np.isin(context, context[attributed]))
    assert np.array_equal(whole, attributed)


def test_pairs_have_effects_exact_and_to_first_order(run):
    effects, attribution = run.table("effects"), run.table("attribution")
    sides = ["model_a", "latent_a", "model_b", "latent_b", "kind"]
    assert effects[sides].equals(attribution[sides])
    assert effects["recovered"].notna().any()
    assert attribution["r_gradient_both"].notna().sum() > effects["r_effect_both"].notna().sum() > 0
    latents = run.table("latent_attribution").query("model == 'm0'").set_index("latent")
    row = attribution[(attribution["model_a"] == "m0") & attribution["r_exact_a"].notna()].iloc[0]
    assert row["r_exact_a"] == latents.loc[row["latent_a"], "r_exact"]
    # First order and exact ablation see the same: not one latent by chance, but most of them.
    assert latents["r_exact"].median() > 0.7
    assert run.table("effect_agreement")["r_effect"].notna().all()


@pytest.mark.parametrize("name", ["attribution", "latent_attribution", "effects"])
def test_files_hold_the_types_that_the_schema_declares(run, name):
    assert_files_hold_the_declared_types(run, name)


def test_what_is_measured_decides_the_key_only_where_the_model_runs_again():
    few, many = planned(per_latent=5), planned(per_latent=50)
    assert few.keys()["fingerprints/main/m0"] != many.keys()["fingerprints/main/m0"]
    costs = [plan["fingerprints/main/m0"].estimate.seconds for plan in (few, many)]
    assert costs[0] < costs[1]
    at_the_end = [
        build_plan(load_recipe("tiny", [f"effects.per_latent={n}"])).keys()["fingerprints/main/m0"] for n in (5, 50)
    ]
    assert at_the_end[0] == at_the_end[1]
