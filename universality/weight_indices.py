"""Published indices of the weights of two dictionaries of one model, whose decoders share a basis.

Between models they mean nothing: bases differ by a rotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from universality.arguments import SEEDED, checked, flag, instance, matrix, maybe, number, several, vector, whole
from universality.correlation.top import TopSimilarity
from universality.cosines import Cosines
from universality.indices import Index, random_rotation
from universality.matching import MatchResult, match

#: Length of the lists that assignments are solved on; what they leave out is searched, so it changes no result.
_TOP = 64
#: Those of a run's table ``indices``.
_STORED = (
    ("mmcs", "decoder"), ("mean_max_abs_cos", "decoder"), ("mean_matched_signed_cos", "decoder"),
    ("mean_matched_abs_cos", "decoder"), ("paulo_shared_fraction", "both"),
)  # fmt: skip


@checked(a=matrix, b=matrix, top=whole(1), absolute=flag)
def cosine_similarity(a: np.ndarray, b: np.ndarray, *, top: int = _TOP, absolute: bool = False) -> TopSimilarity:
    """Cosine of all rows of a with all rows of b, the best both ways, in blocks of rows.

    Only meaningful where both live in one basis: dictionaries of the same model.

    Args:
        a: (n_a, d) directions. b: (n_b, d).
        top: length of the lists.
        absolute: whether to take ``|cos|``.
    """
    return Cosines(a, b).lists(top)[absolute]


@dataclass(frozen=True, eq=False)
class MatchedDirections:
    """Two sets of directions of one space, matched by cosine and by ``|cos|``.

    Attributes:
        best_a: (2, n_a) of each direction the highest cosine, and the highest ``|cos|``; 0 for one without length.
        best_b: (2, n_b) the same of the other side.
        signed: the one-to-one assignment of the largest sum of cosines; a negative cosine is never assigned.
        absolute: the same of ``|cos|``.
    """

    best_a: np.ndarray
    best_b: np.ndarray
    signed: MatchResult
    absolute: MatchResult


def match_directions(a: np.ndarray, b: np.ndarray, threads: int | None = 1) -> MatchedDirections:
    """Match rows of a to rows of b, exactly: pairs that short lists leave out are searched until none adds anything.

    Args:
        a: (n_a, d). b: (n_b, d), in the same basis.
        threads: threads to use; no byte depends on it.
    """
    cosines = Cosines(a, b, threads)
    similarities = cosines.lists(_TOP)
    matched = [
        match(similarity, search=cosines.search(similarity, absolute), threads=threads)
        for similarity, absolute in zip(similarities, (False, True), strict=True)
    ]
    best_a = np.stack([similarity.top_a(1)[1][:, 0] for similarity in similarities])
    best_b = np.stack([similarity.top_b(1)[1][:, 0] for similarity in similarities])
    return MatchedDirections(best_a, best_b, *matched)


def same_partner(by_decoder: MatchResult, by_encoder: MatchResult) -> np.ndarray:
    """(n,) the smaller cosine of every pair that ``by_decoder`` assigned; -1 where the encoder's partner is another."""
    partner = np.full(by_encoder.duals_a.size, -1)
    cosine = np.full(partner.size, -1.0)
    partner[by_encoder.indices_a], cosine[by_encoder.indices_a] = by_encoder.indices_b, by_encoder.score
    at = by_decoder.indices_a
    return np.where(partner[at] == by_decoder.indices_b, np.minimum(cosine[at], by_decoder.score), -1.0)


