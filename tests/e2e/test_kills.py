"""Coordinator, workers and scheduler of four recipes are killed at random moments: the bytes in the end are the same.

UNIVERSALITY_KILLS is the number of kills for each recipe; 2 unless it is set.
"""

from __future__ import annotations

import copy
import os

import pytest
import yaml
from kills import KilledRun, digests
from program import universality

from storage import open_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs signals"),
]
KILLS = int(os.environ.get("UNIVERSALITY_KILLS", "2"))
HOOK = "blocks.0.mlp.hook_post"
# 468 steps of each dictionary: states are saved after 200 and 400.
SAE = {"d_sae": 12, "tokens": 30_000, "batch_rows": 64, "lr": 0.003}
SMALL = {
    "recipe": "small",
    "corpus": {
        "sources": [{"kind": "demo", "size": "small", "domains": ["python", "arabic"], "max_bytes": 24_000}],
        "max_document_bytes": 512,
    },
    "split": {"fit_tokens": 800, "score_tokens": 800, "validation_tokens": 300},
    "tokenizer": {"kind": "train", "vocab_size": 300},
    "n_ctx": 32,
    "models": {
        "kind": "native",
        "architecture": {"n_layers": 1, "d_model": 16, "n_heads": 2, "d_mlp": 24, "act_fn": "relu"},
        "training": {"tokens": 6000},
        "model_seeds": [0, 1],
        "n_untrained": 0,
    },
    "comparisons": [{"id": "main", "hook_point": HOOK, "sae": {**SAE, "k": 2}}],
    "compare": {"n_shifts": 10, "n_resamples": 20, "n_resplits": 2},
}


def small():
    return copy.deepcopy(SMALL)


def swept():
    recipe = small()
    recipe["models"]["model_seeds"] = [0]
    points = [{"k": 2}, {"architecture": "relu", "l1_coefficient": 2.0}]
    recipe["sweeps"] = [{"id": "kinds", "hook_point": HOOK, "sae": SAE, "points": points, "n_seeds": 2}]
    del recipe["comparisons"]
    return recipe


def live():
    recipe = small() | {"activation_source": "live"}
    recipe["comparisons"][0] |= {"sae_seeds": [0, 1], "replicates": False}
    return recipe


def studied():
    """A study of 16 dictionaries."""
    recipe = small()
    recipe["models"] |= {"model_seeds": [0, 1, 2, 3], "training": {"tokens": 2000}}
    sae = {**SAE, "k": 2, "tokens": 4000}
    recipe["studies"] = [{"id": "seeds", "hook_point": HOOK, "sae": sae, "sae_seeds": [0, 1], "halves": ["a", "b"]}]
    del recipe["comparisons"]
    return recipe


@pytest.mark.parametrize("recipe", [small, swept, live, studied], ids=lambda recipe: recipe.__name__)
def test_no_result_changes_however_often_a_run_is_killed(tmp_path, recipe):
    file = tmp_path / f"{recipe.__name__}.yaml"
    file.write_text(yaml.safe_dump(recipe() | {"recipe": recipe.__name__}))
    whole = str(tmp_path / "whole")
    done = universality("run", str(file), "--name", "whole", "--store", whole, "--serial")
    assert done.exit_code == 0, done.stderr
    killed = KilledRun(tmp_path, file, digests(open_run("whole", whole)), seed=f"{recipe.__name__} {KILLS}")
    try:
        killed.survive(KILLS, seconds=5.0)
    finally:
        killed.end()
        print(f"{recipe.__name__}: {dict(killed.hits)}, {killed.n_lives} lives, {killed.n_completed} completed")  # noqa: T201
