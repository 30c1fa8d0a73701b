"""Typed text through the compared models: which clusters fire where, and how far the models agree on it.

The models, and torch with them, are loaded when somebody first asks for a text, never before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from results.evaluation_text import EvaluationText
from results.remembering import remembered
from results.stored_comparison import StoredComparison
from results.token_text import token_strings
from results.tokenizers import own_text, own_tokenizer
from universality.alignment import segments, shared_boundaries, token_ends

if TYPE_CHECKING:
    import scipy.sparse as sp

    from universality.sae import SparseAutoencoder

#: Longest text that is taken; it must fit an address, in which a character can take nine.
MAX_CHARACTERS = 2_000
#: Tokens of a sample text: enough for clusters to fire several times, and a context of most runs.
SAMPLE_TOKENS = 60
#: Agreement over a text needs two members that fire somewhere in it; a cluster of one model has none.
SHARED = 2


@dataclass(frozen=True)
class OpenedModel:
    """A model with its dictionary.

    Attributes:
        transformer: its bridge.
        dictionary: what reads it.
        hook_point: where.
        means: mean activations over the evaluation text of some latents, (n,) by their numbers.
        text: the evaluation text in the model's own tokens: how many fit a context, and what starts it.
        encode_text: text to its token ids, no special tokens.
    """

    transformer: Any
    dictionary: SparseAutoencoder
    hook_point: str
    means: Callable[[np.ndarray], np.ndarray]
    text: EvaluationText
    encode_text: Callable[[str], list[int]]

    def tokens(self, text: str) -> list[int]:
        """Ids of a typed text, halves of characters replaced."""
        return self.encode_text(text.encode("utf-8", "replace").decode("utf-8"))

    def context(self, text: str) -> np.ndarray:
        """(n,) the text as one context: what every context starts with, then as many tokens as fit."""
        return np.array([self.text.contexts[0, 0], *self.tokens(text)[: self.text.n_ctx - 1]])

    def activations(self, context: np.ndarray) -> np.ndarray:
        """(n_ctx, d_in) at the hook point, of token ids (n_ctx,)."""
        from universality.transformers.harvest import harvest

        (read,) = harvest(self.transformer, context[None], [self.hook_point])
        return read[self.hook_point][0]

    def scale(self, activations: np.ndarray) -> np.ndarray:
        """(n_ctx, 1) by which the dictionary scales what it adds."""
        import torch

        return self.dictionary.row_scale(torch.from_numpy(activations)).numpy()


@dataclass(frozen=True)
class Lens:
    """The models that read a typed text.

    Attributes:
        models: one per compared model, in the order of the run.
        lock: held while a model is run with something added, which must not reach another visitor's pass.
    """

    models: dict[str, OpenedModel]
    lock: RLock = field(default_factory=RLock)

    def rows(self, text: str) -> Rows:
        """Where models are set beside each other in a typed text: at its tokens, or at the bytes where all end one.

        Raises:
            InputError: a tokenizer of several that does not spell the text as it is written.
        """
        contexts = {model: opened.context(text) for model, opened in self.models.items()}
        first, *others = self.models.values()
        n_tokens = len(first.tokens(text))
        if all(other.text is first.text for other in others):
            ids = next(iter(contexts.values()))[1:]
            return Rows(first.text.strings(ids), n_tokens - len(ids), {m: np.arange(len(ids)) for m in contexts})
        data = text.encode("utf-8", "replace")
        pieces = {m: [self.models[m].text.token_bytes[i] for i in ids[1:]] for m, ids in contexts.items()}
        ends = [token_ends(of, data) for of in pieces.values()]
        shared = shared_boundaries(ends)
        at = {}
        for (model, of), columns in zip(pieces.items(), shared.T, strict=True):
            at[model] = np.full(len(of), -1)
            at[model][columns] = np.arange(len(shared))
        offsets = ends[0][shared[:, 0]]
        left_out = n_tokens - int(shared[-1, 0]) - 1 if len(shared) else n_tokens
        return Rows(token_strings(segments(data, offsets)), left_out, at)


class Rows(NamedTuple):
    """Rows of a typed text.

    Attributes:
        tokens: what stands at each, ready to be drawn.
        n_left_out: tokens (of the first model) of the text that do not fit a context.
        at: of each model, (n_tokens,) row of its tokens, -1 where others end none.
    """

    tokens: list[str]
    n_left_out: int
    at: dict[str, np.ndarray]


@dataclass(frozen=True)
class Reading:
    """What the models make of a text.

    Attributes:
        tokens: texts of the tokens, or of what lies between the bytes at which several tokenizers all end one, ready to
            be drawn; those beyond the models' context are left out.
        n_left_out: how many that were.
        firings: one row per latent and token where it fires: position (from 0), model, latent, activation.
    """

    tokens: list[str]
    n_left_out: int
    firings: pd.DataFrame


def read_text(lens: Lens, text: str) -> Reading:
    """Run a text through every compared model and its dictionary.

    Args:
        lens: the models, of :func:`open_lens`.
        text: what to read.

    Raises:
        InputError: as :meth:`Lens.rows`.
    """
    rows = lens.rows(text)
    parts = [
        _firings(model, opened.dictionary.encode_sparse(opened.activations(opened.context(text))), rows.at[model])
        for model, opened in lens.models.items()
        if rows.tokens
    ]
    columns = ["position", "model", "latent", "activation"]
    firings = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return Reading(rows.tokens, rows.n_left_out, firings)


def _firings(model: str, acts: sp.csr_matrix, at: np.ndarray) -> pd.DataFrame:
    """The entries of a context's latents at the rows ``at``, without those of the token that starts it."""
    entries = acts[1:].tocoo()
    columns = {"position": at[entries.row], "model": model, "latent": entries.col, "activation": entries.data}
    return pd.DataFrame(columns).query("activation > 0 and position >= 0")


