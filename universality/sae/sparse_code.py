"""What few latents of a row decode to, with gradients that are never as large as all pre-activations.

The k active ones (:func:`sparse_code`), and beside them the dead ones that model what those leave (:class:`DeadCode`).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch

from universality.sae.device_kernels import kernels_for


class Dead(NamedTuple):
    """The latents that the auxiliary loss looks at.

    Attributes:
        order: int64 (..., m), their numbers, none twice; all that are dead are among them.
        living: bool (..., m), which of them are there to fill the places.
        aux_k: most of them that model a row.
    """

    order: torch.Tensor
    living: torch.Tensor
    aux_k: int

    @classmethod
    def among(cls, dead: torch.Tensor, slots: int, aux_k: int) -> Dead:
        """The first ``slots`` latents, the dead (bool (..., d_sae)) before the living."""
        order = dead.to(torch.int8).argsort(dim=-1, descending=True, stable=True).narrow(-1, 0, slots)
        return cls(order, dead.gather(-1, order).logical_not(), aux_k)


class SparseCode(NamedTuple):
    """Outcome of :func:`sparse_code`.

    Attributes:
        recon: (..., n, d_in).
        values, indices: (..., n, k), active latents of every row; a value of 0 is none.
        unmodelled: (...), squared error of the dead latents' reconstruction of what the active ones leave; 0 without.
    """

    recon: torch.Tensor
    values: torch.Tensor
    indices: torch.Tensor
    unmodelled: torch.Tensor


def sparse_code(
    rows: torch.Tensor,
    pre: torch.Tensor,
    W_enc: torch.Tensor,
    bias: torch.Tensor,
    W_dec: torch.Tensor,
    k: int,
    dead: Dead | None = None,
    *,
    bfloat16: bool = False,
) -> SparseCode:
    """``acts @ W_dec`` of the k largest positive ``pre = rows @ W_enc^T + bias``, and its gradients.

    Of n * d_sae pre-activations only n * k have a gradient. So none of that size is formed: the gradients of encoder
    and decoder are sums of rows by latent, taken together after one sort, in an order that repeats.

    Args:
        rows: (..., n, d_in), what the encoder sees and should be reconstructed; it gets no gradient.
        pre: (..., n, d_sae), computed without one; of bfloat16 the products alone, to which the bias is added here.
        W_enc, W_dec: (..., d_sae, d_in).
        bias: (..., d_sae).
        k: most active latents of a row.
        dead: latents that model what the active ones leave, which is a constant to them.
        bfloat16: whether products are rounded.
    """
    return SparseCode(*cast("Any", _SparseCode.apply(rows, pre, W_enc, bias, W_dec, k, dead, bfloat16)))


class DeadCode:
    """``sum ||error - acts @ W_dec||^2`` over rows (...), by the aux_k largest of few latents, and its gradients.

    Products over these latents alone: they cost their share of the encoder's.

    Args:
        rows: (..., n, d_in), what the encoder sees. error: the same shape. Both are constants.
        W_enc, W_dec: (..., m, d_in), bias: (..., m), of these latents.
        dead: which they are.
        bfloat16: whether products are rounded.
    """

    def __init__(
        self,
        rows: torch.Tensor,
        error: torch.Tensor,
        W_enc: torch.Tensor,
        bias: torch.Tensor,
        W_dec: torch.Tensor,
        dead: Dead,
        *,
        bfloat16: bool,
    ):
        self._cast = (lambda t: t.bfloat16()) if bfloat16 else (lambda t: t)
        self._rows, self._W_dec = self._cast(rows), self._cast(W_dec)
        # Who lives never fires here.
        bias, products = bias.masked_fill(dead.living, -torch.inf), self._rows @ self._cast(W_enc).mT
        if dead.aux_k < products.shape[-1]:
            values, slots = kernels_for(W_dec).select(products, dead.aux_k, bias)
            # Added, since slots that are free name a latent that may be another's.
            self._acts = torch.zeros_like(products).scatter_add_(-1, slots, self._cast(values))
        else:
            self._acts = self._cast(torch.add(products, bias.unsqueeze(-2)).relu_())
        self._rest = error - self._acts @ self._W_dec

    def squared(self) -> torch.Tensor:
        """The sums (...)."""
        return torch.linalg.vector_norm(self._rest, dim=(-2, -1)).square()

    def gradients(self, slope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of W_enc, bias and W_dec, as float32, by the loss's slope in ``squared`` (...)."""
        error = self._cast(self._rest * (-2 * slope).unsqueeze(-1).unsqueeze(-1))
        by_pre = torch.ops.aten.threshold_backward(error @ self._W_dec.mT, self._acts, 0)
        products = by_pre.mT @ self._rows, by_pre.sum(-2, dtype=torch.float32), self._acts.mT @ error
        by_enc, by_bias, by_dec = (part.float() for part in products)
        return by_enc, by_bias, by_dec


