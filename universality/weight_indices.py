"""Published indices of the weights of two dictionaries of one model, whose decoders share a basis.

Between models they mean nothing: bases differ by a rotation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from universality.arguments import SEEDED, checked, flag, instance, matrix, maybe, number, several, vector, whole
from universality.correlation.list_union import from_lists
from universality.correlation.top import TopSimilarity
from universality.errors import require
from universality.indices import Index, random_rotation
from universality.matching import match


@checked(a=matrix, b=matrix, top=whole(1), absolute=flag)
def cosine_similarity(a: np.ndarray, b: np.ndarray, *, top: int = 64, absolute: bool = False) -> TopSimilarity:
    """Cosine of all rows of a with all rows of b, the best both ways, in blocks of rows.

    Only meaningful where both live in one basis: dictionaries of the same model.

    Args:
        a: (n_a, d) directions. b: (n_b, d).
        top: length of the lists.
        absolute: whether to take ``|cos|``.
    """
    remedy = "Only directions of one space have a cosine."
    require(a.shape[1] == b.shape[1], "width", "b", f"{a.shape[1]}, as of a", b.shape[1], remedy)
    units = []
    for side in (a, b):
        norm = np.linalg.norm(side, axis=1, keepdims=True)
        units.append(np.asarray(side, np.float64) / np.where(norm > 0, norm, 1.0))
    alive = [np.any(unit != 0, axis=1) for unit in units]
    lists = [_top_lists(units[0], units[1], alive[0], alive[1], top, absolute)]
    lists.append(_top_lists(units[1], units[0], alive[1], alive[0], top, absolute))
    return from_lists(lists[0], lists[1], alive[0], alive[1], a.shape[1], top)


def _top_lists(
    x: np.ndarray, y: np.ndarray, alive_x: np.ndarray, alive_y: np.ndarray, top: int, absolute: bool
) -> tuple[np.ndarray, np.ndarray]:
    n, others = x.shape[0], np.flatnonzero(alive_y)
    width = min(top, others.size)
    partner, value = np.full((n, top), -1, np.int32), np.zeros((n, top))
    chosen = np.flatnonzero(alive_x)
    for first in range(0, chosen.size if width else 0, 1024):
        part = chosen[first : first + 1024]
        cosine = x[part] @ y[others].T
        cosine = np.abs(cosine) if absolute else cosine
        best = np.sort(np.argpartition(-cosine, width - 1, axis=1)[:, :width], axis=1)
        order = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        partner[part, :width] = others[best]
        value[part, :width] = np.take_along_axis(cosine, best, axis=1)
    return partner, value


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
    left = [np.asarray(m[0], np.float64)[alive[0]] for m in (decoders, encoders) if m is not None]
    right = [np.asarray(m[1], np.float64)[alive[1]] for m in (decoders, encoders) if m is not None]
    q = random_rotation(left[0].shape[1], generator)
    n = max(min(left[0].shape[0], right[0].shape[0]), 1)
    value = _cosine_figures(left, right, n, threshold)
    chance = _cosine_figures(left, [m @ q for m in right], n, threshold)
    return [Index(name, value[name], chance[name], n) for name in value]


def _cosine_figures(
    left: Sequence[np.ndarray], right: Sequence[np.ndarray], n: int, threshold: float
) -> dict[str, float]:
    signed, absolute = (cosine_similarity(left[0], right[0], absolute=flag) for flag in (False, True))
    chosen = match(signed)
    figures = {
        "mmcs": _mean(signed.top_a(1)[1][:, 0]),
        "mean_max_abs_cos": _mean(absolute.top_a(1)[1][:, 0]),
        "mean_matched_signed_cos": float(chosen.score.sum() / n),
        "mean_matched_abs_cos": float(match(absolute).score.sum() / n),
    }
    if len(left) > 1:
        by_encoder = match(cosine_similarity(left[1], right[1]))
        partner, cosine = np.full(len(left[1]), -1), np.zeros(len(left[1]))
        partner[by_encoder.indices_a], cosine[by_encoder.indices_a] = by_encoder.indices_b, by_encoder.score
        same = partner[chosen.indices_a] == chosen.indices_b
        both = np.minimum(cosine[chosen.indices_a], chosen.score) >= threshold
        figures["paulo_shared_fraction"] = int((same & both).sum()) / n
    return figures


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
