"""Validation of what people bring: clear words instead of wrong figures."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from universality.compare.marks import ScatteredDocuments
from universality.errors import require
from universality.matrices import LARGEST, as_csr, as_dense
from universality.rows import Rows, check_unmasked, split_documents


def checked_rows(
    n_rows: int, documents: Any, columns: Mapping[str, Any], fit: Any, root_seed: int, n_ctx: int | None
) -> Rows:
    """The rows of a comparison, split unless ``fit`` is given.

    Args:
        n_rows: rows of the activations. documents: (n_rows,) int. columns: sources, domains, tokens, positions and
            next_tokens, each (n_rows,) or None. fit: (n_rows,) bool or None. root_seed: of the split. n_ctx: tokens
            a context or None.

    Raises:
        InputError: another number of rows, documents of one row each without sources, or what :class:`Rows` refuses.
    """
    check_unmasked("documents", documents)
    documents, sources = np.asarray(documents), columns["sources"]
    fits = documents.ndim == 1 and documents.size == n_rows
    remedy = "Give the document of each row of the activations."
    require(fits, "shape", "documents", f"({n_rows},)", documents.shape, remedy)
    is_number = documents.dtype.kind in "iu"
    remedy = "Number them: numpy.unique(documents, return_inverse=True)[1]."
    require(is_number, "documents", "rows", "integers", str(documents.dtype), remedy)
    n_documents = np.unique(documents).size
    # Each row its own document would make every row independent of its neighbours: chance far too low, intervals far
    # too narrow, and no level that a document explains.
    remedy = (
        "Give the text that each row comes from (every 512 rows, say, if it is not known); if rows are truly "
        "independent, give the same numbers as sources too."
    )
    got = f"{n_documents:,} documents of {n_rows:,} rows"
    require(n_documents < n_rows or sources is not None, "documents", "rows", "of several rows", got, remedy)
    n_stretches = 1 + int(np.count_nonzero(documents[1:] != documents[:-1]))
    if n_stretches > n_documents:
        message = (
            f"The rows of {n_documents:,} documents lie in {n_stretches:,} stretches. That is right for shuffled rows "
            "only: numbers that count something else (a position, a batch) make every split, chance level and interval "
            "wrong."
        )
        warnings.warn(message, ScatteredDocuments, stacklevel=4)
    if fit is None:
        fit = split_documents(documents, root_seed, columns["domains"], sources)
    return Rows(documents, np.asarray(fit), n_ctx=n_ctx, **columns)


def by_id(value: Mapping[str, Any] | None, what: str) -> Mapping[str, Any]:
    """An argument that is keyed by ids; empty where it is not given.

    Raises:
        InputError: no mapping, or an id that is no text.
    """
    remedy = "Give a dictionary: {id: matrix}."
    require(value is None or isinstance(value, Mapping), what, "compare", "a mapping", type(value).__name__, remedy)
    named = [key for key in value or {} if not isinstance(key, str)]
    require(not named, f"ids of {what}", "compare", "text", named[:3], remedy)
    return value or {}


def checked_matrices(matrices: Mapping[str, Any], what: str, n_rows: int | None = None) -> dict[str, sparse.csr_matrix]:
    """Canonical CSR matrices over the same rows; inputs stay as they are.

    Args:
        matrices: scipy sparse (n_rows, d_sae) by id.
        what: how to call them in an error.
        n_rows: rows they must have; by default those of the first.

    Returns:
        CSR by id, float32 or float64 values, sorted indices, no stored zeros.

    Raises:
        InputError: not sparse, other rows, or what :func:`universality.matrices.as_csr` refuses.
    """
    out = {}
    for name, given in matrices.items():
        where = f"{what}[{name!r}]"
        check_name(str(name), what)
        require(str(name) not in out, "names", what, "different as text", repr(name), "Rename one of them.")
        is_sparse = sparse.issparse(given) and getattr(given, "ndim", 0) == 2
        remedy = "Wrap dense activations in scipy.sparse.csr_matrix."
        require(is_sparse, where, "compare", "a scipy sparse matrix", type(given).__name__, remedy)
        csr = sparse.csr_matrix(as_csr(given, where))
        n_rows = csr.shape[0] if n_rows is None else n_rows
        remedy = "Every model reads the same rows in the same order."
        require(csr.shape[0] == n_rows, "number of rows", where, str(n_rows), csr.shape[0], remedy)
        out[str(name)] = csr
    return out


def check_name(name: str, where: str) -> None:
    """Refuse an id that tables, graphs or files could not hold or would take apart.

    Raises:
        InputError: an empty one, control characters, half surrogates, or ``;``, which stands between members.
    """
    legal = re.fullmatch("[^;\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,200}", name) is not None
    constraint = "text of at most 200 characters, none of them a control character or ';'"
    require(legal, "name of a model", where, constraint, repr(name), "Give it another name.")


def checked_models(acts: Mapping[str, Any]) -> dict[str, sparse.csr_matrix]:
    """The primary dictionaries; at least two.

    Raises:
        InputError: fewer than two models, or anything of :func:`checked_matrices`.
    """
    n_models = len(acts) if isinstance(acts, Mapping) else type(acts).__name__
    several = isinstance(acts, Mapping) and len(acts) >= 2
    remedy = "Universality is a relation between models: give each one's activations under its own id."
    require(several, "acts", "compare", "a mapping of at least two models", n_models, remedy)
    matrices = checked_matrices(acts, "acts")
    n_rows = next(iter(matrices.values())).shape[0]
    require(n_rows, "number of rows", "acts", "at least 1", 0, "Give activations of some tokens.")
    return matrices


def checked_raw(raw: Mapping[str, Any] | None, what: str, names: tuple[str, ...], n_rows: int) -> dict[str, Any]:
    """Raw activations by id: two-dimensional, of the same rows, under ids that exist.

    Anything with ``shape`` that takes integer-array indices is accepted, memory maps included; values are
    checked to be finite where they are used.

    Raises:
        InputError: an unknown id, another shape, or values that are not finite.
    """
    out = {}
    for name, given in (raw or {}).items():
        where = f"{what}[{name!r}]"
        require(name in names, "names", what, f"among {', '.join(names)}", name, "Use the ids of the models.")
        array = as_dense(given, where)
        fits, remedy = array.shape[:1] == (n_rows,), "Give the activations behind the latents, one row per token."
        require(fits, "shape", where, f"({n_rows}, d_in)", array.shape, remedy)
        out[str(name)] = _finite(array, where)
    return out


def _finite(array: np.ndarray, where: str) -> np.ndarray:
    """A two-dimensional array as it is, once every value is seen to be finite and of a magnitude with a square."""
    require(len(array.shape) == 2, "shape", where, "two-dimensional", array.shape, "Reshape it.")
    for first in range(0, array.shape[0], 65_536):
        block = np.asarray(array[first : first + 65_536])
        fits = np.isfinite(block).all() and np.abs(block).max(initial=0) <= LARGEST
        require(fits, "every value", where, f"finite, of at most {LARGEST:g}", "others", "Replace or drop them.")
    return array


def checked_weights(
    weights: Mapping[str, Any] | None, acts: Mapping[str, sparse.csr_matrix], raw: Mapping[str, Any]
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Decoders and encoders by id: one row per latent, as wide as the raw activations where these are given.

    Raises:
        InputError: an unknown id, or a shape that does not fit.
    """
    out = {}
    for name, value in (weights or {}).items():
        where = f"weights[{name!r}]"
        remedy = "Use the ids of the models, their replicates and untrained models."
        require(name in acts, "names", "weights", f"among {', '.join(acts)}", name, remedy)
        pair = value if isinstance(value, tuple) else (value, None)
        remedy = "Give W_dec, or (W_dec, W_enc.T)."
        require(len(pair) == 2, where, "compare", "a matrix or a pair of them", f"{len(pair)} of them", remedy)
        decoder, encoder = pair
        decoder = _finite(as_dense(decoder, where), where)
        encoder = None if encoder is None else _finite(as_dense(encoder, where), where)
        width = raw[name].shape[1] if name in raw else "d_in"
        shape, n_latents = np.shape(decoder), acts[name].shape[1]
        fits = len(shape) == 2 and shape[0] == n_latents and width in (shape[1], "d_in")
        remedy = "Give W_dec, one row per latent, of the dictionary that reads these raw activations."
        require(fits, "decoder", where, f"of shape ({n_latents}, {width})", shape, remedy)
        encoder_shape = shape if encoder is None else np.shape(encoder)
        remedy = "Give W_enc transposed, one row per latent."
        require(encoder_shape == shape, "encoder", where, f"of shape {shape}", encoder_shape, remedy)
        out[str(name)] = (np.asarray(decoder), None if encoder is None else np.asarray(encoder))
    return out


