"""Comparisons that ask for latents of equal number: planned where they ask, refused where numbers cannot match."""

from dataclasses import replace

import pytest
import torch

from pipelines.plan import build_plan
from pipelines.recipe import Recipe, load_recipe
from universality.errors import InputError
from universality.sae import SparseAutoencoder, save_sae
from universality.sae.activations import ReLU

ASKED = "comparisons.0.same_index=true"


def test_who_does_not_ask_keeps_record_and_keys_and_who_asks_gets_one_step_a_pair():
    plain, asked = load_recipe("tiny"), load_recipe("tiny", [ASKED])
    assert "same_index" not in plain.resolved()["comparisons"][0]
    assert "same_index" not in load_recipe("tiny", ["comparisons.0.same_index=false"]).resolved()["comparisons"][0]
    assert Recipe.model_validate(asked.resolved()) == asked
    before, after = build_plan(plain).keys(), build_plan(asked)
    new = {"same_index/main/m0-m1": "features", "same_index/main/u0-u1": "untrained"}
    assert {node: after[node].params["kind"] for node in after.keys() if node not in before} == new  # noqa: SIM118
    assert {node: key for node, key in after.keys().items() if node not in new} == before


def test_a_dictionary_of_another_number_of_latents_is_refused_by_the_plan(tmp_path):
    config = load_recipe("tiny").comparisons[0].sae
    assert config is not None
    for n in (config.d_sae, 3):
        weights = torch.linspace(-1, 1, 4 * n).reshape(4, n)
        one = SparseAutoencoder(weights, torch.zeros(n), weights.T.contiguous(), torch.zeros(4), ReLU())
        save_sae(replace(one, metadata={}), tmp_path / str(n))

    def overrides(n):
        return ["models.architecture.d_mlp=4", f"comparisons.0.saes=[{{model: m0, path: {tmp_path / str(n)}}}]"]

    build_plan(load_recipe("tiny", [*overrides(config.d_sae), ASKED]))
    build_plan(load_recipe("tiny", overrides(3)))
    with pytest.raises(InputError, match=r"comparison 'main' must be equally many for same_index; got 3 of m0, "):
        build_plan(load_recipe("tiny", [*overrides(3), ASKED]))
