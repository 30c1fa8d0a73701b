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