def checked_logits(
    logits: Mapping[str, Any] | None,
    models: tuple[str, ...],
    rows: Rows,
    weights: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
) -> dict[str, Any]:
    """Maps from raw activations to the logits by model: two-dimensional, one vocabulary that holds every next token.

    Raises:
        InputError: an unknown id, another shape, another width than the decoder's, unequal vocabularies, or a next
            token outside.
    """
    sizes, out = {}, {}
    for name, array in (logits or {}).items():
        where = f"logits[{name!r}]"
        out[name] = _finite(as_dense(array, where), where)
        shape = out[name].shape
        require(
            name in models,
            "names",
            "logits",
            f"among {', '.join(models)}",
            name,
            "Use the ids of the models.",
        )
        width = weights[name][0].shape[1] if name in weights else shape[0]
        remedy = "Give the map from the activations that the dictionary reads and writes."
        require(shape[0] == width, "d_in", where, f"{width}, as its decoder", shape[0], remedy)
        sizes[name] = shape[1]
    remedy = "Effects are compared token by token: use models of one tokenizer."
    require(len(set(sizes.values())) <= 1, "d_vocab", "logits", "equal for all models", sizes, remedy)
    d_vocab = next(iter(sizes.values()), None)
    largest = -1 if rows.next_tokens is None else int(rows.next_tokens.max())
    fits = d_vocab is None or largest < d_vocab
    require(fits, "next_tokens", "rows", f"below d_vocab {d_vocab}", largest, "Give ids of the same vocabulary.")
    return out


def checked_names(models: tuple[str, ...], replicates: tuple[str, ...], untrained: tuple[str, ...]) -> None:
    """Ids are unique across all roles.

    Raises:
        InputError: one id has two roles.
    """
    names = (*models, *replicates, *untrained)
    twice = sorted({name for name in names if names.count(name) > 1})
    remedy = "Rename models, replicates or untrained models."
    require(not twice, "ids", "compare", "unique across all roles", ", ".join(twice), remedy)
