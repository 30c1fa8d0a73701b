"""What to show of a latent: its contexts, its histogram, its domains, the tokens it promotes.

Contexts are anchors into the evaluation rows (the row of the peak), never copies of text, so a viewer
shows exactly what the model read.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from universality.domains import auroc

N_BINS = 40
N_GROUPS = 10


def contexts_table(
    acts: sparse.csc_matrix,
    contexts: np.ndarray,
    generator: np.random.Generator,
    *,
    n_top: int = 20,
    n_per_group: int = 5,
    n_random: int = 5,
    same: np.ndarray | None = None,
) -> pd.DataFrame:
    """Contexts of every latent: the highest, a sample by quantile, and some drawn blindly.

    Of each context only the row of the latent's highest positive activation counts, and a context stands at
    most once per latent, whatever the kind. Top contexts fall in value. The other contexts in which the
    latent fires are cut at the deciles of their peaks into ten groups of equal size (group 9 the highest)
    and sampled. Random contexts are drawn from all others, firing or not; their anchor is a random row.

    Args:
        acts: CSC (n_rows, n_latents).
        contexts: (n_rows,) context of each row.
        generator: source of the samples.
        n_top: highest contexts per latent.
        n_per_group: sampled contexts per quantile group.
        n_random: contexts drawn blindly.
        same: (n_rows,) any id that is equal for rows of contexts with equal tokens, so that repeated text
            is shown once; by default the contexts themselves.

    Returns:
        latent, kind (top|quantile|random), group (0..9 for quantile, else 0), rank, row, value; latents that
        never fire have no rows.

    Source: ours; the layout follows the feature view of Bricken et al. 2023.
    """
    key = np.unique(contexts if same is None else same, return_inverse=True)[1]
    some_row = _rows_by_key(key)
    parts = []
    for latent in np.flatnonzero(np.diff(acts.indptr)):
        span = slice(acts.indptr[latent], acts.indptr[latent + 1])
        rows, values = _peaks(acts.indices[span], acts.data[span], key)
        if not rows.size:
            continue
        top = slice(0, n_top)
        chosen = [("top", 0, rows[top], values[top])]
        for group, members in enumerate(_groups(rows.size, n_top)):
            picked = np.sort(generator.permutation(members)[:n_per_group])
            chosen.append(("quantile", group, rows[picked], values[picked]))
        shown = np.concatenate([key[part[2]] for part in chosen])
        blind = _blind_rows(some_row, shown, n_random, generator)
        chosen.append(("random", 0, blind, _values_at(acts.indices[span], acts.data[span], blind)))
        parts += [(int(latent), *part) for part in chosen if part[2].size]
    return _context_frame(parts)


def _peaks(rows: np.ndarray, values: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest positive activation of each context, falling; ties go to the earlier row."""
    positive = values > 0
    rows, values = rows[positive], values[positive]
    order = np.lexsort((rows, -values))
    _, first = np.unique(key[rows[order]], return_index=True)
    best = order[np.sort(first)]
    return rows[best], values[best]


def _groups(n_peaks: int, n_top: int) -> list[np.ndarray]:
    """Places (in falling order) of the quantile groups, lowest group first, top contexts left out."""
    return list(np.array_split(np.arange(n_peaks)[::-1][: max(n_peaks - n_top, 0)], N_GROUPS))


