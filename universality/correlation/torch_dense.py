"""The same similarities by way of a GPU: dense products nominate, the exact kernel decides.

A GPU multiplies dense blocks fast, but in float32 and in an order of its own. So it only says which pairs *can* be
among the best of either latent, by a proven upper bound of r. Those are scored exactly, and a latent whose list
the bound does not settle is walked by the CPU kernel. What comes out is what the CPU kernel gives, byte for byte,
whatever the device: a device is no parameter of a result.

Its price is that of a dense product, less what rare latents save. It pays where many latents are active per row,
or where the input is dense (neurons); for sparse rows the CPU kernel does a small part of that work.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy import sparse

from universality.correlation.inputs import Csr, Matrix, check_same_rows, is_dense
from universality.correlation.list_filling import exact_lists
from universality.correlation.neurons import dense_moments
from universality.correlation.operands import KernelOperand, operands
from universality.correlation.pairs import pair_products
from universality.correlation.threads import n_threads
from universality.correlation.top import TopSimilarity, best_of, from_lists
from universality.correlation.torch_blocks import (
    DEFAULT_SIZES,
    DenseOperand,
    Nominees,
    Sizes,
    SparseOperand,
    full_precision,
    nominate,
)
from universality.errors import InputError, must_be

_SLACK = 16  # nominees beyond a full list, so that rounding seldom leaves a list unsettled
Lists = tuple[np.ndarray, np.ndarray]


def correlate_on(
    A: Matrix,
    B: Matrix,
    *,
    top: int,
    device: str,
    threads: int | None = None,
    sizes: Sizes = DEFAULT_SIZES,
    dtype: torch.dtype = torch.float32,
) -> TopSimilarity:
    """:func:`~universality.correlation.correlate` with its products on a torch device.

    Args:
        A: scipy sparse or dense (n_rows, n_a).
        B: (n_rows, n_b), the same rows in the same order.
        top: length of each latent's list, >= 1.
        device: ``"cuda"``, ``"cuda:1"``, or ``"cpu"``.
        threads: threads of the exact scoring; no byte of the result depends on it.
        sizes: rows and latents per block.
        dtype: precision of the products; any gives the same result, float64 settles more lists at once.

    Returns:
        The bytes of the CPU kernel, if A or B is sparse. Two dense arrays are multiplied in float64: r to 1e-12 of
        the CPU's, and the same lists unless similarities agree to the last digits. Device memory grows with
        ``nnz + (n_a + n_b) top`` and with ``sizes``.

    Raises:
        InputError: a device that is not there; different rows or not finite.

    Source: ours.
    """
    where = checked_device(device)
    if is_dense(A) and is_dense(B):
        return _dense_inputs(A, B, top, sizes, where)
    left, right = operands(A, B)
    n_a, n_b = left.ids.size, right.ids.size
    widths = min(top + _SLACK, n_b), min(top + _SLACK, n_a)
    with full_precision(where):
        a, b = (SparseOperand(side, sizes, where, dtype) for side in (left, right))
        nominees = nominate(a, b, widths, sizes, where) if n_a and n_b else None
    if nominees is None:
        empty = np.zeros(0, np.int64), np.zeros(0)
        lists = [best_of(empty[0], *empty, side.n_latents, top) for side in (left, right)]
    else:
        lists = _exact(left, right, nominees, top, n_threads(threads))
    return from_lists(lists[0], lists[1], left.alive, right.alive, n_rows=left.n_rows, top=top)


def checked_device(device: str) -> torch.device:
    """The torch device of a name.

    Raises:
        InputError: not a CPU or a CUDA device, or not on this machine.
    """
    constraint = "'cpu', or a CUDA device of this machine such as 'cuda' or 'cuda:0'"
    remedy = "Leave it out to use the sparse kernel on the CPU."
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(must_be("device", "correlate", constraint, device, remedy)) from error
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if resolved.type != "cpu" and not (resolved.type == "cuda" and (resolved.index or 0) < n_devices):
        raise InputError(must_be("device", "correlate", constraint, device, remedy))
    return resolved


def _exact(
    left: KernelOperand, right: KernelOperand, nominees: tuple[Nominees, Nominees], top: int, threads: int
) -> list[Lists]:
    """Score the nominees, keep the best, and walk the latents whose lists the bounds leave open."""
    (of_a, by_a, upper_a), (of_b, by_b, upper_b) = (_pairs(side) for side in nominees)
    key, first = np.unique(
        np.concatenate([of_a, by_b]) * np.int64(right.ids.size) + np.concatenate([by_a, of_b]),
        return_index=True,
    )
    a, b = key // right.ids.size, key % right.ids.size
    r = _scores(left, right, a, b, threads)
    upper = np.concatenate([upper_a, upper_b])[first]
    trusted = bool((r <= upper).all())
    if not trusted:
        warnings.warn(
            "The device's products are less exact than its arithmetic promises; the CPU kernel did the work.",
            RuntimeWarning,
            stacklevel=4,
        )
    return [
        _settled(left, right, a, b, nominees[0], r, top, threads, trusted),
        _settled(right, left, b, a, nominees[1], r, top, threads, trusted),
    ]


def _pairs(nominees: Nominees) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n * width,) place of the latent, place of its nominee, and upper bound of their r."""
    partner, upper = nominees.partner.cpu().numpy(), nominees.upper.cpu().numpy()
    at = np.repeat(np.arange(partner.shape[0]), partner.shape[1])
    return at, partner.ravel(), upper.ravel()


