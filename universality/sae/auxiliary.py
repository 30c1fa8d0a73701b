"""The auxiliary loss by dense products, for the steps in which few latents are dead."""

import numpy as np
import torch

from universality.sae.activations import TopK

DENSE_DEAD = 4
"""Dead latents per auxiliary slot up to which dense products beat sparse slots (measured at d_in 256 and 512)."""


class DenseAuxiliary:
    """``sum ||e - recon_aux||^2`` over a batch and its gradients, over the dead latents only.

    Args:
        W_dec: (d_sae, d_in), unit rows.
        dead: int64 numbers of the dead latents.
        k: latents that may fire per row; 0 for no loss at all.
    """

    def __init__(self, W_dec: torch.Tensor, dead: torch.Tensor, k: int):
        self.dead, self.k, self.squared = dead, k, 0.0
        self._W_dec = W_dec.index_select(0, dead)
        self._enc, self._dec = torch.zeros_like(self._W_dec), torch.zeros_like(self._W_dec)
        self._b_enc = torch.zeros(len(dead))

    def add(self, pre: torch.Tensor, error: torch.Tensor, seen: torch.Tensor) -> None:
        """Take some rows: pre-activations of the dead latents, what the main slots left, what the encoder saw."""
        if self.k == 0:
            return
        # Gradients by hand, e constant: of recon_aux = acts @ W_dec and of loss = ||error - recon_aux||^2. The factor
        # -2 and the loss's weight come with ``extra``.
        acts = TopK(self.k)(pre)
        rest = torch.addmm(error, acts, self._W_dec, alpha=-1)
        self.squared += float(torch.linalg.vector_norm(rest, dtype=torch.float64)) ** 2
        slopes = (rest @ self._W_dec.T).mul_(acts > 0)
        self._dec.addmm_(acts.T, rest)
        self._enc.addmm_(slopes.T, seen)
        self._b_enc += slopes.sum(0)

    def extra(self, d_sae: int, scale: float) -> tuple:
        """As :func:`kernels.update_latents` takes extra gradients."""
        # row_of: a latent's row among the dead, -1 for the living.
        row_of = np.full(d_sae, -1, np.int32)
        row_of[self.dead.numpy()] = np.arange(len(self.dead))
        return row_of, *(grad.mul_(scale).numpy() for grad in (self._enc, self._dec, self._b_enc))