def open_lens(stored: StoredComparison) -> Lens:
    """Load the tokenizer and the models of a comparison; imports torch.

    Raises:
        StoreError: weights, dictionaries or the tokenizer are missing or damaged.
    """
    hook_points = stored.table("models").set_index("model")["hook_point"]
    return Lens({model: _opened(stored, model, str(hook_points[model])) for model in stored.models()})


def _opened(stored: StoredComparison, model: str, hook_point: str) -> OpenedModel:
    def means(latents: np.ndarray) -> np.ndarray:
        acts = stored.acts(model)
        return np.asarray(acts[:, latents].sum(axis=0)).ravel() / acts.shape[0]

    from universality.transformers.tokenizer import encoding

    tokenizer = own_tokenizer(stored, model)

    def encode_text(text: str) -> list[int]:
        with encoding():
            return tokenizer.encode(text, add_special_tokens=False).ids

    opened = stored.transformer(model), stored.dictionary(model)
    return OpenedModel(*opened, hook_point, means, own_text(stored, model), encode_text)


@remembered()
def sample_texts(stored: StoredComparison) -> dict[str, str]:
    """Texts to begin with: the beginning of a document of each domain, of the half of text that nothing was matched on.

    Returns:
        Text by domain, in the order of their names; by "a document" where the text has no labels.
    """
    text, score = stored.text, stored.score_rows
    domains = sorted((name, code) for code, name in enumerate(text.domains) if name)
    choices = [(name, np.flatnonzero(score & (text.row_domain == code))) for name, code in domains]
    samples = {}
    for name, rows in choices or [("a document", np.flatnonzero(score))]:
        if len(rows):
            own = rows[(text.row_document[rows] == text.row_document[rows[0]])]
            own = own[text.row_context[own] == text.row_context[rows[0]]][:SAMPLE_TOKENS]
            ids = text.contexts[text.row_context[own], text.row_position[own]]
            samples[name] = b"".join(text.token_bytes[i] for i in ids).decode("utf-8", "ignore").strip()
    return {name: sample[:MAX_CHARACTERS] for name, sample in samples.items() if sample}


@remembered()
def shared_members(stored: StoredComparison) -> pd.DataFrame:
    """Members of clusters that reach several models: cluster, model, latent, maximum, class, level."""
    features = stored.table("features")
    inside = features[features["cluster"].notna() & (features["n_models"] >= SHARED)]
    members = inside[["cluster", "model", "latent", "max_activation", "class", "level"]]
    return members.astype({"cluster": np.int64}).rename(columns={"max_activation": "maximum"})


