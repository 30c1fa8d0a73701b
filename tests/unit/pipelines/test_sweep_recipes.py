"""Sweeps in recipes: every point is validated by name, shares seeds and data, and moves no key of a comparison."""

import pytest

from pipelines.plan import build_plan
from pipelines.recipe import load_recipe, training_tokens
from universality.errors import InputError

HOOK = "hook_point: blocks.0.mlp.hook_post"
BASE = "sae: {d_sae: 32, k: 4, tokens: 1000}"


def sweep(more, *others):
    return load_recipe("tiny", [f"sweeps=[{{id: s, {HOOK}, {more}}}]", *others])


def test_every_combination_is_a_point_named_by_its_own_settings():
    recipe = sweep(f"{BASE}, vary: {{k: [2, 4], d_sae: [16, 32]}}")
    found = recipe.sweeps[0].settings()
    assert [name for name, _ in found] == ["k 2, d_sae 16", "k 2, d_sae 32", "k 4, d_sae 16", "k 4, d_sae 32"]
    assert [(config.k, config.d_sae) for _, config in found] == [(2, 16), (2, 32), (4, 16), (4, 32)]
    assert [name for name, _ in sweep(BASE).sweeps[0].settings()] == ["base"]


def test_points_join_settings_that_belong_together():
    points = "points: [{architecture: topk, k: 4}, {architecture: jumprelu, target_l0: 4}]"
    recipe = sweep(f"sae: {{d_sae: 32, tokens: 1000}}, {points}, vary: {{lr: [0.01, 0.001]}}")
    assert [name for name, _ in recipe.sweeps[0].settings()] == [
        "architecture topk, k 4, lr 0.01",
        "architecture topk, k 4, lr 0.001",
        "architecture jumprelu, target_l0 4, lr 0.01",
        "architecture jumprelu, target_l0 4, lr 0.001",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (f"{BASE}, vary: {{k: [4, 99]}}", r"sweep 's', point 'k 99': .*k must be at most d_sae"),
        (f"{BASE}, vary: {{kk: [4]}}", r"'kk' is no setting of a dictionary. Did you mean 'k'"),
        (f"{BASE}, vary: {{k: []}}", r"vary.k must have a value"),
        (f"{BASE}, vary: {{k: [4, 4]}}", r"points must differ; got 'k 4' twice"),
        (f"{BASE}, vary: {{k: [2]}}, points: [{{k: 3}}]", r"k must be in vary or in points"),
        (f"{BASE}, model: m7", r"model of sweep 's' must be one of m0, m1, u0, u1; got 'm7'"),
        ("sae: {d_sae: 32, k: 4}", r"point 'base': tokens of SAETrainingConfig must be given"),
        (f"{BASE}, n_seeds: 0", r"sweeps.0.n_seeds"),
    ],
)
def test_what_is_wrong_is_named(more, said):
    with pytest.raises(InputError, match=said):
        sweep(more)


def test_ids_differ_and_something_is_to_be_done():
    one = f"{{id: s, {HOOK}, {BASE}}}"
    with pytest.raises(InputError, match="sweep ids must differ"):
        load_recipe("tiny", [f"sweeps=[{one}, {one}]"])
    with pytest.raises(InputError, match=r"comparisons \(or sweeps, or studies\) must name something"):
        load_recipe("tiny", ["comparisons=[]"])


def test_a_sweep_moves_no_key_of_the_comparison():
    before, after = (
        build_plan(load_recipe("tiny")).keys(),
        build_plan(sweep(f"{BASE}, vary: {{k: [2, 4]}}")).keys(),
    )
    assert {node: after[node] for node in before} == before
    added = sorted(set(after) - set(before))
    assert added == [
        "sweep/s", "sweep_quality/s/0", "sweep_quality/s/1", "sweep_sae/s/0", "sweep_sae/s/1",
    ]  # fmt: skip


def test_a_sweep_alone_needs_one_model_and_reads_no_other():
    recipe = sweep(BASE, "comparisons=[]", "models.n_untrained=0")
    nodes = {node.id for node in build_plan(recipe)}
    assert nodes == {
        "corpus", "tokenizer", "tokens", "transformer/m0", "activations/m0/sae_a", "activations/m0/eval",
        "sweep_sae/s/0", "sweep_quality/s/0", "sweep/s",
    }  # fmt: skip
    single = sweep(BASE, "comparisons=[]", "models.model_seeds=[0]", "models.n_untrained=0")
    assert training_tokens(single) == 1000


def test_the_floor_of_shuffled_weights_keeps_its_source():
    recipe = sweep(f"{BASE}, model: u1", "comparisons=[]", "models.floor=shuffled", "models.n_untrained=2")
    nodes = {node.id for node in build_plan(recipe) if node.id.startswith(("transformer", "activations"))}
    assert nodes == {"transformer/m1", "transformer/u1", "activations/u1/sae_a", "activations/u1/eval"}


def test_costs_grow_with_seeds_and_slow_architectures():
    one, three = (build_plan(sweep(f"{BASE}, n_seeds: {n}"))["sweep_sae/s/0"].estimate for n in (1, 3))
    assert three.seconds > one.seconds
    assert three.memory > one.memory
    slow = build_plan(sweep("sae: {d_sae: 32, tokens: 1000, architecture: relu}"))["sweep_sae/s/0"].estimate
    assert slow.seconds > one.seconds