def _scores(
    left: KernelOperand, right: KernelOperand, a: np.ndarray, b: np.ndarray, threads: int
) -> np.ndarray:
    """r of pairs of places, in the kernel's own order of operations, hence its bytes."""
    columns_a, columns_b = _columns(left), _columns(right)
    ia, ib = left.ids[a].astype(np.int64), right.ids[b].astype(np.int64)
    products = np.empty(a.size)
    # The rarer latent of a pair is walked, the other one is spread out: the order of the sum is the same.
    count_a, count_b = np.diff(columns_a.indptr)[ia], np.diff(columns_b.indptr)[ib]
    walk_b = count_a >= count_b
    walk_a = ~walk_b
    products[walk_b], _ = pair_products(columns_a, columns_b, ia[walk_b], ib[walk_b], threads)
    products[walk_a], _ = pair_products(columns_b, columns_a, ib[walk_a], ia[walk_a], threads)
    means = left.total[a] * right.total[b] * (1.0 / left.n_rows)
    return (products - means) * (left.scale[a] * right.scale[b])


def _columns(side: KernelOperand) -> Csr:
    by_latent = side.by_latent
    return sparse.csc_array(
        (by_latent.values, by_latent.rows, by_latent.indptr), shape=(side.n_rows, side.n_latents)
    )


def _settled(
    side: KernelOperand,
    other: KernelOperand,
    at: np.ndarray,
    partner: np.ndarray,
    nominees: Nominees,
    r: np.ndarray,
    top: int,
    threads: int,
    trusted: bool,
) -> Lists:
    """Exact lists of one side: from scored pairs where nobody left out can enter, else walked."""
    partners, values = best_of(side.ids[at], other.ids[partner], r, side.n_latents, top)
    if trusted and nominees.upper.shape[1] == other.ids.size:  # nobody was left out
        return partners, values
    left_out = nominees.upper[:, -1].cpu().numpy()
    worst = np.where(partners[side.ids, -1] >= 0, values[side.ids, -1], -np.inf)
    open_ = np.flatnonzero((worst <= left_out) | (not trusted))
    if open_.size:
        again = exact_lists(side, other, open_, top, threads)
        partners[side.ids[open_]], values[side.ids[open_]] = again.partner[:, :top], again.r[:, :top]
    return partners, values


def _dense_inputs(
    A: np.ndarray, B: np.ndarray, top: int, sizes: Sizes, device: torch.device
) -> TopSimilarity:
    n = check_same_rows(A, B)
    moments = dense_moments(A, "X"), dense_moments(B, "Y")
    x, y = (DenseOperand(values, m, sizes, device) for values, m in zip((A, B), moments, strict=True))
    nobody = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    pairs = [nobody, nobody]
    if x.n and y.n:
        widths = min(top + _SLACK, y.n), min(top + _SLACK, x.n)
        with full_precision(device):
            pairs = [_pairs(side) for side in nominate(x, y, widths, sizes, device)]
    (of_x, by_x, r_x), (of_y, by_y, r_y) = pairs
    return from_lists(
        best_of(x.ids[of_x], y.ids[by_x], r_x, A.shape[1], top),
        best_of(y.ids[of_y], x.ids[by_y], r_y, B.shape[1], top),
        moments[0].alive,
        moments[1].alive,
        n_rows=n,
        top=top,
    )
