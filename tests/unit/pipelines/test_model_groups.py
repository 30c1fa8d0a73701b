"""Recipes whose models are a list of groups: ids, twins, tokenizers, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipelines.plan import build_plan
from pipelines.recipe import Recipe, load_recipe, study_design, validate_recipe
from universality.errors import InputError


def tiny(models: Any, **more: Any) -> dict[str, Any]:
    recipe = load_recipe("tiny").resolved()
    recipe["models"] = models
    return recipe | more


def group(*seeds: int, **more: Any) -> dict[str, Any]:
    shape = {"n_layers": 1, "d_model": 32, "n_heads": 2, "d_mlp": 64, "act_fn": "relu"}
    return {
        "kind": "native", "architecture": shape, "training": {"tokens": 60_000}, "model_seeds": list(seeds), **more,
    }  # fmt: skip


def read(models: Any, **more: Any) -> Recipe:
    return validate_recipe(tiny(models, **more), "here")


SMALL, LARGE = ({"kind": "train", "vocab_size": size} for size in (512, 700))


def test_ids_count_on_from_group_to_group_and_untrained_twins_stay_in_theirs():
    recipe = read([group(0, 1, n_untrained=2), group(2, n_untrained=0), group(3, 4, 5, n_untrained=4)])
    assert recipe.model_ids == [f"m{i}" for i in range(6)]
    assert recipe.untrained_ids == [f"u{i}" for i in range(6)]
    assert [(recipe.groups.index(g), i) for g, i in map(recipe.member, recipe.model_ids)] == [
        (0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2),
    ]  # fmt: skip
    assert [recipe.twin(u) for u in recipe.untrained_ids] == ["m0", "m1", "m3", "m4", "m5", "m3"]


def test_a_list_of_one_group_is_that_group():
    # Same keys: what stands in a list is made as before.
    alone = build_plan(read(group(0, 1, n_untrained=2)))
    assert build_plan(read([group(0, 1, n_untrained=2)])).keys() == alone.keys()


def test_one_tokenizer_gives_tokens_and_several_give_shared_rows():
    same = build_plan(read([group(0, 1, tokenizer=SMALL), group(2, tokenizer=SMALL)]))
    assert same["tokens"].step == "tokens"
    plan = build_plan(read([group(0, 1, tokenizer=SMALL), group(2, tokenizer=LARGE)]))
    assert (plan["tokens"].step, plan["tokenizer"].step) == ("shared_rows", "segments")
    # A model is trained on its own tokens, and read where all of them end one.
    assert plan["transformer/m2"].inputs == {"tokens": "tokens/t1", "tokenizer": "tokenizer/t1"}
    assert plan["activations/m2/eval"].inputs["tokens"] == "aligned/t1"
    assert plan["activations/m2/sae_a"].inputs["tokens"] == "tokens/t1"
    # u0 to u1 are of the first group, whose tokenizer they read.
    assert [plan[f"transformer/u{i}"].inputs["tokenizer"] for i in range(4)] == ["tokenizer/t0"] * 2 + [
        "tokenizer/t1"
    ] * 2
    # Models of one tokenizer are compared beyond its own tokens, others beyond those of both.
    for step in ("similarity", "null", "matching", "spaces"):
        assert plan[f"{step}/main/m0-m1"].inputs["tokens"] == "aligned/t0"
        assert plan[f"{step}/main/m0-m2"].inputs["tokens"] == "tokens"
    # Predictions over other vocabularies are not set beside each other.
    assert not any(node.step in ("fingerprints", "effects", "steering") for node in plan)


def test_untrained_models_of_groups_draw_numbers_of_their_own():
    plan = build_plan(read([group(0, 1), group(2, 3)]))
    seeds = [plan[f"transformer/u{i}"].params["model_seed"] for i in range(4)]
    assert len(set(seeds)) == 4


HUB = {"kind": "hub", "name": "owner/a"}
PUBLIC = {"kind": "pretrained", "models": [{"name": "owner/one"}]}


@pytest.mark.parametrize(
    ("models", "more", "told"),
    [
        ([group(0, 1), group(1, 2)], {}, "model_seeds of groups must differ"),
        ([PUBLIC, PUBLIC], {}, "models must differ between groups"),
        (group(0, 1, tokenizer=SMALL), {}, "tokenizer of models belongs to models in a list"),
        ([group(0, 1), {**PUBLIC, "tokenizer": SMALL}], {}, "tokenizer must be that of the pretrained models"),
        (
            [group(0, 1, data=["half", None], tokenizer=SMALL), group(2, 3, tokenizer=LARGE)],
            {"mixes": {"half": {"domains": ["dna"]}}},
            "needs one tokenizer for all models",
        ),
        ([], {}, "models: must be a list of at least 1"),
        ([{"kind": "native"}], {}, "models.0.architecture: must be given"),
    ],
)
def test_what_groups_cannot_be_is_refused_in_words(models, more, told):
    with pytest.raises(InputError, match=re.escape(told)):
        read(models, **more)


def test_models_may_be_read_at_different_places():
    deep = {**group(2, 3), "architecture": {**group(2)["architecture"], "n_layers": 2, "d_model": 48}}
    compared = {
        "id": "main", "hook_point": "blocks.0.mlp.hook_post", "hook_points": {"m2": "blocks.1.hook_resid_post"},
        "sae": load_recipe("tiny").resolved()["comparisons"][0]["sae"],
    }  # fmt: skip
    plan = build_plan(read([group(0, 1), deep], comparisons=[compared]))
    usual, other = "blocks.0.mlp.hook_post", "blocks.1.hook_resid_post"
    places = {name: plan[f"sae/main/{name}"].params["hook_point"] for name in ("m0", "m2", "m2r", "m3", "u2", "u3")}
    # The floor is read where its twin is.
    assert places == {"m0": usual, "m2": other, "m2r": other, "m3": usual, "u2": other, "u3": usual}
    assert plan["activations/m2/eval"].params["hook_points"] == [other]
    assert plan["spaces/main/m0-m2"].params["hook_points"] == [usual, other]
    assert "hook_points" not in plan["spaces/main/m0-m1"].params
    assert "no predictions in common" in plan["comparison/main"].warnings[0]
    with pytest.raises(InputError, match="hook_points of comparison 'main' must name models"):
        read([group(0, 1), deep], comparisons=[compared | {"hook_points": {"m9": usual}}])
    with pytest.raises(InputError, match="must name one of the blocks 0 to 0"):
        read([group(0, 1), deep], comparisons=[compared | {"hook_points": {"m0": other}}])


@pytest.mark.parametrize("first", [0, 1, 2])
def test_data_is_a_factor_of_every_group_where_models_of_one_differ_in_it(first):
    mixed = group(0, 1, 2, 3, data=[None, None, "no-dna", "no-dna"])
    public = {"kind": "pretrained", "models": [{"name": f"owner/{name}"} for name in "ab"], "tokenizer": HUB}
    groups = [mixed | {"tokenizer": HUB}, group(4, 5, tokenizer=HUB), public]
    study = {
        "id": "s", "hook_point": "blocks.0.mlp.hook_post", "floor": False, "sae_seeds": [0, 1],
        "sae": {"d_sae": 64, "k": 4, "tokens": 6000, "batch_rows": 128},
    }  # fmt: skip
    listed = [*groups[first:], *groups[:first]]
    recipe = read(listed, mixes={"no-dna": {"without": ["dna"]}}, comparisons=[], studies=[study])
    design = study_design(recipe, recipe.studies[0])
    assert "data" in design.of_models
    levels = {cell.transformer: cell.levels["data"] for cell in design.cells}
    said = [["all", "all", "no-dna", "no-dna"], ["all", "all"], ["public", "public"]]
    assert list(levels.values()) == [level for of in [*said[first:], *said[:first]] for level in of]
    alone = read([groups[1], group(6, 7, tokenizer=HUB)], comparisons=[], studies=[study])
    assert "data" not in study_design(alone, alone.studies[0]).cells[0].levels
