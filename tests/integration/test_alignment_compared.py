"""Models behind different tokenizers: equal on shared rows, and not by the index of their tokens."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import sparse

from universality.alignment import coverage, segments, shared_boundaries, token_ends
from universality.compare import compare

#: Two vocabularies that differ in one merge; single bytes otherwise.
SPLITS = (re.compile(rb"the|ing|an|.", re.DOTALL), re.compile(rb"th|ing|an|.", re.DOTALL))
N_FEATURES = 24


@pytest.fixture(scope="module")
def texts() -> list[bytes]:
    rng = np.random.default_rng(0)
    words = [b"the ", b"thing ", b"and ", b"an ", b"then ", b"sing ", b"\xe4\xb8\xad ", b"ant ", b"q", b"zz ", b"h e "]
    return [b"".join(words[w] for w in rng.integers(len(words), size=60)) for _ in range(120)]


def activations(text: bytes, ends: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of one model, whatever its tokens: a function of the last three bytes that it has read."""
    read = np.frombuffer(b"\0\0\0" + text, np.uint8).astype(np.int64)
    last = np.stack([read[ends + 2 - back] for back in range(3)], axis=1)  # bytes up to each end
    code = (last @ np.array([1, 257, 66_049])) % len(weights)
    return weights[code]


def test_two_copies_of_one_model_agree_on_shared_rows_and_not_by_index(texts):
    rng = np.random.default_rng(1)
    weights = np.where(rng.random((997, N_FEATURES)) < 0.06, rng.gamma(8, 1 / 8, (997, N_FEATURES)), 0)
    order = rng.permutation(N_FEATURES)  # the copy's latents are numbered otherwise
    aligned, by_index, documents, ids = ([], []), ([], []), ([], []), {}
    tokens, shares = [], []
    for number, text in enumerate(texts):
        ends = [token_ends(split.findall(text), text) for split in SPLITS]
        acts = [activations(text, of, of_side) for of, of_side in zip(ends, (weights, weights[:, order]), strict=True)]
        rows = shared_boundaries(ends)
        shares.append(coverage(ends, rows))
        for side in range(2):
            aligned[side].append(acts[side][rows[:, side]])
            by_index[side].append(acts[side][: min(map(len, ends))])
        spelled = segments(text, ends[0][rows[:, 0]])
        tokens += [ids.setdefault(one, len(ids)) for one in spelled]
        documents[0].append(np.full(len(rows), number))
        documents[1].append(np.full(min(map(len, ends)), number))
    assert 0.9 < np.mean(shares) < 1.0
    found = {}
    for name, sides, of, known in (
        ("shared", aligned, documents[0], np.array(tokens)),
        ("index", by_index, documents[1], None),
    ):
        a, b = (sparse.csr_matrix(np.concatenate(side)) for side in sides)
        result = compare({"m0": a, "m1": b}, documents=np.concatenate(of), tokens=known, n_shifts=20, min_firings=10)
        found[name] = result.pairs.set_index(["latent_a", "latent_b"])["r_held_out"]
    latents = np.array(found["shared"].index.tolist())
    assert len(latents) >= 15
    np.testing.assert_array_equal(order[latents[:, 1]], latents[:, 0])
    np.testing.assert_allclose(found["shared"], 1.0, atol=1e-9)
    assert found["index"].mean() < 0.3


def test_what_rows_by_index_call_universal_shared_rows_do_not(texts):
    """Latents that count tokens: by index they are the same at every row, of the same bytes they tell nothing."""
    rng = np.random.default_rng(2)
    sides: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {"index": ([], []), "shared": ([], [])}
    documents: dict[str, list[np.ndarray]] = {"index": [], "shared": []}
    strengths = rng.gamma(8, 1 / 8, (4_000, 12))
    for number, text in enumerate(texts):
        ends = [token_ends(split.findall(text), text) for split in SPLITS]
        counted = [np.arange(len(of))[:, None] % 12 == np.arange(12) for of in ends]
        acts = [fires * strengths[: len(fires)] for fires in counted]
        acts[1] = acts[1][:, ::-1]  # the second model numbers its latents otherwise
        rows = shared_boundaries(ends)
        n = min(map(len, ends))
        for side in range(2):
            sides["index"][side].append(acts[side][:n])
            sides["shared"][side].append(acts[side][rows[:, side]])
        documents["index"].append(np.full(n, number))
        documents["shared"].append(np.full(len(rows), number))
    universal = {}
    for name, (a, b) in sides.items():
        given = {"m0": sparse.csr_matrix(np.concatenate(a)), "m1": sparse.csr_matrix(np.concatenate(b))}
        result = compare(given, documents=np.concatenate(documents[name]), n_shifts=20, min_firings=10)
        universal[name] = int((result.features["class"] == "universal").sum())
    assert universal["index"] == 24
    assert universal["shared"] == 0
