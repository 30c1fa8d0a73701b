"""SIGKILL at random steps of every architecture's training, through the command line: the same bytes in the end."""

import random
import signal
import subprocess
import sys
import time

import pytest
import yaml

from pipelines.recipe import load_recipe
from storage import open_run, open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals"),
]
POINTS = [
    {"architecture": "topk", "k": 8},
    {"architecture": "batch_topk", "k": 8},
    {"architecture": "matryoshka", "k": 8},
    {"architecture": "relu", "l1_coefficient": 3.0},
    {"architecture": "relu_2023", "l1_coefficient": 3.0},
    {"architecture": "gated", "l1_coefficient": 0.4},
    {"architecture": "jumprelu", "target_l0": 8.0},
]
SWEEP = {
    "id": "all",
    "hook_point": "blocks.0.mlp.hook_post",
    # 900 steps: states are saved after 200, 400, 600 and 800.
    "sae": {"d_sae": 192, "tokens": 57_600, "batch_rows": 64, "lr": 0.003, "dead_after": 2000},
    "points": POINTS,
    "n_seeds": 2,
}


def begin(folder, store):
    command = [sys.executable, "-m", "pipelines.cli.main", "run", "all.yaml", "--name", "all", "--serial"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "--store", store], cwd=folder, **quiet)


def test_every_architecture_ends_in_the_same_bytes_however_often_it_is_killed(tmp_path):
    recipe = load_recipe("tiny").model_dump(mode="json", exclude={"comparisons", "sweeps"})
    recipe["models"] |= {"model_seeds": [0], "n_untrained": 0}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({**recipe, "sweeps": [SWEEP]}))
    assert begin(tmp_path, "whole").wait(timeout=900) == 0
    whole = open_run("all", store=str(tmp_path / "whole"))
    trainings = [node for node in whole.nodes() if node.startswith("sweep_sae/")]
    assert len(trainings) == len(POINTS)

    rng, store = random.Random(0), open_store(str(tmp_path / "killed"))
    keys = {node: whole.record["nodes"][node]["key"] for node in trainings}
    killed, deadline = {}, time.monotonic() + 1800
    while len(killed) < len(trainings):
        # Each training is killed once, some time after its first state, in whichever order they run.
        process = begin(tmp_path, "killed")
        node = None
        while node is None:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
            waiting = [name for name in trainings if name not in killed and not store.has(keys[name])]
            assert waiting, f"finished before they were killed: {set(trainings) - set(killed)}"
            node = next((name for name in waiting if store.checkpoint(keys[name]).load() is not None), None)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.wait()
        state = store.checkpoint(keys[node]).load()
        killed[node] = None if state is None else state[1]["step"]
    # One that ends within the 0.3 s was not killed in its middle; most are.
    assert sum(step is not None for step in killed.values()) >= 4, killed
    assert begin(tmp_path, "killed").wait(timeout=900) == 0
    resumed = open_run("all", store=str(tmp_path / "killed"))
    for node in whole.nodes():
        files = [run.artifact(node).manifest["files"] for run in (whole, resumed)]
        assert files[0] == files[1], node
