"""The border where matrices come in: one check, for every function that is given activations.

A sparse matrix is three arrays that nobody has to keep true, and compiled code reads and writes where its indices
point. All of them are looked at here before anything does: passes over the stored values, no copy unless one is needed.
"""

from typing import Any, Protocol, TypeGuard

import numpy as np
from scipy import sparse

from universality.correlation.threads import blocks, over_blocks
from universality.errors import refusal, require

# A canonical scipy CSR array; scipy ships no types.
Csr = Any

#: Largest magnitude that a column may have, and (inverse) the least: products of squares stay far from the ends of
#: float64, and pivots (float32) far from those of float32.
LARGEST = 1e30
_COMPRESSED = {"csr": 0, "csc": 1, "bsr": 0}
_ENTRIES = 1 << 18


class Matrix(Protocol):
    """A real matrix (n_rows, n_latents): scipy sparse of any format, numpy array or memory map, torch tensor."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """Rows and latents."""
        ...


def is_dense(matrix: Matrix) -> TypeGuard[np.ndarray]:
    """Whether a matrix is a dense array (or memory map), not a scipy sparse one."""
    return not sparse.issparse(matrix)


def aligned(A: Any, B: Any) -> tuple[Any, Any, int]:
    """Two matrices over the same rows, and how many: sparse ones as they are, others as :func:`as_dense` gives them.

    Raises:
        InputError: not two-dimensional, not numbers, or different rows; both sides must hold the same tokens in the
            same order.
    """
    a, b = (_two_dimensional(matrix, where) for matrix, where in ((A, "A"), (B, "B")))
    remedy = "Pass activations of the same tokens in the same order."
    require(a.shape[0] == b.shape[0], "number of rows", "B", f"{a.shape[0]}, as in A", b.shape[0], remedy)
    return a, b, int(a.shape[0])


def _two_dimensional(matrix: Any, where: str) -> Any:
    given = as_dense(matrix, where) if is_dense(matrix) else matrix
    _check_shape(given.shape, where)
    return given


def as_dense(matrix: Any, where: str) -> np.ndarray:
    """A dense matrix of real numbers as numpy knows them; arrays and memory maps stay as they are.

    Args:
        matrix: array or memory map, torch tensor on any device, data frame, nested list.
        where: how to call it in an error.

    Raises:
        InputError: a sparse torch tensor, masked values, or no real numbers.
    """
    if type(matrix).__module__.partition(".")[0] == "torch":
        strided = str(matrix.layout) == "torch.strided"
        remedy = "Convert it with scipy.sparse.csr_matrix, or to_dense()."
        require(strided, "layout", where, "torch.strided or a scipy sparse matrix", str(matrix.layout), remedy)
        matrix = matrix.detach().cpu()
        matrix = (matrix.float() if matrix.is_floating_point() and matrix.dtype.itemsize == 2 else matrix).numpy()
    if isinstance(matrix, np.ma.MaskedArray):
        n_masked = int(np.ma.count_masked(matrix))
        require(n_masked == 0, "mask", where, "empty", f"{n_masked} masked values", "Replace them or drop their rows.")
        matrix = matrix.data
    if not hasattr(matrix, "dtype"):
        try:
            matrix = np.asarray(matrix)
        except ValueError as error:
            raise refusal("content", where, "an array", str(error), "Make all rows of one length.") from error
    is_real = getattr(matrix.dtype, "kind", "") in "bfiu"
    require(is_real, "type", where, "real numbers", matrix.dtype, "Convert the values first.")
    return matrix


def as_csr(matrix: Any, where: str, threads: int = 1) -> Csr:
    """Validate a matrix and return it as canonical CSR without stored zeros; the input stays as it is.

    Args:
        matrix: scipy sparse of any format or dense, shape (n_rows, n_latents), real and finite.
        where: how to call it in an error.
        threads: threads that look at it.

    Returns:
        CSR with float32 values (float64 if the input has them), sorted indices, no duplicates, no zeros, native byte
        order.

    Raises:
        InputError: not two-dimensional, indices outside the shape, index pointers that fall or end elsewhere than the
            values, values that are not finite, or columns of a largest magnitude beyond 1e30 or below 1e-30.
    """
    content: Any = as_dense(matrix, where) if is_dense(matrix) else matrix
    _check_shape(content.shape, where)
    is_real = content.dtype.kind in "bfiu"
    require(is_real, "type", where, "real numbers", content.dtype, "Convert the values first.")
    dtype = np.float32 if content.dtype in (np.float32, np.float16) or content.dtype.itemsize < 4 else np.float64
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused below
        if is_dense(content):
            csr: Csr = sparse.csr_array(np.asarray(content, dtype))
        else:
            _check_structure(content, where, threads)
            made = (content if content.dtype == dtype else content.astype(dtype)).tocsr()
            # Lists of lists and the like are only arrays now; flags that a matrix keeps of itself may be out of date.
            if made.indices is not getattr(content, "indices", None):
                _check_compressed(made, where, threads)
            csr = sparse.csr_array((made.data, made.indices, made.indptr), shape=made.shape)
        if _rises(csr, threads):
            csr.has_canonical_format = True
        else:
            csr = csr.copy()
            csr.sum_duplicates()
        low, high, is_full = _extremes(csr.data, threads)
        if not is_full:
            csr = csr.copy()
            csr.eliminate_zeros()
    if csr.nnz:
        _check_values(csr, low, high, where)
    return csr


def check_range(low: np.ndarray, high: np.ndarray, where: str) -> None:
    """Columns from these lowest to these highest values are finite, and squares of theirs do not leave float64.

    Args:
        low, high: (n_columns,) float64.
        where: how to call the matrix in an error.

    Raises:
        InputError: names the first column at fault.
    """
    finite = np.isfinite(low) & np.isfinite(high)
    if not finite.all():
        column, remedy = int(np.argmin(finite)), "Replace or drop them."
        raise refusal("every value", where, "finite", f"NaN or infinite values in column {column}", remedy)
    peak = np.maximum(np.abs(low), np.abs(high))
    fits = (peak == 0) | ((peak <= LARGEST) & (peak >= 1 / LARGEST))
    if not fits.all():
        column, constraint = int(np.argmin(fits)), f"of a largest magnitude in {1 / LARGEST:g}..{LARGEST:g}, or zero"
        remedy = "Multiply the column by a constant: no correlation changes."
        raise refusal(f"column {column}", where, constraint, f"{peak[column]:.3g}", remedy)


def _check_shape(shape: tuple[Any, ...], where: str) -> None:
    remedy = "Pass a two-dimensional matrix."
    require(len(shape) == 2, "shape", where, "(n_rows, n_latents)", tuple(shape), remedy)
    remedy = "Compare fewer at a time."
    require(max(shape) < 2**31, "shape", where, "below 2**31 each way", tuple(shape), remedy)


def _check_structure(matrix: Any, where: str, threads: int) -> None:
    """What a conversion to CSR would follow without looking."""
    if matrix.format in _COMPRESSED:
        _check_compressed(matrix, where, threads)
    elif matrix.format == "coo":
        remedy = "Save it again, from scipy or with check_format()."
        sizes = {len(part) for part in (*matrix.coords, matrix.data)}
        require(len(sizes) == 1, "row, column and value arrays", where, "of one length", sorted(sizes), remedy)
        for name, index, size in zip(("row", "column"), matrix.coords, matrix.shape, strict=True):
            _check_index(name, index, size, where, threads)


def _check_compressed(matrix: Any, where: str, threads: int) -> None:
    """Index pointers rise from 0 to the number of values, and indices point inside the shape."""
    axis = _COMPRESSED[matrix.format]
    block = matrix.blocksize if matrix.format == "bsr" else (1, 1)
    n_major, n_minor = matrix.shape[axis] // block[axis], matrix.shape[1 - axis] // block[1 - axis]
    indptr, n_stored = np.asarray(matrix.indptr), len(matrix.data)
    remedy = "Save it again, from scipy or with check_format()."
    is_list = indptr.dtype.kind in "iu" and indptr.shape == (n_major + 1,)
    got = f"shape {indptr.shape} of {indptr.dtype}"
    require(is_list, "index pointer (indptr)", where, f"{n_major + 1} integers", got, remedy)
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if indptr[0] != 0 or falls.size:
        got = f"{indptr[0]} first" if indptr[0] != 0 else f"{indptr[falls[0] + 1]} after {indptr[falls[0]]}"
        raise refusal("index pointer (indptr)", where, "0 at first, and never falling", got, remedy)
    ends = int(indptr[-1]) == len(matrix.indices) == n_stored
    got = f"{indptr[-1]}, of {len(matrix.indices)} indices and {n_stored} values"
    require(ends, "last index pointer (indptr[-1])", where, "the number of indices and of values", got, remedy)
    _check_index("row" if axis else "column", matrix.indices, n_minor, where, threads)


def _check_index(name: str, index: Any, size: int, where: str, threads: int) -> None:
    index = np.asarray(index)
    is_list = index.ndim == 1 and index.dtype.kind in "iu"
    remedy = "Save it again, from scipy or with check_format()."
    require(is_list, f"{name} indices", where, "a list of integers", f"shape {index.shape} of {index.dtype}", remedy)
    if index.size == 0:
        return
    low, high, _ = _extremes(index, threads)
    low, high = int(low), int(high)
    remedy = f"Correct the shape, or the {name} numbers (they start at 0; those of Julia, R and Matlab at 1)."
    fits = low >= 0 and high < size
    require(fits, f"{name} index", where, f"below {size}, and not negative", low if low < 0 else high, remedy)


def _check_values(csr: Csr, low: Any, high: Any, where: str) -> None:
    """Values from ``low`` to ``high`` (not finite if any is not) are finite, and their squares stay numbers."""
    low, high = float(low), float(high)  # a float32 of 1e30 is beyond it
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(np.count_nonzero(~np.isfinite(csr.data)))
        got = f"{bad} NaN or infinite values"
        raise refusal("every value", where, "finite", got, "Replace or drop them.")
    least = low if low > 0 else float(np.abs(csr.data).min())
    if least < 1 / LARGEST or max(-low, high) > LARGEST:
        lowest, highest = np.zeros(csr.shape[1]), np.zeros(csr.shape[1])
        np.minimum.at(lowest, csr.indices, csr.data)
        np.maximum.at(highest, csr.indices, csr.data)
        check_range(lowest, highest, where)


def _extremes(values: np.ndarray, threads: int) -> tuple[Any, Any, bool]:
    """Least and greatest of some numbers (NaN if there is one), and whether none is 0; (0, 0, True) of none."""
    parts: list[tuple[Any, Any, bool]] = []

    def work(_: None, first: int, last: int) -> None:
        here = values[first:last]
        parts.append((here.min(), here.max(), bool(here.all())))

    over_blocks(work, blocks(len(values), _ENTRIES), [None] * threads)
    if not parts:
        return 0, 0, True
    lows, highs, full = zip(*parts, strict=True)
    return np.min(lows), np.max(highs), all(full)


def _rises(csr: Csr, threads: int) -> bool:
    """Whether indices rise within every row: sorted, and none twice."""
    indices, indptr = csr.indices, csr.indptr
    falls: list[int] = []

    def work(_: None, first: int, last: int) -> None:
        # Entry s may stand at or below the one before it only where it is the first of a row.
        at = np.flatnonzero(indices[first + 1 : last + 1] <= indices[first : min(last, len(indices) - 1)]) + first + 1
        if not (indptr[np.searchsorted(indptr, at.astype(indptr.dtype))] == at).all():
            falls.append(first)

    over_blocks(work, blocks(max(len(indices) - 1, 0), _ENTRIES), [None] * threads)
    return not falls
