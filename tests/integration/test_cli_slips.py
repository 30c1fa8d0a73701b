"""Slips on the command line: one plain sentence with its remedy, exit code 2, and no words of a library."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from program import universality
from synthetic_run import write_synthetic_run
from visits import TINY

#: Words of libraries and of Python that nobody should have to know.
FOREIGN = ("Value error", "Input should", "Errno", "allow_pickle", "Traceback", "None", "must be one of nothing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with a run, one without, a file, and activations."""
    root = tmp_path_factory.mktemp("slips")
    write_synthetic_run(str(root / "store"), **TINY)
    (root / "empty").mkdir()
    (root / "file.npz").write_bytes(b"\x00\x01\xff\xfe not numpy")
    for name in "abu":
        sp.save_npz(
            root / f"{name}.npz", sp.random(400, 12, 0.3, format="csr", random_state=ord(name)).astype("float32")
        )
    (root / "cut.npz").write_bytes((root / "a.npz").read_bytes()[:200])
    np.save(root / "documents.npy", np.repeat(np.arange(20), 20))
    return root


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("show --store {0}/empty", "There are no runs in {0}/empty yet. Compute one: universality run quickstart."),
        ("report nope --store {0}/empty --out {0}/r", "There is no run 'nope': there are no runs in {0}/empty yet."),
        ("show sinthetic --store {0}/store", "Did you mean 'synthetic'? It has synthetic."),
        ("ls --store {0}/file.npz", "{0}/file.npz is a file, and a store is a folder. Give another --store."),
        ("run tiny --store {0}/file.npz", "is a file, and a store is a folder"),
        ("run tiny --serial --store {0}/file.npz/x", "{0}/file.npz/x cannot be read or written: not a directory."),
        ("report synthetic --store {0}/store --out {0}/file.npz/x", "cannot be read or written: not a directory."),
        ("plan tiny --store {0}/empty --name a/b", "A run cannot be called 'a/b': a name is made of letters"),
        ("plan tiny --store {0}/empty --name a/b", "Call it 'a-b'."),
        ("run tiny --store {0}/empty --name ..", "A run cannot be called '..'"),
        ("run tiny --store {0}/empty --workers 0", "'--workers': must be 1 or more"),
        ("dash --store {0}/empty --port many", "'--port': must be a whole number"),
        ("dash --store {0}/empty --port 70000", "'--port': must be 65535 or less"),
        ("export synthetic --store {0}/store --format x --out {0}/e", "'--format': 'x' is not one of 'pairs',"),
        ("steer synthetic 1 --store {0}/store", "steer needs one of --prompt TEXT"),
        ("plan {0}/empty --store {0}/empty", "must be a file; got the folder {0}/empty"),
        ("rnu tiny", "Did you mean 'run'?"),
        ("compare {0}/a.npz {0}/b.npz --documents {0}/documents.npy --untrained u0={0}/u.npz --out {0}/c",
         "untrained of compare must be two dictionaries at least"),
        ("compare {0}/a.npz {0}/file.npz --out {0}/c", "a whole .npy or .npz without pickles; got pickled objects"),
        ("compare {0}/a.npz {0}/cut.npz --out {0}/c", "an archive that is cut short or damaged"),
    ],
)  # fmt: skip
def test_a_slip_is_one_sentence(folder, command, said):
    done = universality(*command.format(folder).split())
    assert said.format(folder) in done.stderr
    assert done.exit_code == 2
    assert [word for word in FOREIGN if word in done.stderr] == []
    assert len([line for line in done.stderr.splitlines() if line.startswith(("universality:", "Error:"))]) == 1


def test_nothing_is_written_by_a_run_that_cannot_be_named(folder):
    universality("run", "tiny", "--serial", "--store", str(folder / "empty"), "--name", "a b/c")
    assert list((folder / "empty").iterdir()) == []
