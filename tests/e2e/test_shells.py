"""The program as shells start it: streams that are closed, narrow, of another encoding, or whose reader leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
U = f"{sys.executable} -m pipelines.cli.main"


def shell(command: str, cwd, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command, in which ``U`` is the program."""
    return subprocess.run(
        ["bash", "-c", command.replace("U ", f"{U} ")],
        capture_output=True, text=True, timeout=300, check=False, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("columns", ["0", "-1", "", "x", "3", "99999999999", "1e3"])
def test_a_width_that_is_none_is_a_hundred_columns(tmp_path, columns):
    done = shell("U recipes", tmp_path, COLUMNS=columns)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) > 8
    assert 60 < max(map(len, lines)) <= 100


def test_a_width_that_is_one_is_kept(tmp_path):
    assert max(map(len, shell("U recipes", tmp_path, COLUMNS="60").stdout.splitlines())) <= 60


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("U recipes >&-", 0), ("U recipes 2>&- >/dev/null", 0), ("U recipes <&- >/dev/null", 0),
        ("U ls >&- 2>&- <&-", 0),
        ("U ls 2>/dev/full", 0), ("U show nothing >&-", 2), ("U show nothing 2>&-", 2), ("U gc 2>/dev/full", 2),
        ("U delete nothing <&-", 2), ("U recipes >/dev/full", 1), ("U recipes --json >/dev/full", 1),
        ("set -o pipefail; U schema | true", 0), ("set -o pipefail; U schema | head -1", 0),
        ("set -o pipefail; U verify 2>&1 | true", 2),
    ],
)  # fmt: skip
def test_streams_that_are_closed_full_or_left_change_no_exit_code(tmp_path, command, code):
    done = shell(command, tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_an_encoding_without_our_signs_gets_escapes_and_json_stays_json(tmp_path):
    plain = shell("U show nothing-é 2>&1; U recipes", tmp_path, PYTHONIOENCODING="ascii")
    assert plain.returncode == 0
    assert "nothing-\\xe9" in plain.stdout
    recipe = "recipe: r\ndescription: 'é 𝕊'\n"
    (tmp_path / "r.yaml").write_text(recipe + "models: {kind: native}", encoding="utf-8")
    written = shell("U schema", tmp_path, PYTHONIOENCODING="ascii")
    assert json.loads(written.stdout) == json.loads(shell("U schema", tmp_path).stdout)


#: A long command: progress on stderr, a result on stdout, an exit code of its own.
LONG = """
import sys, time
from pipelines.cli.streams import settle_streams
settle_streams()
from pipelines.cli.progress import Lines
from pipelines.cli.terminal import console, print_json
show = Lines()
show({"event": "run_started", "todo": {"a": 1.0}, "n_reused": 0, "executor": "x"})
for i in range(2000):
    show({"event": "warning", "node": "a", "message": "m" * 50})
show.close()
open("finished", "w").close()
console().print("a result\\n" * 3000)
print_json({"x": 1})
sys.exit(3)
"""


@pytest.mark.parametrize(
    "pipe", ["2>&1 >/dev/null | head -1", "2> >(true) >/dev/null", "2>/dev/null | head -1", "2>/dev/full >&-"]
)
def test_a_run_goes_on_when_nobody_reads_its_progress_or_its_result(tmp_path, pipe):
    (tmp_path / "long.py").write_text(LONG)
    done = shell(f"{sys.executable} long.py {pipe}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "finished").exists()
    assert "Traceback" not in done.stderr


def test_commands_are_printed_so_that_they_can_be_pasted(capsys):
    from types import SimpleNamespace

    from pipelines.cli.execute import tell_next

    tell_next(SimpleNamespace(name="tiny-1"), "/a folder/it's; rm")
    said = capsys.readouterr().err
    script = "universality() { printf '%s|' \"$@\"; echo; }\n" + said.partition("\n")[2]
    pasted = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert pasted.splitlines()[0] == "dash|--store|/a folder/it's; rm|"


def test_without_a_folder_for_compiled_code_everything_works_and_doctor_says_so(tmp_path):
    code = """
from numba.core.caching import CacheImpl
CacheImpl._locator_classes = []  # what a read-only installation without a home comes to
from pipelines.cli.doctor import _compiled
print(_compiled())
import numpy as np, scipy.sparse as sp
from universality.correlation import correlate
x = sp.random_array((500, 20), density=0.2, format="csr", rng=np.random.default_rng(0), dtype=np.float32)
print("largest r", float(np.max(correlate(x, x).r)).__round__(6))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "kept nowhere" in done.stdout
    assert "NUMBA_CACHE_DIR" in done.stdout
    assert "largest r 1.0" in done.stdout


def test_compare_in_a_notebook_with_odd_names_gives_its_results_and_pictures(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((3000, 12)) * (rng.random((3000, 12)) < 0.1)
    for name in ("gpt2 small", 'it\'s "$x$" <b>'):
        np.save(tmp_path / f"{name}.npy", x + 0.01 * (x > 0) * rng.random(x.shape))
    np.save(tmp_path / "docs.npy", np.arange(3000) // 30)
    done = shell(
        "U compare 'gpt2 small.npy' 'it'\"'\"'s \"$x$\" <b>.npy' --documents docs.npy --out out --n-shifts 10 --json",
        tmp_path, MPLBACKEND="module://matplotlib_inline.backend_inline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "could not be made" not in done.stderr
    assert json.loads(done.stdout)["counts"]
    sets = (tmp_path / "out" / "figures" / "membership.csv").read_text()
    assert "'gpt2 small'" in sets
    assert (tmp_path / "out" / "figures" / "membership.pdf").stat().st_size > 1000
