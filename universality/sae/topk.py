"""The k largest positive pre-activations of every row, on the CPU by a kernel of ours."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from universality.sae import selection

LANES_PER_SLOT = 8
"""Lanes that bound the k-th largest entry, per slot: the measured optimum from k 16 to 256 is flat here."""

WORTH_SHARING = 1 << 20
"""Pre-activations from which threads select together: below, starting them costs more."""


def runs_kernels(tensor: torch.Tensor) -> bool:
    """Whether our kernels may read this tensor: plain float32 memory of the CPU, no gradient wanted.

    Fake and meta tensors, other devices and other precisions take torch operations instead.
    """
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    learns = tensor.requires_grad and torch.is_grad_enabled()
    return plain and tensor.device.type == "cpu" and tensor.dtype == torch.float32 and not learns


def lane_maxima(pre: torch.Tensor, k: int) -> torch.Tensor:
    """Maxima over strided lanes of each row, as :func:`selection.select_top` wants them; no lanes for short rows."""
    n, d_sae = pre.shape
    lanes = min(LANES_PER_SLOT * k, d_sae // 2)
    if lanes < k:
        return pre.new_empty((n, 0))
    return pre[:, : d_sae - d_sae % lanes].view(n, d_sae // lanes, lanes).amax(1)


def top_k(pre: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices and values of the k largest positive entries of every row.

    Args:
        pre: (n, d_sae) pre-activations.
        k: most entries per row.

    Returns:
        indices (n, k) and values (n, k) >= 0; a slot of value 0 is free. On the CPU indices are int32 in
        rising order, free slots come last with index -1, and ties go to the lower index; elsewhere they are
        int64 in falling order of value, free slots name some latent, and torch breaks ties.
    """
    if not runs_kernels(pre):
        values, indices = torch.relu(pre).topk(k, dim=-1, sorted=False)
        return indices, values
    pre = pre.detach().contiguous()
    indices = np.empty((len(pre), k), dtype=np.int32)
    values = np.empty((len(pre), k), dtype=np.float32)
    parts = (pre.numpy(), lane_maxima(pre, k).numpy(), indices, values)
    threads = torch.get_num_threads()
    if threads == 1 or pre.numel() < WORTH_SHARING:
        selection.select_top(*parts[:2], k, *parts[2:])
    else:  # a row is selected from by one thread, so none of them changes what is selected
        shares = zip(*(np.array_split(part, threads) for part in parts), strict=True)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda share: selection.select_top(*share[:2], k, *share[2:]), shares))
    return torch.from_numpy(indices), torch.from_numpy(values)
