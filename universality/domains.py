"""Domains as ground truth: which latent stands for Arabic, DNA or Python, and does it exist elsewhere?

Every row has the label of the text it comes from, so the hand-checked table of Bricken et al. 2023 can be
made without hands: per domain and model the best latent, how well it tells the domain, and its
correlation with its partner in another model, with the nearest neuron and with the same in untrained models.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from universality.rows import Rows
from universality.table_schemas import DOMAINS, TABLES


@dataclass(frozen=True, eq=False)
class DomainCounts:
    """Firings by domain over some rows.

    Attributes:
        hits: (n_latents, n_domains) rows of the domain in which the latent fires.
        firings: (n_latents,) rows in which the latent fires.
        sizes: (n_domains,) rows of each domain.
        n_rows: all rows.
    """

    hits: np.ndarray
    firings: np.ndarray
    sizes: np.ndarray
    n_rows: int

    def matthews(self) -> np.ndarray:
        r"""(n_latents, n_domains) Matthews correlation of firing with the label, in [-1, 1].

        .. math:: \frac{n \cdot tp - f \cdot s}{\sqrt{f (n - f) s (n - s)}}

        with f firings and s rows of the domain; 0 where a margin is empty. It is Pearson's r of two bits.
        """
        n, f, s = float(self.n_rows), self.firings[:, None].astype(float), self.sizes[None, :].astype(float)
        scale = np.sqrt(f * (n - f)) * np.sqrt(s * (n - s))
        return np.where(scale > 0, (n * self.hits - f * s) / np.where(scale > 0, scale, 1.0), 0.0)

    def sensitivity(self) -> np.ndarray:
        """(n_latents, n_domains) share of the domain's rows in which the latent fires, 0..1."""
        return self.hits / np.maximum(self.sizes, 1)

    def specificity(self) -> np.ndarray:
        """(n_latents, n_domains) share of all other rows in which the latent is silent; 1 if there are none."""
        others = self.n_rows - self.sizes[None, :]
        return 1.0 - (self.firings[:, None] - self.hits) / np.maximum(others, 1)


def domain_counts(acts: sparse.csr_matrix, domains: np.ndarray, n_domains: int) -> DomainCounts:
    """Count firings by domain.

    Args:
        acts: CSR (n_rows, n_latents) without stored zeros.
        domains: (n_rows,) codes in 0..n_domains-1.
        n_domains: number of domains.
    """
    n = acts.shape[1]
    of_entry = np.repeat(domains.astype(np.int64), np.diff(acts.indptr))
    hits = np.bincount(acts.indices.astype(np.int64) * n_domains + of_entry, minlength=n * n_domains)
    hits = hits.reshape(n, n_domains)
    return DomainCounts(hits, hits.sum(axis=1), np.bincount(domains, minlength=n_domains), domains.size)


def top_domains(acts: sparse.csr_matrix, rows: Rows) -> np.ndarray:
    """(n_latents,) int, the domain with the largest share of each latent's activation mass; -1 where there is none.

    Args:
        acts: CSR (n_rows, n_latents).
        rows: the rows of ``acts``.
    """
    if rows.domains is None or rows.domain_names is None:
        return np.full(acts.shape[1], -1)
    n_domains = len(rows.domain_names)
    domain = np.repeat(rows.domains.astype(np.int64), np.diff(acts.indptr))
    mass = np.bincount(
        acts.indices.astype(np.int64) * n_domains + domain,
        np.abs(acts.data, dtype=np.float64),
        minlength=acts.shape[1] * n_domains,
    ).reshape(acts.shape[1], n_domains)
    return np.where(mass.sum(axis=1) > 0, mass.argmax(axis=1), -1)