@dataclass(frozen=True)
class Agreement:
    """The clusters of which at least one member fires in a text, strongest first.

    Attributes:
        clusters: one row each: cluster, class, level, n_models (members), n_tokens (tokens where any fires), firing
            (share of the members that fire, mean over those tokens, 0..1), r (mean correlation of two members'
            activations over the text, of those members that vary in it; missing where fewer than two do).
        members: cluster, model, latent, maximum, class, level; members of a cluster follow each other.
        shares: activation over the member's maximum on the evaluation text, ``(n_members, n_tokens)``, 0 where silent;
            a typed text can exceed 1.
        strength: mean of the members' shares (at most 1 each), ``(n_clusters, n_tokens)``.
        firing: share of the members that fire, ``(n_clusters, n_tokens)``.
    """

    clusters: pd.DataFrame
    members: pd.DataFrame
    shares: Float[np.ndarray, "n_members n_tokens"]
    strength: Float[np.ndarray, "n_clusters n_tokens"]
    firing: Float[np.ndarray, "n_clusters n_tokens"]


def agreement(firings: pd.DataFrame, members: pd.DataFrame, n_tokens: int) -> Agreement:
    """What the models share on a text.

    Args:
        firings: of a :class:`Reading`.
        members: of :func:`shared_members`.
        n_tokens: tokens of the text.
    """
    seen = firings.merge(members, on=["model", "latent"])["cluster"]
    involved = members[members["cluster"].isin(seen)].sort_values("cluster", kind="stable", ignore_index=True)
    hits = firings.merge(involved.reset_index(names="member"), on=["model", "latent"])
    shares = np.zeros((len(involved), n_tokens))
    shares[hits["member"], hits["position"]] = hits["activation"] / hits["maximum"]
    ids, starts, counts = np.unique(involved["cluster"], return_index=True, return_counts=True)
    strength, firing = (
        np.add.reduceat(values, starts, axis=0) / counts[:, None] if len(ids) else values
        for values in (np.minimum(shares, 1), (shares > 0).astype(float))
    )
    touched = (firing > 0).sum(axis=1)
    clusters = pd.DataFrame(
        {
            "cluster": ids,
            "class": involved["class"].to_numpy()[starts],
            "level": involved["level"].to_numpy()[starts],
            "n_models": counts,
            "n_tokens": touched,
            "firing": firing.sum(axis=1) / np.maximum(touched, 1),
            "r": [mean_correlation(shares[s : s + n]) for s, n in zip(starts, counts, strict=True)],
        }
    )
    order = np.argsort(-strength.sum(axis=1), kind="stable")
    return Agreement(clusters.iloc[order].reset_index(drop=True), involved, shares, strength[order], firing[order])


def mean_correlation(values: Float[np.ndarray, "k n"]) -> float:
    """Mean Pearson correlation over all pairs of those rows that vary; missing where fewer than two do."""
    varying = values[np.ptp(values, axis=1) > 0] if values.size else values
    if len(varying) < SHARED:
        return float("nan")
    return float(np.corrcoef(varying)[np.triu_indices(len(varying), 1)].mean())


def clusters_at_token(agreed: Agreement, position: int) -> pd.DataFrame:
    """Clusters that fire on a token, strongest first.

    Returns:
        The columns of ``agreed.clusters`` but for ``firing``, which here is of this token, ``strength``, and for every
        model ``share``-``model``: the member's share of its maximum, 0 where it is silent, missing where the
        cluster has no member in the model.
    """
    rows = np.flatnonzero(agreed.firing[:, position] > 0)
    frame = agreed.clusters.iloc[rows].assign(
        strength=agreed.strength[rows, position], firing=agreed.firing[rows, position]
    )
    here = agreed.members[["cluster", "model"]].assign(share=agreed.shares[:, position])
    wide = here.pivot_table(index="cluster", columns="model", values="share", aggfunc="max")
    return frame.join(wide, on="cluster").sort_values("strength", ascending=False, kind="stable", ignore_index=True)


def unshared_firings(firings: pd.DataFrame, members: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Firings of latents that share a cluster with no other model.

    Returns:
        position, model, latent, activation, share (of the latent's maximum; missing where it never fired on the
        evaluation text), status, verdict; strongest share first.
    """
    of_latents = features[["model", "latent", "status", "verdict", "max_activation"]]
    inside = pd.MultiIndex.from_frame(members[["model", "latent"]])
    unshared = firings[~pd.MultiIndex.from_frame(firings[["model", "latent"]]).isin(inside)]
    unshared = unshared.merge(of_latents, on=["model", "latent"], how="left")
    top = unshared["max_activation"]
    unshared = unshared.assign(share=unshared["activation"] / top.where(top > 0)).drop(columns="max_activation")
    return unshared.sort_values("share", ascending=False, kind="stable", na_position="last", ignore_index=True)
