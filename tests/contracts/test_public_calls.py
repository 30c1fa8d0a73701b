"""Every public call of Python gets what it can use, or says in one sentence what it was given, before it computes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from borders import at_length, quick
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from synthetic_run import write_synthetic_run
from visits import TINY

from results import load
from storage import StoreError, open_run, open_store
from universality import graph, indices, neuron_indices
from universality.compare import CompareConfig, compare
from universality.compare_dictionaries import compare_dictionaries
from universality.correlation import (
    PairSums,
    conditional_correlation,
    correlate,
    correlate_dense,
    correlate_pairs,
    correlate_stream,
    pairs_above,
)
from universality.effects import ablate, continue_prompt, push_along, steer, substitute
from universality.errors import UniversalityError
from universality.intervals import resampled_correlations
from universality.matching import match
from universality.nulls import shift_null
from universality.planted import PlantConfig, plant
from universality.planted.calibration import Setting, calibrate
from universality.rows import split_documents
from universality.sae import SparseAutoencoder, load_sae, save_sae
from universality.sae.activations import ReLU
from universality.sae.sae_config import SAETrainingConfig
from universality.sae.training import train_sae, train_saes
from universality.transformers.native import build
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig
from universality.weight_indices import cosine_similarity, decoder_indices

#: Where another argument goes: whatever looked at it would fail with other words.
UNSEEN: Any = object()
RNG = np.random.default_rng(0)
SAE_CONFIG = SAETrainingConfig(d_sae=8, k=2, tokens=100)
SIMILARITY = graph.CrossSimilarity(lambda u, v: np.zeros(len(u)))
MOMENTS = indices.covariances(np.eye(4), np.eye(4))
TABLE = pd.DataFrame({"model": ["m0"]})


def dictionary(**changes):
    parts = {"W_enc": torch.ones(3, 5), "b_enc": torch.ones(5), "W_dec": torch.ones(5, 3), "b_dec": torch.ones(3)}
    return SparseAutoencoder(**{**parts, "activation": ReLU(), **changes})


def edges(u, v, n=1):
    return graph.Edges(np.array(u), np.array(v), np.ones(n))


EDGES = edges([0], [1])
PUSH = push_along("blocks.0.hook_mlp_out", np.ones(3), 1.0)


@cache
def bridge():
    return build(TransformerConfig(d_model=3, n_heads=1, d_vocab=5, n_ctx=4), 0)


class Kind(NamedTuple):
    """Values that an argument of a kind cannot have, and which it can."""

    bad: tuple[Any, ...]
    legal: Callable[[Any], bool] | None = None


def is_whole(value, least=-math.inf):
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)) and value >= least


def is_number(value):
    fits = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))
    return fits and math.isfinite(value)


ODD = ("3", "", 1.5, math.nan, math.inf, True, [], {}, 1j, b"1", np.array([1, 2]), object())
WHOLE = Kind((*ODD, None), is_whole)
COUNT = Kind((*ODD, 0, -1), lambda value: is_whole(value, 1))
NUMBER = Kind(("0.5", math.nan, -math.inf, True, [], 1j, None, np.array([0.5, 1])), is_number)
FLAG = Kind(("yes", 1, 0.0, None, []), lambda value: isinstance(value, (bool, np.bool_)))
FUNCTION = Kind((5, "x", [], np.zeros(2)), callable)
WORD = Kind((5, "", "assignments", None, [], b"max", np.array(["max"])), lambda value: value in ("max", "mutual"))
PATH = Kind((5, None, "", b"x", "a\0b", [], 1.5))
OBJECT = Kind((5, "x", {}, [], object(), np.zeros(3)))
MATRIX = Kind(
    (None, 5, "x", [], [[]], [["a"]], [1, 2], [[1], [1, 2]], [[1j]], np.zeros((2, 2, 2)), sparse.eye_array(3),
     {"a": 1}, np.array([[None]]), torch.eye(2).to_sparse(), np.ma.masked_invalid([[np.nan]]))
)  # fmt: skip
WHOLES = Kind((None, 5, "x", [0.5], ["a"], [[0]], [True], np.array([0.5]), [None], np.zeros((1, 1), int)))
FRAME = Kind((None, 5, {}, [], pd.DataFrame(), TABLE))

#: call and argument -> kind, and the call with a value in its place.
CALLS: dict[tuple[str, str], tuple[Kind, Callable[[Any], Any]]] = {
    ("compare", "root_seed"): (WHOLE, lambda v: compare(UNSEEN, documents=UNSEEN, root_seed=v)),
    ("compare", "threads"): (COUNT, lambda v: compare(UNSEEN, documents=UNSEEN, threads=v)),
    ("compare", "n_ctx"): (COUNT, lambda v: compare(UNSEEN, documents=UNSEEN, n_ctx=v)),
    ("compare", "config"): (OBJECT, lambda v: compare(UNSEEN, documents=UNSEEN, config=v)),
    ("compare", "tau"): (
        Kind(("a", 0, 1, 2, -0.5, math.nan, True, [0.5], 1j)),
        lambda v: compare(UNSEEN, documents=UNSEEN, tau=v),
    ),
    ("compare", "min_firings"): (
        Kind(("a", 1, -3, 1.5, math.nan, True, [20])),
        lambda v: compare(UNSEEN, documents=UNSEEN, min_firings=v),
    ),
    ("compare", "n_shifts"): (
        Kind(("a", 9, 10.5, True, {})),
        lambda v: compare(UNSEEN, documents=UNSEEN, n_shifts=v),
    ),
    ("compare", "raw"): (Kind((5, "x", [1], np.zeros(3))), lambda v: compare(UNSEEN, documents=UNSEEN, raw=v)),
    ("compare", "acts"): (Kind((5, None, {}, [1, 2], np.eye(3))), lambda v: compare(v, documents=UNSEEN)),
    ("correlate", "top"): (COUNT, lambda v: correlate(UNSEEN, UNSEEN, top=v)),
    ("correlate", "threads"): (COUNT, lambda v: correlate(UNSEEN, UNSEEN, threads=v)),
    ("correlate", "A"): (MATRIX._replace(bad=(None, 5, "x", ["a"], {}, [[1j]])), lambda v: correlate(v, UNSEEN)),
    ("correlate_dense", "top"): (COUNT, lambda v: correlate_dense(UNSEEN, UNSEEN, top=v)),
    ("correlate_pairs", "threads"): (COUNT, lambda v: correlate_pairs(UNSEEN, UNSEEN, UNSEEN, UNSEEN, threads=v)),
    ("correlate_pairs", "indices_a"): (WHOLES, lambda v: correlate_pairs(np.eye(3), np.eye(3), v, [0])),
    ("conditional_correlation", "threads"): (
        COUNT,
        lambda v: conditional_correlation(UNSEEN, UNSEEN, UNSEEN, UNSEEN, tokens=UNSEEN, threads=v),
    ),
    ("pairs_above", "threads"): (COUNT, lambda v: pairs_above(UNSEEN, UNSEEN, threads=v)),
    ("PairSums", "n_a"): (COUNT, lambda v: PairSums(v, 1, UNSEEN, UNSEEN)),
    ("PairSums", "indices_b"): (WHOLES, lambda v: PairSums(1, 1, [0], v)),
    ("PairSums.add", "threads"): (COUNT, lambda v: PairSums(1, 1, [0], [0]).add(UNSEEN, UNSEEN, threads=v)),
    ("correlate_stream", "top"): (COUNT, lambda v: correlate_stream(UNSEEN, top=v)),
    ("correlate_stream", "candidate_rows"): (
        Kind((*COUNT.bad, 1), lambda value: is_whole(value, 2)),
        lambda v: correlate_stream(UNSEEN, candidate_rows=v),
    ),
    ("correlate_stream", "threads"): (COUNT, lambda v: correlate_stream(UNSEEN, threads=v)),
    ("correlate_stream", "shards"): (Kind(([],)), correlate_stream),
    ("top_a", "k"): (COUNT, lambda v: correlate(np.eye(3), np.eye(3)).top_a(v)),
    ("match", "method"): (WORD, lambda v: match(UNSEEN, method=v)),
    ("match", "unmatched"): (NUMBER, lambda v: match(UNSEEN, unmatched=v)),
    ("match", "threads"): (COUNT, lambda v: match(UNSEEN, threads=v)),
    ("match", "widen"): (FUNCTION, lambda v: match(UNSEEN, widen=v)),
    ("match", "search"): (FUNCTION, lambda v: match(UNSEEN, search=v)),
    ("match", "similarity"): (MATRIX._replace(bad=(None, 5, "x", ["a"], {}, [[1j]], [[math.nan]])), match),
    ("shift_null", "n_shifts"): (
        COUNT,
        lambda v: shift_null(UNSEEN, UNSEEN, UNSEEN, n_shifts=v, generator=RNG),
    ),
    ("shift_null", "generator"): (
        OBJECT,
        lambda v: shift_null(UNSEEN, UNSEEN, UNSEEN, n_shifts=10, generator=v),
    ),
    ("resampled_correlations", "n_resamples"): (
        COUNT,
        lambda v: resampled_correlations(UNSEEN, UNSEEN, [0], [0], UNSEEN, n_resamples=v, generator=RNG),
    ),
    ("split_documents", "root_seed"): (WHOLE, lambda v: split_documents(UNSEEN, v)),
    ("plant", "root_seed"): (WHOLE, lambda v: plant(root_seed=v, n_rows=UNSEEN)),
    ("plant", "config"): (OBJECT, plant),
    ("plant", "n_models"): (Kind(("a", 1, 2.5, True, None, [])), lambda v: plant(n_models=v)),
    ("calibrate", "matchers"): (Kind((5, "max", ["maxx"], [5], {}, None)), lambda v: calibrate([], v)),
    ("calibrate", "settings"): (Kind((5, "x", [1], [None], {})), calibrate),
    ("calibrate", "n_seeds"): (COUNT, lambda v: calibrate([], n_seeds=v)),
    ("calibrate", "root_seed"): (WHOLE, lambda v: calibrate([], root_seed=v)),
    ("calibrate", "groups"): (FLAG, lambda v: calibrate([], groups=v)),
    ("Setting", "noise"): (Kind(("a", -1, [], True, None)), lambda v: Setting(v, 0.1)),
    ("Setting", "n_rows"): (Kind((10, True, 1500.5)), lambda v: Setting(0.1, 0.1, v)),
    ("load_sae", "path"): (PATH, load_sae),
    ("save_sae", "path"): (PATH, lambda v: save_sae(dictionary(), v)),
    ("save_sae", "sae"): (OBJECT, lambda v: save_sae(v, "there")),
    ("save_sae", "format"): (WORD._replace(legal=None), lambda v: save_sae(dictionary(), "there", v)),
    ("encode", "x"): (MATRIX, lambda v: dictionary().encode(v)),
    ("encode_sparse", "x"): (MATRIX, lambda v: dictionary().encode_sparse(v)),
    ("reconstruct", "x"): (MATRIX, lambda v: dictionary().reconstruct(v)),
    ("decode", "acts"): (MATRIX, lambda v: dictionary().decode(v)),
    ("SparseAutoencoder", "W_enc"): (OBJECT, lambda v: dictionary(W_enc=v)),
    ("SparseAutoencoder", "activation"): (OBJECT, lambda v: dictionary(activation=v)),
    ("ablate", "model"): (OBJECT, lambda v: ablate(v, dictionary(), UNSEEN, "blocks.0.hook_mlp_out")),
    ("ablate", "dictionary"): (OBJECT, lambda v: ablate(bridge(), v, UNSEEN, "blocks.0.hook_mlp_out")),
    ("ablate", "hook_point"): (Kind((5, "", None, [])), lambda v: ablate(bridge(), dictionary(), UNSEEN, v)),
    ("ablate", "horizon"): (COUNT, lambda v: ablate(bridge(), dictionary(), UNSEEN, "x", horizon=v)),
    ("ablate", "latents"): (
        WHOLES._replace(bad=WHOLES.bad[1:]),
        lambda v: ablate(bridge(), dictionary(), UNSEEN, "x", latents=v),
    ),
    ("substitute", "threads"): (
        COUNT,
        lambda v: substitute(bridge(), dictionary(), UNSEEN, "x", UNSEEN, [0], [0], threads=v),
    ),
    ("substitute", "partner_latents"): (
        WHOLES,
        lambda v: substitute(bridge(), dictionary(), UNSEEN, "x", UNSEEN, [0], v),
    ),
    ("steer", "strength"): (NUMBER, lambda v: steer(bridge(), PUSH, UNSEEN, v)),
    ("steer", "push"): (OBJECT, lambda v: steer(bridge(), v, UNSEEN, 1.0)),
    ("continue_prompt", "n_tokens"): (COUNT, lambda v: continue_prompt(bridge(), [0], n_tokens=v)),
    ("continue_prompt", "seed"): (WHOLE, lambda v: continue_prompt(bridge(), [0], seed=v)),
    ("train_sae", "activations"): (MATRIX, lambda v: train_sae(v, SAE_CONFIG, sae_seed=0)),
    ("train_sae", "config"): (OBJECT, lambda v: train_sae(np.eye(4), v, sae_seed=0)),
    ("train_sae", "sae_seed"): (WHOLE, lambda v: train_sae(np.eye(4), SAE_CONFIG, sae_seed=v, state=(1, 2))),
    ("train_sae", "state"): (
        Kind((5, (1, 2), [{}], "x")),
        lambda v: train_sae(np.eye(4), SAE_CONFIG, sae_seed=0, state=v),
    ),
    ("train_sae", "state_every"): (
        COUNT._replace(legal=None),
        lambda v: train_sae(np.eye(4), SAE_CONFIG, sae_seed=0, state_every=v),
    ),
    ("train_sae", "device"): (
        Kind((5.5, "gpu", "", [], None)),
        lambda v: train_sae(np.eye(4), SAE_CONFIG, sae_seed=0, device=v),
    ),
    ("train_saes", "sae_seeds"): (
        Kind((5, "01", [0.5], [0, 0], [], [True], {0: 1})),
        lambda v: train_saes(np.eye(4), SAE_CONFIG, sae_seeds=v, order_seed=0),
    ),
    ("constrained_clusters", "tau"): (
        NUMBER,
        lambda v: graph.constrained_clusters(np.array([0, 1]), EDGES, SIMILARITY, v),
    ),
    ("constrained_clusters", "model_of"): (WHOLES, lambda v: graph.constrained_clusters(v, EDGES, SIMILARITY, 0.5)),
    ("constrained_clusters", "edges"): (
        Kind((5, edges([0], [7]), edges([-1], [1]), edges([0], [0]), edges([0], [1], n=2))),
        lambda v: graph.constrained_clusters(np.array([0, 1]), v, SIMILARITY, 0.5),
    ),
    ("cycle_consistency", "n_draws"): (
        COUNT._replace(legal=None),
        lambda v: graph.cycle_consistency([0, 1], EDGES, RNG, v),
    ),
    ("build_graph", "features"): (FRAME, lambda v: graph.build_graph(v, TABLE)),
    ("is_m_partite", "graph"): (OBJECT, graph.is_m_partite),
    ("mutual_nearest", "partner_a"): (WHOLES, lambda v: indices.mutual_nearest(v, [0], 1, 1)),
    ("covariances", "x"): (MATRIX, lambda v: indices.covariances(v, np.eye(4))),
    ("covariances", "y"): (
        Kind((np.eye(3), np.array([[math.nan]] * 4))),
        lambda v: indices.covariances(np.eye(4), v),
    ),
    ("linear_cka", "c"): (OBJECT, indices.linear_cka),
    ("svcca", "variance"): (Kind((*NUMBER.bad, 1.5, -0.1)), lambda v: indices.svcca(MOMENTS, v)),
    ("representational", "x"): (MATRIX, lambda v: indices.representational(v, np.eye(4), RNG)),
    ("neuron_maxima", "n_rotations"): (
        COUNT._replace(legal=None),
        lambda v: neuron_indices.neuron_maxima(MOMENTS, RNG, v),
    ),
    ("excess_correlation", "maxima"): (OBJECT, neuron_indices.excess_correlation),
    ("universal_neurons", "excess"): (Kind((5, "ab", None, [[["x"]]])), neuron_indices.universal_neurons),
    ("cosine_similarity", "a"): (MATRIX, lambda v: cosine_similarity(v, np.eye(4))),
    ("cosine_similarity", "b"): (Kind((np.eye(3),)), lambda v: cosine_similarity(np.eye(4), v)),
    ("decoder_indices", "decoders"): (
        Kind((5, "ab", [1, 2], None)),
        lambda v: decoder_indices(v, None, ([True], [True]), RNG),
    ),
    ("compare_dictionaries", "a"): (OBJECT, lambda v: compare_dictionaries(v, dictionary())),
    ("compare_dictionaries", "b"): (OBJECT, lambda v: compare_dictionaries(dictionary(), v)),
    ("compare_dictionaries", "threshold"): (
        Kind((*NUMBER.bad, 1.5, -0.1)),
        lambda v: compare_dictionaries(dictionary(), dictionary(), threshold=v),
    ),
    ("compare_dictionaries", "draws"): (
        Kind((*ODD, -1)),
        lambda v: compare_dictionaries(dictionary(), dictionary(), draws=v),
    ),
    ("compare_dictionaries", "root_seed"): (
        WHOLE._replace(legal=None),
        lambda v: compare_dictionaries(dictionary(), dictionary(), root_seed=v, draws=0),
    ),
    ("compare_dictionaries", "threads"): (
        COUNT._replace(legal=None),
        lambda v: compare_dictionaries(dictionary(), dictionary(), threads=v, draws=0),
    ),
    ("offset_power_law", "k"): (Kind((None, "x", [1j], [math.nan])), lambda v: indices.offset_power_law(v, [1.0])),
    ("CompareConfig", "top"): (Kind((True, 4, "x", None, 5.5)), lambda v: CompareConfig(top=v)),
    ("CompareConfig", "method"): (Kind((True, 4, "best", None)), lambda v: CompareConfig(method=v)),
    ("CompareConfig", "taus"): (Kind((5, (), "x")), lambda v: CompareConfig(taus=v)),
    ("SAETrainingConfig", "d_sae"): (
        Kind((True, 0, "x", None, 5.5)),
        lambda v: SAETrainingConfig(d_sae=v, k=1, tokens=5),
    ),
    ("SAETrainingConfig", "architecture"): (
        Kind((True, 0, "top_k", None)),
        lambda v: SAETrainingConfig(d_sae=4, tokens=5, architecture=v),
    ),
    ("TransformerConfig", "n_layers"): (Kind((True, 0, "x")), lambda v: TransformerConfig(n_layers=v)),
    ("TrainingConfig", "lr"): (Kind((True, 0, "x", math.nan)), lambda v: TrainingConfig(lr=v)),
    ("PlantConfig", "burst"): (Kind((True, 0, "x")), lambda v: PlantConfig(burst=v)),
}  # fmt: skip


def sentence_of(act, value):
    """The one sentence in which a call refuses a value; None where it goes on. Other errors go through."""
    try:
        act(value)
    except (UniversalityError, StoreError) as error:
        return str(error)
    return None


def is_one_sentence(text):
    """What must be what, with what there was and what to do, in one line."""
    return re.fullmatch(r"[^\n]+ must be [^\n]+; got [^\n]+[.?)…] ?[^\n]*", text) is not None


@pytest.mark.parametrize(("call", "argument"), CALLS)
def test_a_wrong_argument_is_refused_in_one_sentence(call, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind, act = CALLS[call, argument]
    for value in kind.bad:
        said = sentence_of(act, value)
        assert said is not None, f"{call} took {value!r}"
        assert is_one_sentence(said), said
        assert re.search(rf"\b{argument}\b", said), said
    assert not list(tmp_path.iterdir())


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 5), st.integers(), st.floats(), st.complex_numbers(), st.text(max_size=4),
    st.binary(max_size=3), st.sampled_from(["max", "mutual"]), st.lists(st.integers(), max_size=2), st.just({}),
    st.integers(-3, 5).map(np.int8), st.floats(width=32).map(np.float32), st.booleans().map(np.bool_),
    st.integers(-3, 5).map(np.array), st.integers(-3, 5).map(lambda n: np.array([n])),
    st.integers(1, 3).map(torch.tensor),
)  # fmt: skip
JUDGED = sorted(name for name, (kind, _) in CALLS.items() if kind.legal is not None)


def check_refused_where_illegal(name, value):
    kind, act = CALLS[name]
    single = value.item() if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim == 0 else value
    optional = value is None and name[1] in ("threads", "n_ctx", "widen", "search", "config")
    try:
        said = sentence_of(act, value)
    except Exception:  # of what was not looked at: the argument was taken
        said = None
    refused = said is not None and said.startswith(f"{name[1]} of ")
    assert refused == (not optional and not kind.legal(single)), (name, value, said)


@quick
@given(st.sampled_from(JUDGED), ANYTHING)
def test_an_argument_is_refused_where_it_is_illegal_and_nowhere_else(name, value):
    check_refused_where_illegal(name, value)


@pytest.mark.slow
@at_length()
@given(st.sampled_from(JUDGED), ANYTHING)
def test_an_argument_is_refused_where_it_is_illegal_and_nowhere_else_at_length(name, value):
    check_refused_where_illegal(name, value)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("public") / "store")
    write_synthetic_run(folder, **TINY)
    return folder


STORED = {
    "open_store": (lambda _, v: open_store(v), (5, "", b"x", [], "a\0b")),
    "open_run": (lambda store, v: open_run(v, store), (5, "", "no such", [], b"x", "../x")),
    "load": (lambda store, v: load(v, store=store), (5, "", "no such", [], b"x")),
    "load comparison": (lambda store, v: load(comparison=v, store=store), (5, "", "no such", [])),
    "load store": (lambda _, v: load(store=v), (5, [], b"x")),
    "describe": (lambda store, v: load(store=store).describe(v), (5, "", "pear", None, [])),
    "contexts model": (lambda store, v: load(store=store).contexts(v, 0), (5, "", "m9", None, [])),
    "contexts latent": (lambda store, v: load(store=store).contexts("m0", v), ("0", 1.5, 10**9, -1, None, [], True)),
    "firing latent": (lambda store, v: load(store=store).firing("m0", v), ("0", 1.5, 10**9, -1, None, [], True)),
    "dictionary": (lambda store, v: load(store=store).dictionary(v), (5, "", "m9", None)),
    "table": (lambda store, v: open_run(store=store).table(v), (5, "", "pear", None, [])),
    "table columns": (lambda store, v: open_run(store=store).table("pairs", v), (5, "r", ["x"], [5])),
    "sql": (lambda store, v: open_run(store=store).sql(v), (5, "", "pear", None, [], "select * from pear")),
    "artifact": (lambda store, v: open_run(store=store).artifact(v), (5, "", "pear", None, [])),
    "csr": (lambda store, v: open_run(store=store).artifact("tokens").csr(v), (5, "", "pear", None, [])),
    "get": (lambda store, v: open_store(store).get(v), (5, "", "pear", None, [], "../x")),
    "run": (lambda store, v: open_store(store).run(v), (5, "", "pear", None, [], "../x")),
    "delete_run": (lambda store, v: open_store(store).delete_run(v), (5, "", "pear", None, [], "../x", "..")),
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
def test_what_is_asked_of_a_store_in_vain_is_said_in_one_sentence(stored, name):
    act, values = STORED[name]
    for value in values:
        said = sentence_of(lambda v: act(stored, v), value)
        assert said is not None, f"{name} took {value!r}"
        assert "\n" not in said
        assert len(said.split()) > 5, said


def test_whatever_is_a_number_of_numpy_or_torch_is_one(tmp_path):
    A = sparse.random_array((40, 5), density=0.5, rng=np.random.default_rng(0))
    asked = correlate(A, A, top=np.int64(3), threads=torch.tensor(1))
    np.testing.assert_array_equal(asked.r, correlate(A, A, top=3).r)
    assert match(asked, unmatched=np.float32(0.25)).unmatched == 0.25
    assert CompareConfig(tau=np.float64(0.25), top=np.int64(9)) == CompareConfig(tau=0.25, top=9)
    assert dictionary().encode([[1, 2, 3]]).shape == (1, 5)