def _rows_by_key(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(key, kind="stable")
    return order, np.searchsorted(key[order], np.arange(int(key.max(initial=-1)) + 2))


def _blind_rows(
    some_row: tuple[np.ndarray, np.ndarray], shown: np.ndarray, n: int, generator: np.random.Generator
) -> np.ndarray:
    """A random row of each of n random contexts that are not shown yet."""
    order, bounds = some_row
    n_keys = bounds.size - 1
    drawn = (
        generator.permutation(n_keys)[: n + shown.size] if n_keys < 4096 else _draw(n_keys, n + shown.size, generator)
    )
    fresh = drawn[~np.isin(drawn, shown)][:n]
    within = (generator.random(fresh.size) * (bounds[fresh + 1] - bounds[fresh])).astype(np.int64)
    return order[bounds[fresh] + within]


def _draw(n_keys: int, n: int, generator: np.random.Generator) -> np.ndarray:
    """n different keys in random order, or nearly n: of many keys, a few doubles are simply dropped."""
    drawn = generator.integers(n_keys, size=2 * n)
    return drawn[np.sort(np.unique(drawn, return_index=True)[1])][:n]


def _values_at(rows: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Activations in the rows ``at``, zeros included, of a latent that fires in ``rows`` (sorted) with ``values``."""
    place = np.minimum(np.searchsorted(rows, at), max(rows.size - 1, 0))
    return np.where(rows[place] == at, values[place], 0.0)


def _context_frame(parts: list[tuple[int, str, int, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    sizes = [part[3].size for part in parts]
    empty = np.zeros(0)
    return pd.DataFrame(
        {
            "latent": np.repeat([part[0] for part in parts], sizes).astype(np.int64),
            "kind": np.repeat(np.array([part[1] for part in parts], dtype=object), sizes),
            "group": np.repeat([part[2] for part in parts], sizes).astype(np.int64),
            "rank": np.concatenate([np.arange(size) for size in sizes] or [empty]).astype(np.int64),
            "row": np.concatenate([part[3] for part in parts] or [empty]).astype(np.int64),
            "value": np.concatenate([part[4] for part in parts] or [empty]).astype(np.float32),
        }
    )


def histogram_table(acts: sparse.csc_matrix, n_bins: int = N_BINS) -> pd.DataFrame:
    """Histograms of the positive activations, in bins ``(left, right]`` from 0 to the latent's maximum.

    Bins are half-open at the left, so that silence falls in none and the maximum in the last; every positive
    activation is counted once, against the very edges that are returned.

    Args:
        acts: CSC (n_rows, n_latents).
        n_bins: bins per latent.

    Returns:
        latent, bin, left, right, count; latents without a positive activation have no rows.
    """
    column = np.repeat(np.arange(acts.shape[1]), np.diff(acts.indptr))
    positive = acts.data > 0
    column, values = column[positive], acts.data[positive].astype(np.float64)
    peak = np.zeros(acts.shape[1])
    np.maximum.at(peak, column, values)
    latents = np.flatnonzero(peak)
    edges = peak[latents, None] * (np.arange(n_bins + 1) / n_bins)
    edges[:, -1] = peak[latents]
    place = np.searchsorted(latents, column)
    # A guess by division, put right against the edges themselves: rounding must not move a value.
    bins = np.clip(np.ceil(values / peak[column] * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    bins -= (values <= edges[place, bins]) & (bins > 0)
    bins += (values > edges[place, bins + 1]) & (bins < n_bins - 1)
    counts = np.bincount(place * n_bins + bins, minlength=latents.size * n_bins)
    return pd.DataFrame(
        {
            "latent": np.repeat(latents, n_bins),
            "bin": np.tile(np.arange(n_bins), latents.size),
            "left": edges[:, :-1].ravel(),
            "right": edges[:, 1:].ravel(),
            "count": counts,
        }
    )


def latent_domain_table(
    acts: sparse.csc_matrix, domains: np.ndarray, names: list[str] | tuple[str, ...]
) -> pd.DataFrame:
    """How each latent goes with each domain.

    Args:
        acts: CSC (n_rows, n_latents).
        domains: (n_rows,) codes into ``names``.
        names: domains by code.

    Returns:
        latent, domain, auroc (exact, 0..1), share (of the latent's absolute activation mass, sums to 1 per
        latent); latents that never fire have no rows.
    """
    n, n_domains = acts.shape[1], len(names)
    latents = np.flatnonzero(np.diff(acts.indptr))
    column = np.repeat(np.arange(n), np.diff(acts.indptr))
    key = column * n_domains + domains[acts.indices].astype(np.int64)
    mass = np.bincount(key, np.abs(acts.data, dtype=np.float64), minlength=n * n_domains).reshape(n, n_domains)
    total = mass.sum(axis=1, keepdims=True)
    share = mass / np.where(total > 0, total, 1.0)
    area = auroc(acts, domains, n_domains)
    return pd.DataFrame(
        {
            "latent": np.repeat(latents, n_domains),
            "domain": np.tile(np.array(names, dtype=object), latents.size),
            "auroc": area[latents].ravel(),
            "share": share[latents].ravel(),
        }
    )


def logit_table(
    w_dec: np.ndarray,
    w_logits: np.ndarray,
    latents: np.ndarray,
    *,
    n_tokens: int = 10,
    block: int = 512,
    device: str = "cpu",
) -> pd.DataFrame:
    """Tokens that a latent's decoder direction promotes and suppresses most.

    Args:
        w_dec: (d_sae, d_in) decoder.
        w_logits: (d_in, d_vocab) linear map from the hook point to the logits, unembedding included.
        latents: latents to describe.
        n_tokens: tokens per side.
        block: latents multiplied at once.
        device: ``"cpu"`` (numpy), or a torch device, which holds the map and ``block`` rows of logits in float64; last
            digits differ there.

    Returns:
        latent, side (top|bottom), rank, token, value (logit change per unit of activation, centred over the
        vocabulary: softmax does not see a constant). Ties go to the smaller token id.
    """
    n_tokens = min(n_tokens, w_logits.shape[1])
    parts = []
    to_logits = _on(np.asarray(w_logits, dtype=np.float64), device)
    for first in range(0, len(latents), block):
        some = np.asarray(latents[first : first + block])
        logits = _on(np.asarray(w_dec)[some].astype(np.float64), device) @ to_logits
        logits -= logits.mean(1)[:, None]
        for side, sign in (("top", -1.0), ("bottom", 1.0)):
            token, value = _smallest(sign * logits, n_tokens)
            parts.append(
                pd.DataFrame(
                    {
                        "latent": np.repeat(some, n_tokens),
                        "side": side,
                        "rank": np.tile(np.arange(n_tokens), some.size),
                        "token": token.ravel(),
                        "value": sign * value.ravel(),
                    }
                )
            )
    if not parts:
        return pd.DataFrame(columns=["latent", "side", "rank", "token", "value"])
    table = pd.concat(parts, ignore_index=True)
    side = table["side"].map({"top": 0, "bottom": 1})
    order = np.lexsort((table["rank"], side, table["latent"]))
    return table.iloc[order].reset_index(drop=True)


def _on(values: np.ndarray, device: str) -> Any:
    """The values where they are multiplied: a numpy array on the CPU, else a tensor."""
    if device == "cpu":
        return values
    import torch

    return torch.from_numpy(values).to(device)


def _smallest(values: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n_rows, n) places of each row's smallest values (n_rows, n_columns), rising, and these; ties to smaller places.

    What a stable sort of whole rows begins with, without the sort of a vocabulary. Of a tensor only those that may be
    among them come to the host.
    """
    if not n:
        return np.zeros((len(values), 0), dtype=np.int64), np.zeros((len(values), 0))
    if isinstance(values, np.ndarray):
        row, place = np.nonzero(values <= np.partition(values, n - 1, axis=1)[:, n - 1 : n])
        value = values[row, place]
    else:
        of_few = values <= values.topk(n, dim=1, largest=False).values[:, -1:]
        row, place = of_few.nonzero().cpu().numpy().T
        value = values[of_few].cpu().numpy()
    order = np.lexsort((place, value, row))
    first = np.searchsorted(row, np.arange(len(values)))
    chosen = order[first[:, None] + np.arange(n)]
    return place[chosen], value[chosen]
