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


def computed(store, name: str, plan: Plan):
    nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
    made = store.create_run(name, recipe_name="tiny", recipe={}, nodes=nodes)
    outcome = run_plan(plan, store, made)
    assert outcome.status == "done", outcome.errors
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return computed(open_store(str(tmp_path_factory.mktemp("rerun") / "store")), "rerun", planned())


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
    made = run.artifact("attributions/main/m0")
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


@pytest.fixture(scope="module")
def cut(run):
    """The same with a budget of 16 latents of the 48 of each dictionary."""
    return computed(run.store, "cut", planned(latents=16))


def test_beyond_the_budget_latents_and_pairs_are_unmeasured_and_never_zero(run, cut):
    assert run.table("latent_effects")["measured"].all()
    assert (run.table("effects")["weight"] == 1).all()
    for model, of in cut.table("latent_effects").groupby("model"):
        assert of["measured"].sum() == 16, model
        others = of[~of["measured"]]
        assert others[["loss_change", "divergence", "helps"]].isna().all(axis=None)
        assert (others["n_rows"] == 0).all()
        assert np.isfinite(of.loc[of["measured"], "loss_change"]).all()
    before = run.table("effects").query("kind == 'matched'").set_index(["latent_a", "latent_b"])
    effects = cut.table("effects")
    matched = effects[effects["kind"] == "matched"].set_index(["latent_a", "latent_b"])
    assert matched.index.equals(before.index)
    told = matched["weight"].notna()
    assert told.sum() == 8
    assert matched.loc[told, "weight"].sum() == pytest.approx(len(matched))
    values = [name for name in matched if name.startswith(("r_effect", "recovered", "effect_class"))]
    assert matched.loc[~told, values].isna().all(axis=None)
    # What is measured of a chosen pair is what was measured of it before, as far as the sampled rows are the same.
    assert np.corrcoef(matched.loc[told, "r_effect"], before.loc[told, "r_effect"])[0, 1] > 0.8
    measured = set(cut.table("latent_effects").query("model == 'm1' and measured")["latent"])
    controls = effects[effects["kind"].isin(["runner_up", "hard_exchange", "random"]) & effects["weight"].notna()]
    assert set(controls["latent_b"]) <= measured
    assert controls.groupby("kind")["r_effect"].count().min() >= 5


def test_pairs_are_chosen_by_what_they_do_to_first_order_and_means_say_how_many_they_are_of(cut):
    sizes = {}
    for name in ("m0", "m1"):
        first_order = abs(cut.artifact(f"attributions/main/{name}").csr("attribution"))
        sizes[name] = np.asarray(first_order.sum(axis=0)).ravel()
    matched = cut.table("effects").query("kind == 'matched'")
    size = np.sqrt(sizes["m0"][matched["latent_a"]] * sizes["m1"][matched["latent_b"]])
    assert (matched["weight"].to_numpy()[np.argsort(-size)[:4]] == 1).all()
    rows = cut.table("effect_agreement").query("pair == 'overall' and kind == 'matched'").set_index("level")
    assert rows.loc["all_pairs", ["n", "n_all"]].tolist() == [8, len(matched)]
    told = matched[matched["weight"].notna()]
    assert rows.loc["all_pairs", "r_effect"] == pytest.approx(np.average(told["r_effect"], weights=told["weight"]))
    # The screen knows all of them.
    assert cut.table("attribution").query("kind == 'matched'")["r_gradient"].notna().all()


def test_a_plan_says_how_many_passes_that_takes_and_of_a_wide_dictionary_no_more():
    def passes(**effects):
        return planned(**effects)["fingerprints/main/m0"].estimate.passes

    assert passes() == 2 * min(48 * PER_LATENT + RANDOM * 6, 2500 * 6)
    assert passes(latents=16) == 2 * (16 * PER_LATENT + RANDOM * 6)
    assert build_plan(load_recipe("tiny"))["fingerprints/main/m0"].estimate.passes == 0


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