def weight_figures(matched: Mapping[str, MatchedDirections], threshold: float) -> dict[tuple[str, str], float]:
    """Every index of the weights of two dictionaries, by its name and by which weights it is of.

    Args:
        matched: how the rows of ``"decoder"`` and, where there are any, ``"encoder"`` were matched.
        threshold: cosine at which two latents count as one.

    Returns:
        Of each kind of weights (means over the latents of one side, 0 where there are none; "the smaller side" for
        one-to-one pairs): ``mmcs`` and ``mmcs_b``, highest cosine of a latent of a, and of b; ``mean_max_abs_cos`` and
        ``mean_max_abs_cos_b``, highest ``|cos|``; ``mean_matched_signed_cos`` and ``mean_matched_abs_cos``, cosine of
        the one-to-one assignment; ``matched_above``, share of the smaller side that is assigned at or above
        ``threshold``; ``max_above`` and ``max_above_b``, share of a and of b with any partner there. Of ``"both"``:
        ``same_partner_fraction``, share of the smaller side whose assignments name one partner, and
        ``paulo_shared_fraction``, those of them with both cosines at or above ``threshold``.
    """
    figures: dict[tuple[str, str], float] = {}
    for kind, of in matched.items():
        n = max(min(of.best_a.shape[1], of.best_b.shape[1]), 1)
        for end, best in (("", of.best_a), ("_b", of.best_b)):
            figures[f"mmcs{end}", kind] = _mean(best[0])
            figures[f"mean_max_abs_cos{end}", kind] = _mean(best[1])
            figures[f"max_above{end}", kind] = _mean(best[0] >= threshold)
        figures["mean_matched_signed_cos", kind] = float(of.signed.score.sum() / n)
        figures["mean_matched_abs_cos", kind] = float(of.absolute.score.sum() / n)
        figures["matched_above", kind] = int((of.signed.score >= threshold).sum()) / n
    if len(matched) > 1:
        cosine = same_partner(matched["decoder"].signed, matched["encoder"].signed)
        figures["same_partner_fraction", "both"] = int((cosine > 0).sum()) / n
        figures["paulo_shared_fraction", "both"] = int(((cosine > 0) & (cosine >= threshold)).sum()) / n
    return figures


@checked(
    decoders=several(matrix), encoders=maybe(several(matrix)), alive=several(vector("b")),
    generator=instance(np.random.Generator, remedy=SEEDED), threshold=number(),
)  # fmt: skip
def decoder_indices(
    decoders: tuple[np.ndarray, np.ndarray],
    encoders: tuple[np.ndarray, np.ndarray] | None,
    alive: tuple[np.ndarray, np.ndarray],
    generator: np.random.Generator,
    threshold: float = 0.7,
) -> list[Index]:
    """Weight indices of two dictionaries of *one* model, on alive latents.

    ``mmcs``: mean over a of the highest decoder cosine. ``mean_max_abs_cos``: the same of ``|cos|``.
    ``mean_matched_signed_cos`` (Song's PW-MCC) and ``mean_matched_abs_cos``: mean cosine of the one-to-one
    assignment. ``paulo_shared_fraction``: share of latents whose decoder and encoder assignments name the
    same partner, both cosines at or above ``threshold``. Chance: the same with one side's basis rotated at
    random.

    Args:
        decoders: (d_sae, d_in) of both. encoders: (d_sae, d_in) rows of both (transposed W_enc), or None.
        alive: which latents of either side count.
        generator: source of the rotation.
        threshold: cosine of Paulo's definition.

    Source: Sharkey et al. 2022 (MMCS); Song et al. 2025; Paulo and Belrose 2025.
    """
    sides = {
        kind: tuple(np.asarray(m[side], np.float64)[alive[side]] for side in (0, 1))
        for kind, m in (("decoder", decoders), ("encoder", encoders))
        if m is not None
    }
    q = random_rotation(sides["decoder"][0].shape[1], generator)
    value = weight_figures({kind: match_directions(x, y) for kind, (x, y) in sides.items()}, threshold)
    chance = weight_figures({kind: match_directions(x, y @ q) for kind, (x, y) in sides.items()}, threshold)
    n = max(min(map(len, sides["decoder"])), 1)
    return [Index(name, value[name, of], chance[name, of], n) for name, of in _STORED if (name, of) in value]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
