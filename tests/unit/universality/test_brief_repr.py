"""What a notebook prints of a result: a few lines, whatever its arrays weigh."""

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import universality
from universality.brief_repr import brief_repr
from universality.compare import compare
from universality.correlation import correlate
from universality.matching import match
from universality.sae import SparseAutoencoder
from universality.sae.activations import TopK

LARGE = ("ndarray", "DataFrame", "csr_", "csc_", "Tensor", "spmatrix", "Sparse", "Float[", "Int[", "Bool[")


def _public_results():
    packages = [
        name for _, name, is_package in pkgutil.walk_packages(universality.__path__, "universality.") if is_package
    ]
    for name in packages:
        module = importlib.import_module(name)
        for exported in getattr(module, "__all__", ()):
            cls = getattr(module, exported)
            if inspect.isclass(cls) and dataclasses.is_dataclass(cls):
                types = [str(field.type) for field in dataclasses.fields(cls) if "Callable" not in str(field.type)]
                if any(word in text for word in LARGE for text in types):
                    yield cls


def test_every_public_result_that_holds_arrays_is_brief():
    found = list(_public_results())
    assert len(found) > 15
    assert [cls.__name__ for cls in found if cls.__repr__.__module__ != "universality.brief_repr"] == []


def test_what_is_large_is_named_by_kind_and_size():
    @brief_repr
    @dataclasses.dataclass(frozen=True)
    class Found:
        r: object
        hidden: int = dataclasses.field(default=7, repr=False)

    for value, told in (
        (np.zeros((3, 4), np.float32), "<ndarray 3x4 float32>"),
        (pd.DataFrame({"a": [1, 2]}), "<DataFrame 2x1>"),
        (sparse.csr_array((5, 6)), "<csr_array 5x6 float64>"),
        (torch.zeros(2), "<Tensor 2 torch.float32>"),
        ({"m0": np.zeros(9), "m1": 3}, "<dict m0, m1>"),
        (tuple(range(1000)), "<tuple of 1000>"),
        (np.float64(0.25), "np.float64(0.25)"),
        (0.5, "0.5"), ("word", "'word'"), (None, "None"), (True, "True"),
        ("x" * 1000, f"'{'x' * 39}…"), (object(), "<object>"), ({}, "<dict of 0>"),
    ):  # fmt: skip
        assert repr(Found(value)) == f"Found(r={told})"


@pytest.fixture(scope="module")
def acts():
    rng = np.random.default_rng(0)
    return {name: sparse.random_array((600, 40), density=0.2, rng=rng, format="csr") for name in ("m0", "m1")}


def test_results_print_in_a_few_lines(acts):
    similarity = correlate(*acts.values(), top=8)
    weights = torch.zeros(500, 700)
    sae = SparseAutoencoder(weights, torch.zeros(700), weights.T.contiguous(), torch.zeros(500), TopK(2))
    comparison = compare(acts, documents=np.arange(600) // 10, min_firings=5, n_shifts=10)
    for result in (similarity, match(similarity), sae, comparison):
        lines = repr(result).splitlines()
        assert lines[0].startswith(f"{type(result).__name__}(")
        assert len(lines) <= 10
        assert max(map(len, lines)) <= 100
    assert f"pairs=<DataFrame {len(comparison.pairs)}x{comparison.pairs.shape[1]}>" in repr(comparison)
    assert "W_enc=<Tensor 500x700 torch.float32>" in repr(sae)