class DeadLoss(torch.autograd.Function):
    """:class:`DeadCode` as a function of weights that autograd follows: ``squared`` (...)."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        error: torch.Tensor,
        W_enc: torch.Tensor,
        bias: torch.Tensor,
        W_dec: torch.Tensor,
        dead: Dead,
        bfloat16: bool,
    ) -> torch.Tensor:
        """As :class:`DeadCode` takes them."""
        ctx.code = DeadCode(rows, error, W_enc, bias, W_dec, dead, bfloat16=bfloat16)
        return ctx.code.squared()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of the weights alone."""
        return None, None, *ctx.code.gradients(grads[0]), None, None


class _SparseCode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        pre: torch.Tensor,
        W_enc: torch.Tensor,
        bias: torch.Tensor,
        W_dec: torch.Tensor,
        k: int,
        dead: Dead | None,
        bfloat16: bool,
    ) -> tuple[torch.Tensor, ...]:
        kernels = kernels_for(W_dec)
        values, indices = kernels.select(pre, k, bias if pre.dtype == torch.bfloat16 else None)
        table = as_one_table(indices, W_dec).view(-1, k)
        gathered = kernels.gathered(W_dec.flatten(0, -2), bfloat16=bfloat16)
        recon = kernels.decode(values.view(-1, k), table, gathered).view(*indices.shape[:-1], -1)
        ctx.order = ctx.code = None
        unmodelled = W_dec.new_zeros(W_dec.shape[:-2])
        if dead is not None:
            ctx.order = as_one_table(dead.order, W_dec)
            by_enc, by_bias, by_dec = (rows_at(part, dead.order) for part in (W_enc, bias, W_dec))
            ctx.code = DeadCode(rows, rows - recon, by_enc, by_bias, by_dec, dead, bfloat16=bfloat16)
            unmodelled = ctx.code.squared()
        ctx.save_for_backward(rows, values, table, gathered)
        ctx.shape, ctx.gradients = W_dec.shape, kernels.gradients
        ctx.mark_non_differentiable(values, indices)
        ctx.set_materialize_grads(False)
        return recon, values, indices, unmodelled

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, values, table, gathered = ctx.saved_tensors
        shape = ctx.shape
        rows, grad = (part.reshape(-1, shape[-1]) for part in (rows, grads[0]))
        by_enc, by_bias, by_dec = ctx.gradients(rows, grad, values.view(table.shape), table, gathered)
        if ctx.code is not None and grads[3] is not None:
            for whole, few in zip((by_enc, by_bias, by_dec), ctx.code.gradients(grads[3]), strict=True):
                whole.index_add_(0, ctx.order, few.flatten(0, -2) if whole.ndim > 1 else few.flatten())
        return None, None, by_enc.view(shape), by_bias.view(shape[:-1]), by_dec.view(shape), None, None, None


def as_one_table(indices: torch.Tensor, W_dec: torch.Tensor) -> torch.Tensor:
    """Numbers (..., m) or (..., n, m) of latents, flat, where the latents of all seeds are one table."""
    if W_dec.ndim > 2:
        first = torch.arange(len(W_dec), device=W_dec.device) * W_dec.shape[1]
        indices = indices + first.view(-1, *[1] * (indices.ndim - 1))
    return indices.flatten()


def rows_at(table: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Rows (..., m, d) or numbers (..., m) of a table (..., n, d) or (..., n), by indices (..., m)."""
    if indices.ndim > 1:  # the rows of all seeds as one table
        first = torch.arange(len(table), device=table.device).unsqueeze(-1) * table.shape[1]
        chosen = table.flatten(0, 1).index_select(0, (indices + first).flatten())
        return chosen.view(*indices.shape, *table.shape[2:])
    return table.index_select(0, indices)
