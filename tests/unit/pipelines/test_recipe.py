import json

import pytest

from pipelines.recipe import Recipe, load_recipe, shipped_recipes
from universality.errors import InputError


def test_every_shipped_recipe_is_legal_and_described():
    found = shipped_recipes()
    assert {"quickstart", "tiny", "monosemanticity", "pythia-seeds", "gpt2-seeds"} <= set(found)
    for name, description in found.items():
        recipe = load_recipe(name)
        assert recipe.recipe == name
        assert description == recipe.description
        assert len(description) > 20


def test_overrides_reach_lists_and_nested_keys():
    recipe = load_recipe("tiny", ["comparisons.0.sae.k=4", "compare.tau=0.6", "models.model_seeds=[5, 6, 7]"])
    assert recipe.comparisons[0].sae.k == 4
    assert recipe.compare.tau == 0.6
    assert recipe.model_ids == ["m0", "m1", "m2"]
    assert recipe.untrained_ids == ["u0", "u1", "u2"], "as many as models, unless the recipe says otherwise"


def test_a_value_that_may_be_of_several_kinds_is_one_slip():
    with pytest.raises(InputError) as refused:
        load_recipe("tiny", ["corpus.sources.0.max_bytes=abc"])
    slips = [line for line in str(refused.value).splitlines() if line.startswith("  ")]
    assert slips == ["  corpus.sources.0.max_bytes: must be a whole number or a mapping; got 'abc'"]


def test_overrides_may_name_what_the_file_leaves_to_defaults():
    assert load_recipe("quickstart", ["compare.n_shifts=12"]).compare.n_shifts == 12


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("compare.taau=0.5", ["compare.taau", "unknown key", "'tau'"]),
        ("comparisons.0.sae.tokns=5", ["comparisons.0.sae.tokns", "'tokens'"]),
        ("compare.tau=2", ["compare.tau", "must be below 1", "got 2"]),
        ("comparisons.7.id=x", ["comparisons.7", "does not exist"]),
        ("no-sign", ["a.b=value"]),
        ("models.model_seeds=[1, 1]", ["model_seeds must differ"]),
        ("models.n_untrained=1", ["at least 2"]),
        ("models.model_seeds=[1]", ["at least two models"]),
        ("n_ctx=4096", ["n_ctx must be at most"]),
        ("comparisons.0.sae=null", ["no dictionary for m0, m1, m0r, m1r", "name it in saes"]),
        ("comparisons.0.saes=[{model: m5, path: x}]", ["among m0, m1, m0r, m1r, u0, u1, u0r, u1r", "got ['m5']"]),
        ("comparisons.0.saes=[{model: m0, path: x}, {model: m0, path: y}]", ["name a dictionary once"]),
        ("comparisons.0.saes=[{model: gpt2, path: x}]", ["comparisons.0.saes.0.model"]),
    ],
)
def test_a_bad_override_says_where_and_what(override, words):
    with pytest.raises(InputError) as caught:
        load_recipe("tiny", [override])
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_recipe_names_the_nearest(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'quickstart'"):
        load_recipe("quickstat")
    with pytest.raises(InputError, match="existing file"):
        load_recipe(str(tmp_path / "none.yaml"))


def test_a_misnamed_hook_point_is_refused_before_anything_is_trained():
    with pytest.raises(InputError, match=r"hook_point of 'main' .*Did you mean blocks\.0\.mlp\.hook_post"):
        load_recipe("tiny", ["comparisons.0.hook_point=blocks.0.mlp.hook_pots"])
    with pytest.raises(InputError, match="one of the blocks 0 to 0"):
        load_recipe("tiny", ["comparisons.0.hook_point=blocks.1.mlp.hook_post"])


def test_pretrained_models_are_never_fed_the_ids_of_a_tokenizer_trained_here():
    with pytest.raises(InputError, match=r"must be that of the pretrained models; got kind train.*pythia-70m"):
        load_recipe("pythia-seeds", ["tokenizer={kind: train, vocab_size: 2048}"])


def test_broken_yaml_names_the_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("recipe: x\nmodels: [1, 2\n")
    with pytest.raises(InputError, match=r"broken\.yaml:\d+:\d+"):
        load_recipe(str(path))


def test_the_schema_describes_every_field():
    schema = Recipe.model_json_schema()
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model.get("properties", {}).items():
            if name not in {"kind"}:
                assert field.get("description"), f"{model['title']}.{name} has no description"
    json.dumps(schema)
