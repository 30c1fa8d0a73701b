"""Several dictionaries of one model, by their SAE seeds: ids, nodes, and what is refused."""

import pytest

from pipelines.plan import build_plan
from pipelines.recipe import DictionarySpec, Recipe, dictionary_specs, load_recipe
from universality.errors import InputError

ONE_MODEL = ["models.model_seeds=[0]"]
FIVE = [*ONE_MODEL, "comparisons.0.sae_seeds=[0, 1, 2, 3, 4]"]


def specs(*overrides):
    recipe = load_recipe("tiny", list(overrides))
    return dictionary_specs(recipe, recipe.comparisons[0])


def test_without_seeds_a_dictionary_is_called_after_its_model():
    assert specs() == [
        DictionarySpec("m0", "m0", "m0"),
        DictionarySpec("m1", "m1", "m1"),
        DictionarySpec("m0r", "m0", "m0r", "sae_b", "replicate", "m0"),
        DictionarySpec("m1r", "m1", "m1r", "sae_b", "replicate", "m1"),
        DictionarySpec("u0", "u0", "u0", role="untrained"),
        DictionarySpec("u1", "u1", "u1", role="untrained"),
        DictionarySpec("u0r", "u0", "u0r", "sae_b", "replicate", "u0"),
        DictionarySpec("u1r", "u1", "u1r", "sae_b", "replicate", "u1"),
    ]


def test_the_five_seeds_of_one_model_are_compared():
    *primary, u0, u1 = specs(*FIVE, "comparisons.0.replicates=false")
    assert [spec.id for spec in primary] == ["m0s0", "m0s1", "m0s2", "m0s3", "m0s4"]
    assert {(spec.model, spec.data_part, spec.role) for spec in primary} == {("m0", "sae_a", "primary")}
    assert [u0.id, u1.id] == ["u0", "u1"]


def test_untrained_models_alone_may_have_replicates():
    every = specs(*FIVE, "comparisons.0.replicates=untrained")
    assert [spec.role for spec in every] == ["primary"] * 5 + ["untrained"] * 2 + ["replicate"] * 2
    assert [(spec.id, spec.replicate_of) for spec in every[-2:]] == [("u0r", "u0"), ("u1r", "u1")]
    with pytest.raises(InputError, match=r"comparisons.0.replicates: must be .*untrained"):
        load_recipe("tiny", ["comparisons.0.replicates=trained"])


@pytest.mark.parametrize("name", ["sae-seeds", "paulo2025", "song2025"])
def test_recipes_that_are_held_against_papers_by_weights_have_a_floor(name: str):
    recipe = load_recipe(name)
    for comparison in recipe.comparisons:
        ids = [spec.id for spec in dictionary_specs(recipe, comparison)]
        assert ids == ["m0s0", "m0s1", "m0s2", "u0", "u1", "u0r", "u1r"]


def test_ids_and_seeds_of_all_dictionaries_differ():
    every = specs("models.model_seeds=[5, 7, 11]", "comparisons.0.sae_seeds=[1, 10, 11]")
    assert len({spec.id for spec in every}) == len({spec.sae_seed for spec in every}) == len(every) == 24
    assert [spec.id for spec in every if spec.replicate_of == "m1s10"] == ["m1s10r"]


def test_one_transformer_and_one_set_of_activations_serve_all_seeds():
    plan = build_plan(load_recipe("tiny", FIVE))
    ids = {node.id for node in plan}
    assert {"transformer/m0", "activations/m0/sae_a", "activations/m0/sae_b", "activations/m0/eval"} <= ids
    assert "transformer/m1" not in ids
    assert plan["sae/main/m0s3"].inputs == {"activations": "activations/m0/sae_a"}
    assert plan["sae/main/m0s3r"].inputs == {"activations": "activations/m0/sae_b"}
    assert plan["evidence/main/m0s3"].inputs["transformer"] == "transformer/m0"
    assert sum(node.step == "matching" for node in plan) == 10 + 5 + 2
    # The floor of seeds of one model is two dictionaries of one untrained model, not of two.
    assert "matching/main/u0-u0r" in ids
    assert "matching/main/u0-u1" not in ids
    keys = plan.keys()
    assert len({keys[name] for name in ids if name.startswith("sae/")}) == 14


def test_neurons_are_compared_between_models_only():
    seeds = "comparisons.0.sae_seeds=[0, 1]"
    assert not [node.id for node in build_plan(load_recipe("tiny", [*ONE_MODEL, seeds])) if node.step == "spaces"]
    spaces = [node.id for node in build_plan(load_recipe("tiny", [seeds])) if node.step == "spaces"]
    between = [f"spaces/main/m0s{a}-m1s{b}" for a in (0, 1) for b in (0, 1)]
    assert spaces == [*between, "spaces/main/u0-u1"]


def test_more_seeds_leave_the_dictionaries_of_the_first_ones_as_they_are():
    two, five = (
        build_plan(load_recipe("tiny", [*ONE_MODEL, f"comparisons.0.sae_seeds={seeds}"])).keys()
        for seeds in ([0, 1], [0, 1, 2, 3, 4])
    )
    same = [name for name in two if two[name] == five.get(name)]
    assert {"sae/main/m0s0", "latents/main/m0s1r", "matching/main/m0s0-m0s1"} <= set(same)
    assert two["comparison/main"] != five["comparison/main"]


def test_a_dictionary_from_elsewhere_takes_the_place_of_one_seed():
    recipe = load_recipe("tiny", [*FIVE, "comparisons.0.saes=[{model: m0s2, hub: a/b}, {model: m0s2r, hub: a/c}]"])
    assert set(recipe.comparisons[0].loaded) == {"m0s2", "m0s2r"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (ONE_MODEL, "comparison 'main' needs at least two models, or two sae_seeds of one"),
        ([*ONE_MODEL, "comparisons.0.sae_seeds=[3]"], "needs at least two models, or two sae_seeds"),
        (["comparisons.0.sae_seeds=[1, 1]"], r"sae_seeds must differ: .*; got \[1, 1\]"),
        (["comparisons.0.sae_seeds=[]"], "sae_seeds: must be a list of at least 1"),
        (["comparisons.0.sae_seeds=[-1, 0]"], "sae_seeds.0: must be at least 0"),
        ([*FIVE, "comparisons.0.saes=[{model: m0, path: x}]"], r"among m0s0, m0s1, .*; got \['m0'\]"),
        ([*FIVE, "comparisons.0.saes=[{model: u0s1, path: x}]"], "saes.0.model"),
    ],
)
def test_illegal_seeds_are_refused_in_words(overrides, said):
    with pytest.raises(InputError, match=said):
        load_recipe("tiny", list(overrides))


def test_seeds_stand_in_the_resolved_recipe_only_where_they_are_said():
    assert "sae_seeds" not in load_recipe("tiny").resolved()["comparisons"][0]
    said = load_recipe("tiny", FIVE)
    assert said.resolved()["comparisons"][0]["sae_seeds"] == [0, 1, 2, 3, 4]
    assert Recipe.model_validate(said.resolved()) == said