def auroc(acts: sparse.csc_matrix, domains: np.ndarray, n_domains: int) -> np.ndarray:
    r"""How well each latent's activation ranks the rows of a domain above all others, exactly and sparsely.

    .. math:: P(x_+ > x_-) + \tfrac12 P(x_+ = x_-)

    from mid-ranks: ties count half, and the rows in which a latent is silent are one large tie at zero
    (above negative values) that is never written out.

    Args:
        acts: CSC (n_rows, n_latents) without stored zeros.
        domains: (n_rows,) codes in 0..n_domains-1.
        n_domains: number of domains.

    Returns:
        (n_latents, n_domains) in [0, 1]; 0.5 for a latent that never fires and for a domain without rows or
        with all of them.

    Source: Mann and Whitney 1947.
    """
    n_rows, n = acts.shape
    counts = np.diff(acts.indptr).astype(np.int64)
    column = np.repeat(np.arange(n), counts)
    order = np.lexsort((acts.data, column))
    values = acts.data[order]
    groups = domains[acts.indices[order]].astype(np.int64)
    negative = np.bincount(column, values < 0, minlength=n)
    rank = _mid_ranks(column, values) - acts.indptr[column] + np.where(values > 0, (n_rows - counts)[column], 0)
    key = column * n_domains + groups
    stored = np.bincount(key, minlength=n * n_domains).reshape(n, n_domains)
    ranks = np.bincount(key, rank, minlength=n * n_domains).reshape(n, n_domains)
    sizes = np.bincount(domains, minlength=n_domains).astype(float)
    at_zero = negative + (n_rows - counts + 1) / 2.0
    ranks = ranks + (sizes - stored) * at_zero[:, None]
    pairs = sizes * (n_rows - sizes)
    above = ranks - sizes * (sizes + 1) / 2.0
    return np.where(pairs > 0, above / np.where(pairs > 0, pairs, 1.0), 0.5)


def _mid_ranks(column: np.ndarray, values: np.ndarray) -> np.ndarray:
    """1-based place of each entry in the whole order, ties of one column sharing the middle of their run."""
    if not values.size:
        return np.zeros(0)
    new = np.ones(values.size, dtype=bool)
    new[1:] = (np.diff(column) != 0) | (np.diff(values) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], values.size)
    return ((first + last + 1) / 2.0)[np.cumsum(new) - 1]


def best_latents(acts: sparse.csr_matrix, rows: Rows, alive: np.ndarray) -> pd.DataFrame:
    """Each domain's best latent: chosen by Matthews correlation on fit rows, described on score rows.

    AUROC alone would favour broad latents; Matthews correlation weighs misses against false alarms.

    Args:
        acts: CSR (n_rows, n_latents).
        rows: rows with domains.
        alive: (n_latents,) bool, latents that may be chosen.

    Returns:
        domain, latent, n_rows, n_sources, mcc, sensitivity, specificity, auroc, proxy_r (all on score rows); one row
        per domain that has rows in both halves. proxy_r is the correlation of the activation with
        ``log P(token | domain) / P(token)``, token frequencies taken from fit rows; None without token ids.

    Source: Bricken et al. 2023, section "Detailed investigations of individual features" (proxy).
    """
    columns = TABLES["best_latents"].names
    if rows.domains is None or rows.domain_names is None or not alive.any():
        return pd.DataFrame(columns=columns)
    n_domains = len(rows.domain_names)
    fit = domain_counts(_take(acts, rows.fit), rows.domains[rows.fit], n_domains)
    domains = rows.domains[rows.score]
    held_out = _take(acts, rows.score)
    score = domain_counts(held_out, domains, n_domains)
    chosen = np.where(alive[:, None], fit.matthews(), -2.0).argmax(axis=0)
    area = auroc(held_out.tocsc()[:, chosen], domains, n_domains)
    measures = (score.matthews(), score.sensitivity(), score.specificity())
    proxy = _proxy_correlations(held_out.tocsc(), chosen, rows)
    n_sources = rows.n_sources if rows.n_sources is not None else np.zeros(n_domains, np.int64)
    table = [
        (
            rows.domain_names[d],
            int(chosen[d]),
            int(score.sizes[d]),
            int(n_sources[d]),
            *(measure[chosen[d], d] for measure in measures),
            area[d, d],
            None if proxy is None else proxy[d],
        )
        for d in range(n_domains)
        if fit.sizes[d] and score.sizes[d]
    ]
    frame = pd.DataFrame(table, columns=columns)
    return frame.astype({"latent": "int64", "n_rows": "int64", "n_sources": "int64", "proxy_r": "Float64"})


def _take(acts: sparse.csr_matrix, mask: np.ndarray) -> sparse.csr_matrix:
    return acts[np.flatnonzero(mask)]


