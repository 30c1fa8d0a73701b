"""Arrays on disk: .npy files that can be memory-mapped, safetensors, and sparse matrices both ways.

Nothing is ever pickled: object arrays are refused on write, and reading never unpickles.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy import sparse

from storage.errors import InvalidName
from storage.keys import digest


def plain_array(array: Any, where: str) -> np.ndarray:
    """An array of plain numbers or fixed-length text, C order, little endian; a copy only if needed.

    Raises:
        InvalidName: it holds Python objects, or is no array at all.
    """
    array = np.asarray(array, order="C")
    if array.dtype.hasobject:
        raise InvalidName.worded(
            "dtype", where, "numbers or fixed-length text", array.dtype, "Objects are never pickled."
        )
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def save_array(path: Path, array: Any) -> None:
    """Write one .npy file."""
    with open(path, "xb") as file:
        np.lib.format.write_array(file, plain_array(array, f"array {path.stem!r}"), allow_pickle=False)


def load_array(path: Path, mmap: bool) -> np.ndarray:
    """Read one .npy file; mapped read-only, or a copy in memory. Raises ValueError if it is none."""
    if not mmap:
        return np.load(path, allow_pickle=False)
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    return loaded if loaded.ndim else np.asarray(loaded)


# -- sparse matrices: six .npy files; the lengths of the two indptr tell the shape -----------------------


def save_csr(folder: Path, matrix: Any) -> None:
    """Write a sparse matrix as CSR and CSC, int32 indices and float32 values.

    Kept in canonical form: sorted indices, duplicates summed, no explicit zeros.

    Raises:
        InvalidName: not a sparse matrix, too many columns or rows for int32, or a value that float32
            cannot hold.
    """
    where = f"csr {folder.name!r}"
    shape = getattr(matrix, "shape", ())
    if not sparse.issparse(matrix) or len(shape) != 2:
        raise InvalidName.worded(
            "matrix", where, "a scipy sparse matrix", type(matrix).__name__, "Use out.array() if dense."
        )
    if max(shape) > np.iinfo(np.int32).max:
        raise InvalidName.worded("shape", where, "below 2**31", shape, "Split the rows.")
    rows: Any = sparse.csr_array(cast(Any, matrix), copy=True)
    rows.sum_duplicates()
    with np.errstate(over="ignore"):
        values = rows.data.astype(np.float32)
    if not np.array_equal(np.isfinite(values), np.isfinite(rows.data)):
        raise InvalidName.worded("values", where, "in the range of float32", "larger ones", "Rescale them.")
    rows = sparse.csr_array((values, rows.indices, rows.indptr), shape=rows.shape)
    rows.eliminate_zeros()
    columns = rows.tocsc()
    columns.sort_indices()
    folder.mkdir(parents=True)
    for form, compressed in (("csr", rows), ("csc", columns)):
        for part, array in _parts(compressed).items():
            save_array(folder / f"{form}_{part}.npy", array)


def _parts(compressed: Any) -> dict[str, np.ndarray]:
    pointer = np.int32 if compressed.nnz <= np.iinfo(np.int32).max else np.int64
    return {
        "data": compressed.data,
        "indices": compressed.indices.astype(np.int32, copy=False),
        "indptr": compressed.indptr.astype(pointer, copy=False),
    }


def load_csr(paths: Mapping[str, Path], mmap: bool) -> sparse.csr_array:
    """The row form, from the files ``csr_*.npy`` and ``csc_indptr.npy`` by stem."""
    return _load_sparse(sparse.csr_array, "csr", paths, mmap)


def load_csc(paths: Mapping[str, Path], mmap: bool) -> sparse.csc_array:
    """The column form, from the files ``csc_*.npy`` and ``csr_indptr.npy`` by stem."""
    return _load_sparse(sparse.csc_array, "csc", paths, mmap)


def _load_sparse(make: Any, form: str, paths: Mapping[str, Path], mmap: bool) -> Any:
    data, indices, indptr = (load_array(paths[f"{form}_{part}"], mmap) for part in ("data", "indices", "indptr"))
    shape = tuple(len(load_array(paths[f"{side}_indptr"], True)) - 1 for side in ("csr", "csc"))
    matrix = make((data, indices, indptr), shape=shape, copy=False)
    matrix.has_canonical_format = True  # as written; spares scipy a pass over all indices
    return matrix


# -- dictionaries of arrays: safetensors -----------------------------------------------------------------


def pack_tensors(arrays: Mapping[str, Any], where: str, meta: str | None = None) -> bytes:
    """The bytes of a safetensors file; with ``meta`` also that text and a digest over all."""
    from safetensors import SafetensorError
    from safetensors.numpy import save

    packed = {name: plain_array(array, f"{where}, tensor {name!r}") for name, array in arrays.items()}
    header = None if meta is None else {"meta": meta, "digest": _tensors_digest(packed, meta)}
    try:
        return save(packed, metadata=header)
    except (SafetensorError, KeyError) as error:
        kinds = sorted({str(array.dtype) for array in packed.values()})
        raise InvalidName.worded(
            "dtypes", where, "numbers that safetensors knows", kinds, "Use out.array() for others."
        ) from error


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file, in memory, in the order of their names."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        loaded = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {name: loaded[name] for name in sorted(loaded)}


def unpack_tensors(data: bytes) -> tuple[dict[str, np.ndarray], str]:
    """Arrays and ``meta`` from :func:`pack_tensors`. Raises ValueError if any byte has changed."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])["__metadata__"]
        meta, written_digest = header["meta"], header["digest"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"not a whole file: {error}") from error
    if written_digest != _tensors_digest(arrays, meta):
        raise ValueError("its digest does not match")
    return arrays, meta


def _tensors_digest(arrays: Mapping[str, np.ndarray], meta: str) -> str:
    described = [
        [name, str(arrays[name].dtype), arrays[name].shape, digest(arrays[name].tobytes())] for name in sorted(arrays)
    ]
    return digest(json.dumps([described, meta]).encode("utf-8"))
