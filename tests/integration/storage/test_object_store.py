"""A store on S3, served by moto behind a network that delays, cuts, refuses and forgets.

Needs s3fs and moto in ``.venv/s3`` (``make s3``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from bad_network import FAULTS, BadNetwork, Rule
from dask_processes import ROOT, TOYS, free_port, wait_for

from pipelines.engine import run_plan
from storage import open_store

if str(TOYS) not in sys.path:
    sys.path.insert(0, str(TOYS))
import itertools

import engine_toys
import s3_program

PACKAGES = Path(os.environ.get("UNIVERSALITY_S3_PACKAGES") or Path(sys.prefix) / "s3")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PACKAGES / "s3fs").is_dir(), reason="s3fs and moto are not there: make s3"),
]
PATHS = os.pathsep.join(map(str, (PACKAGES, TOYS, ROOT)))


@pytest.fixture(scope="module")
def moto():
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": PATHS}, **quiet)

    def answers():
        assert server.poll() is None, "the server ended at once: a package that it needs is not in tests/s3.txt"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/").status == 200
        except OSError:
            return False

    try:
        wait_for(answers)
        yield port
    finally:
        server.kill()
        server.wait()


class S3:
    """A bucket, reached through a network that can be made bad."""

    def __init__(self, port: int, folder: Path) -> None:
        self.moto, self.folder, self.network = port, folder, BadNetwork(port)
        self.url = f"s3://bucket-{folder.name.replace('_', '-')[:50]}/store"
        assert self.act("bucket").returncode == 0

    def start(self, act: str, *words: str, straight: bool = False) -> subprocess.Popen:
        port = self.moto if straight else self.network.server_port
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
        env |= {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "UNIVERSALITY_CACHE": str(self.folder / "cache"),
        }
        env["AWS_MAX_ATTEMPTS"] = "2"
        command = [sys.executable, str(TOYS / "s3_program.py"), act, self.url, *words]
        env = {**os.environ, **env, "PYTHONPATH": PATHS}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def act(self, act: str, *words: str, straight: bool = False) -> subprocess.CompletedProcess[str]:
        process = self.start(act, *words, straight=straight)
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def told(self, act: str, *words: str, straight: bool = False):
        done = self.act(act, *words, straight=straight)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def s3(moto, tmp_path):
    found = S3(moto, tmp_path)
    yield found
    found.network.shutdown()
    found.network.server_close()


def test_a_run_on_a_bad_network_ends_in_the_same_bytes(s3, tmp_path):
    local = open_store(str(tmp_path / "local"))
    run_plan(s3_program.PLAN, local, engine_toys.make_run(local, s3_program.PLAN))
    expected = {
        f"{node}:{path}": digest for (node, path), digest in engine_toys.digests(local, s3_program.PLAN).items()
    }
    s3.network.rules = [Rule("*", "", FAULTS, chance=0.08)]
    for _ in range(8):
        done = s3.act("compute")
        if done.returncode == 0:
            break
        assert done.returncode in (1, 3)
        assert "store of s3://" in done.stderr
    assert done.returncode == 0
    assert min(s3.network.counts[fault] for fault in FAULTS) >= 1, s3.network.counts
    s3.network.rules = []
    found = s3.told("look", straight=True)
    assert found == {"digests": expected, "problems": [], "left": [], "status": "done"}


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ("cut", r"/artifacts/k/\w+/arrays/x\.npy"), ("lost", r"/artifacts/k/\w+/arrays/x\.npy"),
        ("cut", r"/artifacts/k/manifest\.json"), ("503", r"/artifacts/k/manifest\.json"),
        ("lost", r"/artifacts/k/manifest\.json"), ("500", r"/temporary/k\."),
    ],
)  # fmt: skip
def test_an_artifact_is_whole_whatever_put_of_it_fails_once(s3, fault, path):
    s3.network.rules = [Rule("PUT", path, (fault,), times=1)]
    assert s3.told("put") == {"committed": True, "whole": True, "there": True}
    assert s3.network.counts[fault] == 1


@pytest.mark.parametrize("fault", ["cut", "503"])
def test_an_upload_that_never_gets_through_is_told_and_leaves_nothing(s3, fault):
    s3.told("claim")
    s3.network.rules = [Rule("PUT", r"/artifacts/k/\w+/arrays", (fault,))]
    done = s3.act("put")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"store of {s3.url} must be within reach; got" in done.stderr
    s3.network.rules = []
    assert s3.told("files") == ["runs/mine/run.json", "universality-store.json"]


def test_a_run_is_created_once_where_the_answer_is_lost(s3):
    s3.network.rules = [Rule("PUT", "/run.json", ("lost",), times=1)]
    s3.told("claim")
    again = s3.act("claim")
    assert again.returncode == 1
    assert "must be new" in again.stderr


def test_a_lock_is_held_by_one(s3):
    s3.told("claim")
    s3.told("leave_stale_lock")
    removals = Rule("POST", r"\?delete", ("lost", "delay"), chance=0.3)
    s3.network.rules = [Rule("*", "/lock", FAULTS, chance=0.1), removals]
    processes = [s3.start("hold", "12") for _ in range(3)]
    # All of them end before any is judged: one that runs on would be another test's fault.
    said = [process.communicate(timeout=300) for process in processes]
    held = []
    for process, (out, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, err
        held += json.loads(out)
    assert len(held) >= 2
    held.sort()
    for (_, end), (begin, _) in itertools.pairwise(held):
        assert end <= begin