def _proxy_correlations(held_out: sparse.csc_matrix, chosen: np.ndarray, rows: Rows) -> np.ndarray | None:
    """(n_domains,) correlation of each domain's latent with the token log-likelihood ratio of the domain."""
    if rows.tokens is None or rows.domains is None:
        return None
    _, token = np.unique(rows.tokens, return_inverse=True)
    n_tokens = int(token.max()) + 1
    everywhere = 1.0 + np.bincount(token[rows.fit], minlength=n_tokens)
    out = np.zeros(chosen.size)
    for domain, latent in enumerate(chosen):
        here = rows.fit & (rows.domains == domain)
        # One more count for every token: an id that the domain lacks gets a low ratio, not minus infinity.
        inside = 1.0 + np.bincount(token[here], minlength=n_tokens)
        ratio = np.log(inside / inside.sum()) - np.log(everywhere / everywhere.sum())
        proxy = ratio[token[rows.score]]
        proxy = proxy - proxy.mean()
        values = held_out[:, [latent]].toarray().ravel().astype(float)
        values = values - values.mean()
        scale = np.sqrt((proxy**2).sum() * (values**2).sum())
        out[domain] = (proxy @ values) / scale if scale > 0 else 0.0
    return out


def nearest_neurons(
    acts: sparse.csr_matrix, raw: np.ndarray, rows: Rows, latents: np.ndarray, block: int = 8192
) -> tuple[np.ndarray, np.ndarray]:
    """The raw coordinate that goes with each latent: chosen on fit rows, its r taken on score rows.

    Args:
        acts: CSR (n_rows, n_latents).
        raw: (n_rows, d_in) raw activations of the same model; read in blocks of rows.
        rows: the rows of both.
        latents: latents to look at; meant for a few dozen.
        block: rows read at once.

    Returns:
        ``(neuron, r)`` per latent, r in [-1, 1]; the sign is kept, the highest r is chosen.
    """
    part = acts[:, latents].toarray().astype(np.float64)
    halves = [_dense_correlation(part, raw, np.flatnonzero(mask), block) for mask in (rows.fit, rows.score)]
    neuron = halves[0].argmax(axis=1)
    return neuron, halves[1][np.arange(latents.size), neuron]


def _dense_correlation(part: np.ndarray, raw: np.ndarray, index: np.ndarray, block: int) -> np.ndarray:
    """(m, d_in) Pearson correlations over the given rows, centred, in float64."""
    chunks = [index[first : first + block] for first in range(0, index.size, block)]
    mean_a = part[index].mean(axis=0)
    mean_x = sum(raw[chunk].sum(axis=0, dtype=np.float64) for chunk in chunks) / index.size
    products, square_a, square_x = 0.0, 0.0, 0.0
    for chunk in chunks:
        a, x = part[chunk] - mean_a, raw[chunk].astype(np.float64) - mean_x
        products, square_a, square_x = products + a.T @ x, square_a + (a**2).sum(0), square_x + (x**2).sum(0)
    scale = np.sqrt(np.multiply.outer(square_a, square_x))
    return np.where(scale > 0, products / np.where(scale > 0, scale, 1.0), 0.0)


def domain_table(
    best: dict[str, pd.DataFrame],
    partners: pd.DataFrame,
    neurons: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
    untrained: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per (domain, model), sorted by domain, models in the order given.

    Args:
        best: :func:`best_latents` by model.
        partners: model, latent, partner_model, partner_latent, r, r_token, level: each feature's best assigned
            partner (highest held-out r) and its level; r and r_token are means over all other models.
        neurons: :func:`nearest_neurons` of the latents of ``best`` by model, where raw activations are known.
        untrained: domain, r: mean held-out r to their partners of the best latents of untrained models.

    Returns:
        domain, model, latent, n_rows, n_sources, mcc, sensitivity, specificity, auroc, partner_model, partner_latent,
        r, r_token, level, nearest_neuron, neuron_r, untrained_r, proxy_r; missing where there is no partner, no raw
        activations, no untrained pair or no token ids.
    """
    parts = []
    for order, (model, frame) in enumerate(best.items()):
        part = frame.assign(model=model, order=order)
        nothing = pd.array([pd.NA] * len(part), dtype="Float64")
        neuron, r = (neurons or {}).get(model, (nothing, nothing))
        parts.append(part.assign(nearest_neuron=neuron, neuron_r=r))
    table = pd.concat(parts, ignore_index=True).astype({"nearest_neuron": "Int64", "neuron_r": "Float64"})
    table = table.merge(partners, on=["model", "latent"], how="left")
    untrained = pd.DataFrame({"domain": [], "r": []}) if untrained is None else untrained
    table["untrained_r"] = table["domain"].map(untrained.set_index("domain")["r"]).astype("Float64")
    table["partner_latent"] = table["partner_latent"].astype("Int64")
    return table.sort_values(["domain", "order"], ignore_index=True)[DOMAINS.names]
