"""A plain dense TopK dictionary under autograd, written from the paper's formulas: the reference, and the yardstick.

Nothing is shared with the code under test.
"""

import numpy as np
import torch


class DenseTopK(torch.nn.Module):
    """Dense activations, dense gradients, torch's Adam."""

    def __init__(self, d_in, d_sae, k, seed=0, root=False):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        directions = torch.randn(d_sae, d_in, generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)
        self.W_enc = torch.nn.Parameter(directions.T.clone())
        self.W_dec = torch.nn.Parameter(directions.clone())
        self.b_enc = torch.nn.Parameter(torch.zeros(d_sae))
        self.b_dec = torch.nn.Parameter(torch.zeros(d_in))
        self.k, self.root = k, root

    def encode(self, x):
        pre = torch.relu((x - self.b_dec) @ self.W_enc + self.b_enc)
        return pre, self.keep(pre, self.k)

    @staticmethod
    def keep(pre, k):
        threshold = pre.topk(k, dim=1).values[:, -1:]
        return pre * (pre >= threshold)

    def loss(self, x, dead=None, aux_k=0, coefficient=0.0):
        pre, acts = self.encode(x)
        error = x - (acts @ self.W_dec + self.b_dec)
        fvu = error.pow(2).sum() / (x - x.mean(0)).pow(2).sum()
        loss = 2 * fvu.sqrt() if self.root else fvu
        if dead is not None and len(dead) and aux_k and coefficient:
            only_dead = torch.zeros_like(pre)
            only_dead[:, dead] = pre[:, dead]
            aux = self.keep(only_dead, min(aux_k, len(dead))) @ self.W_dec
            target = error.detach()
            loss = loss + coefficient * (target - aux).pow(2).sum() / target.pow(2).sum()
        return loss

    def step(self, x, optimizer, **auxiliary):
        loss = self.loss(x, **auxiliary)
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            self.W_dec.grad -= (self.W_dec.grad * self.W_dec).sum(1, keepdim=True) * self.W_dec
        optimizer.step()
        with torch.no_grad():
            self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)
        return float(loss.detach())


def planted_rows(n, d_in, n_directions, active, seed, noise=0.05):
    """Rows made of a few of many unit directions: (n, d_in) float32."""
    rng = np.random.default_rng(seed)
    directions = unit_rows(rng, n_directions, d_in)
    acts = np.zeros((n, n_directions))
    chosen = rng.integers(0, n_directions, (n, active))
    np.put_along_axis(acts, chosen, 0.5 + rng.exponential(1.0, (n, active)), axis=1)
    rows = acts @ directions + noise * rng.standard_normal((n, d_in)) + 0.3
    return rows.astype(np.float32)


def planted_directions(d_in, n_directions, seed):
    """The directions (n_directions, d_in) that :func:`planted_rows` makes its rows of."""
    return unit_rows(np.random.default_rng(seed), n_directions, d_in)


def unit_rows(rng, n, d_in):
    rows = rng.standard_normal((n, d_in))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
