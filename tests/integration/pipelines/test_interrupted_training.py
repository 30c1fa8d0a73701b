"""Ctrl-C in the middle of a training: the state is saved at once, and the next run ends in the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import open_run, open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX process groups"),
]
# 80 steps per dictionary: fewer than lie between two checkpoints of their own accord.
SETTINGS = (
    "comparisons.0.sae={d_sae: 1024, k: 8, tokens: 163840, batch_rows: 2048}",
    "comparisons.0.replicates=false",
    "comparisons.0.neurons=false",
    "models.n_untrained=0",
    "compare.n_resamples=20",
    "compare.n_resplits=2",
    "effects=null",
)


def begin(url, executor):
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "pipelines.cli.main", "run", "tiny", "--store", str(url), "--name", "it"]
    return subprocess.Popen(
        [*command, *options, *executor],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Programs started in the background of a shell ignore Ctrl-C, and so would theirs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads in tests)
    )


def training_is_under_way(url):
    events = Path(url) / "runs" / "it" / "events.jsonl"
    if not events.is_file():
        return False
    told = [json.loads(line) for line in events.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return any(event["event"] == "progress" and event["node"].startswith("sae/") for event in told)


def finish(process, code):
    out, err = process.communicate(timeout=900)
    assert process.returncode == code, out + err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    url = tmp_path_factory.mktemp("undisturbed")
    finish(begin(url, ["--serial"]), 0)
    return open_run("it", store=str(url))


@pytest.mark.parametrize("executor", [["--serial"], ["--workers", "2"]], ids=["serial", "dask"])
def test_an_interrupted_training_saves_its_state_and_goes_on_from_there(tmp_path, undisturbed, executor):
    process = begin(tmp_path, executor)
    deadline = time.monotonic() + 600
    while not training_is_under_way(tmp_path):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    finish(process, 130)
    store, nodes = open_store(str(tmp_path)), undisturbed.record["nodes"]
    states = [store.checkpoint(nodes[name]["key"]).load() for name in ("sae/main/m0", "sae/main/m1")]
    steps = [state[1]["step"] for state in states if state is not None]
    assert steps
    assert all(step % 10 == 0 for step in steps)
    assert 10 <= max(steps) <= 80

    finish(begin(tmp_path, ["--serial"]), 0)
    resumed = open_run("it", store=str(tmp_path))
    for node in undisturbed.nodes():
        files = [run.artifact(node).manifest["files"] for run in (undisturbed, resumed)]
        assert files[0] == files[1], node
