"""Where training rows come from and which count: planned, keyed, and what each choice costs."""

import pytest

from pipelines.cli.runs import training_rows_sentence
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from universality.errors import InputError

LIVE = "activation_source=live"
ACTIVATIONS = {f"activations/{model}/sae_{half}" for model in ("m0", "m1", "u0", "u1") for half in "ab"}


def planned(*changes):
    return build_plan(load_recipe("tiny", list(changes)))


def moved(*changes):
    before, after = planned().keys(), planned(*changes).keys()
    assert before.keys() == after.keys()
    return {node for node in before if before[node] != after[node]}


def test_naming_the_defaults_changes_no_key():
    policy = "training_rows={first_position: 1, special_tokens: false, max_norm: null}"
    assert moved("activation_source=stored", policy) == set()


def test_a_live_recipe_stores_no_training_activations():
    plan, usual = planned(LIVE), planned()
    assert {node.id for node in usual} - {node.id for node in plan} == ACTIVATIONS
    assert set(plan["sae/main/m0r"].inputs.values()) == {"transformer/m0", "tokens", "tokenizer"}
    assert plan["sae/main/m0r"].params["live"]["part"] == "sae_b"
    keys = [found.keys()["sae/main/m0"] for found in (plan, usual)]
    assert keys[0] != keys[1]
    assert plan.keys()["activations/m0/eval"] == usual.keys()["activations/m0/eval"]


def test_a_plan_tells_disk_and_memory_of_both_sources():
    live, stored = planned(LIVE), planned()
    disk = {name: sum(node.estimate.bytes for node in plan) for name, plan in (("live", live), ("stored", stored))}
    rows = sum(stored[node].estimate.bytes for node in ACTIVATIONS)
    assert rows == len(ACTIVATIONS) * 40_000 * 64 * 4
    assert disk["stored"] - disk["live"] == rows
    a, b = (plan["sae/main/m0"].estimate for plan in (live, stored))
    assert a.seconds > b.seconds, "a forward pass for every dictionary"
    assert a.memory > b.memory, "the transformer beside the buffer"
    assert a.bytes == b.bytes
    assert b.memory > 700_000_000 + 40_000 * 64 * 4, "the shuffle buffer is counted"
    again = planned(LIVE, "comparisons.0.sae.tokens=400000", "activation_tokens=40000")["sae/main/m0"].estimate
    computed = a.seconds - b.seconds
    longer = planned("comparisons.0.sae.tokens=400000", "activation_tokens=40000")["sae/main/m0"].estimate
    assert again.seconds - longer.seconds == pytest.approx(computed), "what fits the buffer is computed once"
    looked = planned(LIVE, "training_rows.max_norm=10")["sae/main/m0"].estimate
    assert looked.seconds > a.seconds, "and once more for the norms"


def test_a_policy_moves_what_it_can_change():
    of_positions = moved("training_rows.first_position=4")
    assert of_positions >= ACTIVATIONS | {"sae/main/m0", "sae/main/u1"}
    of_norms = moved("training_rows.max_norm=10")
    assert "sae/main/m0" in of_norms
    for found in (of_positions, of_norms):
        assert not any(node.startswith(("corpus", "tok", "transformer")) or node.endswith("/eval") for node in found)
    assert not of_norms & ACTIVATIONS
    live = [planned(LIVE, *more).keys()["sae/main/m0"] for more in ([], ["training_rows.special_tokens=true"])]
    assert live[0] != live[1]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("activation_source=disk", "'stored' or 'live'"),
        ("training_rows.first_position=64", "below n_ctx (64); got 64"),
        ("training_rows.max_norm=0.5", "must be at least 1"),
        ("training_rows.max_nrm=5", "'max_norm'"),
    ],
)
def test_a_bad_policy_says_where_and_what(override, words):
    with pytest.raises(InputError) as caught:
        load_recipe("tiny", [override])
    assert words in str(caught.value)


def test_show_says_which_rows_were_trained_on():
    usual = "positions from 1 on, no special tokens, rows of any norm; activations stored."
    assert usual in training_rows_sentence({})
    assert usual in training_rows_sentence(load_recipe("tiny").model_dump(mode="json"))
    changes = ["training_rows={first_position: 4, special_tokens: true, max_norm: 2.5}", LIVE]
    told = training_rows_sentence(load_recipe("tiny", changes).model_dump(mode="json"))
    assert "from 4 on, special tokens too, rows of at most 2.5 times the median norm; activations live." in told


def test_the_buffer_is_planned_for():
    assert moved("comparisons.0.sae.buffer_mb=256") == set()
    assert "sae/main/m0" in moved("comparisons.0.sae.buffer_mb=4")
    usual, small = (planned(*more)["sae/main/m0"].estimate for more in ([], ["comparisons.0.sae.buffer_mb=4"]))
    assert usual.memory - small.memory == 40_000 * 64 * 4 - 4_000_000
    long = ["comparisons.0.sae.tokens=400000", "activation_tokens=40000", LIVE]
    read_again = planned(*long, "comparisons.0.sae.buffer_mb=4")["sae/main/m0"].estimate
    assert read_again.seconds > planned(*long)["sae/main/m0"].estimate.seconds, "each pass is computed"


@pytest.mark.parametrize("source", ["stored", "live"])
def test_fresh_starts_of_dead_latents_are_planned_for(source):
    relu = [
        f"activation_source={source}", "comparisons.0.sae.architecture=relu_2023", "comparisons.0.sae.k=null",
        "comparisons.0.sae.batch_rows=64",
    ]  # fmt: skip
    never, once, often = (
        planned(*relu, f"comparisons.0.sae.resample_at={shares}")["sae/main/m0"].estimate
        for shares in ([], [0.5], [0.2, 0.4])
    )
    assert often.seconds - once.seconds == pytest.approx(once.seconds - never.seconds)
    assert once.seconds > never.seconds
    assert once.memory == often.memory > never.memory + 2 * 40_000 * 64 * 4
