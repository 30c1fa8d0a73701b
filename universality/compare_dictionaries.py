"""Two dictionaries of one model, compared from their weights alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from universality.arguments import checked, flag, function, instance, number, whole
from universality.brief_repr import brief_repr
from universality.compare.shared_init import shared_initialisation
from universality.cosines import Cosines
from universality.errors import refusal, require
from universality.indices import Index, random_rotation
from universality.sae.base import SparseAutoencoder
from universality.sae.places import model_name, place_of
from universality.seeds import generator
from universality.weight_indices import MatchedDirections, match_directions, weight_figures

if TYPE_CHECKING:
    import pandas as pd

#: Rotations where none are asked for: five, and of dictionaries that take minutes each, one.
DRAWS, DRAWS_OF_LARGE, LARGE = 5, 1, 16_384
#: Where a dictionary says that it belongs, how people call that, and one spelling of it.
_PLACES = {
    "model": ("model", model_name),
    "hook_point": ("hook point", place_of),
    "hook_point_out": ("output hook point", place_of),
}


@dataclass(frozen=True)
class WeightIndex:
    """One index of the weights of two dictionaries.

    Attributes:
        name: as :func:`~universality.weight_indices.weight_figures` explains it.
        weights: "decoder", "encoder" or "both".
        value: in [-1, 1]; shares in [0, 1].
        n: latents that it is a mean over.
        chance, chance_low, chance_high: mean, least and largest over random rotations of b; NaN without any.
        initial: the same of the two dictionaries before training; NaN where that is not known.
    """

    name: str
    weights: str
    value: float
    n: int
    chance: float
    chance_low: float
    chance_high: float
    initial: float


@brief_repr
@dataclass(frozen=True, eq=False)
class DictionaryComparison:
    """How far two dictionaries of one model agree.

    Attributes:
        d_in: width of the activations. d_sae: latents of a and of b.
        compared: (d_sae,) bool of a and of b: which were used, and have an encoder and a decoder of any length.
        threshold: cosine at which two latents count as one. draws: random rotations behind the chance levels.
        indices: every index, each with its chance.
        traces: of a shared start, as :func:`~universality.compare.shared_init.shared_initialisation` finds them.
        certificates: of every assignment (``"decoder"``, ``"encoder"``, and of ``|cos|`` ``"decoder_abs"``,
            ``"encoder_abs"``) an upper bound on the sum of cosines that any other could have more.
        pairs: pairs that either assignment made: latent_a, latent_b, cos_decoder, cos_encoder, and assigned_by
            ("both", "decoder" or "encoder").
        identical: whether all encoder and decoder weights are equal.
        warnings: what to keep in mind, sentences.
    """

    d_in: int
    d_sae: tuple[int, int]
    compared: tuple[np.ndarray, np.ndarray]
    threshold: float
    draws: int
    indices: tuple[WeightIndex, ...]
    traces: tuple[Index, ...]
    certificates: dict[str, float]
    pairs: pd.DataFrame
    identical: bool
    warnings: tuple[str, ...]

    def index(self, name: str, weights: str = "decoder") -> WeightIndex:
        """One index by its name and its weights; KeyError where there is none."""
        return {(index.name, index.weights): index for index in self.indices}[name, weights]


_SAE = instance(SparseAutoencoder, remedy="Load one with universality.sae.load_sae.")


@checked(
    a=_SAE, b=_SAE, threshold=number(0, 1), draws=whole(0), root_seed=whole(), ignore_metadata=flag, threads=whole(1),
    progress=function,
)  # fmt: skip
def compare_dictionaries(
    a: SparseAutoencoder,
    b: SparseAutoencoder,
    *,
    used: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    initial: tuple[np.ndarray, np.ndarray] | None = None,
    threshold: float = 0.7,
    draws: int | None = None,
    root_seed: int = 0,
    ignore_metadata: bool = False,
    names: tuple[str, str] = ("a", "b"),
    threads: int | None = None,
    progress: Callable[[str], object] | None = None,
) -> DictionaryComparison:
    """Match the latents of two dictionaries of one model by the cosines of their decoders, and of their encoders.

    Both assignments are exact, and proved so by their certificates. Chance is the same of a and of b in a basis that is
    rotated at random. No activations are read: a latent that never fires is compared like any other unless ``used``
    leaves it out. Memory grows with d_sae (d_in + 64); no matrix of all pairs exists.

    Args:
        a, b: dictionaries of one hook point of one model; of any sizes, formats and architectures.
        used: (d_sae,) bool each, latents to look at; None for all.
        initial: decoder directions (d_sae, d_in) that the two started at, encoders their transpose, where known: two
            dictionaries that started alike end alike for that reason too.
        threshold: cosine from which two latents count as one.
        draws: random rotations, each of which takes as long as the comparison; None for 5, or 1 above 16,384 latents.
        root_seed: seed of rotations.
        ignore_metadata: whether dictionaries that say they are of different models or hook points are compared.
        names: how errors and warnings call the two.
        threads: threads to use; no byte depends on it. None for every core.
        progress: is told what begins.

    Returns:
        A :class:`DictionaryComparison`.

    Raises:
        InputError: unequal d_in, other models or hook points, weights that are not finite, or no latents to compare.

    Source: Paulo and Belrose 2025 (shared latents); Song et al. 2025 (PW-MCC); Sharkey et al. 2022 (MMCS).
    """
    warnings = _one_place(a, b, names, ignore_metadata)
    weights = [
        {"decoder": sae.W_dec.detach().cpu().numpy(), "encoder": sae.W_enc.detach().cpu().numpy().T} for sae in (a, b)
    ]
    sides = list(zip(weights, used, names, strict=True))
    compared = _compared(*sides[0]), _compared(*sides[1])
    warnings += [text for side, mask in zip(sides, compared, strict=True) if (text := _left_out(*side, mask))]
    d_sae = a.d_sae, b.d_sae
    draws = (DRAWS if max(d_sae) <= LARGE else DRAWS_OF_LARGE) if draws is None else draws
    tell = progress or (lambda _: None)
    rows = {kind: (_taken(weights[0][kind], compared[0]), _taken(weights[1][kind], compared[1])) for kind in weights[0]}

    matched: dict[str, MatchedDirections] = {}
    for kind, (x, y) in rows.items():
        tell(f"{kind}s")
        matched[kind] = match_directions(x, y, threads)
    pairs, traces = _pairs(rows, matched, compared), _traces(weights, matched["decoder"], compared, root_seed)
    value = weight_figures(matched, threshold)
    certificates = {kind: of.signed.certificate for kind, of in matched.items()}
    certificates |= {f"{kind}_abs": of.absolute.certificate for kind, of in matched.items()}
    by_chance = []
    for draw in range(draws):
        tell(f"chance, rotation {draw + 1} of {draws}")
        rng = generator(root_seed, "compare-dictionaries", draw)
        turned = {d: random_rotation(d, rng) for d in sorted({y.shape[1] for _, y in rows.values()})}
        of_turned = {kind: match_directions(x, _turned(y, turned), threads) for kind, (x, y) in rows.items()}
        by_chance.append(weight_figures(of_turned, threshold))
    start: dict[tuple[str, str], float] = {}
    if initial is not None:
        tell("the initial dictionaries")
        shapes, fit = [np.shape(part) for part in initial], [(n, a.W_dec.shape[1]) for n in d_sae]
        remedy = "Give decoder rows of both."
        require(shapes == fit, "initial", " and ".join(names), f"of shapes {fit}", shapes, remedy)
        x, y = (np.asarray(part)[mask] for part, mask in zip(initial, compared, strict=True))
        start = weight_figures(dict.fromkeys(rows, match_directions(x, y, threads)), threshold)
        del start["same_partner_fraction", "both"]  # of encoders that are the decoders' transpose it says nothing
    sizes = [int(mask.sum()) for mask in compared]
    return DictionaryComparison(
        d_in=a.d_in, d_sae=d_sae, compared=compared, threshold=threshold, draws=draws,
        indices=tuple(_index(key, value, by_chance, start, sizes) for key in value), traces=tuple(traces),
        certificates=certificates, pairs=pairs,
        identical=all(np.array_equal(weights[0][kind], weights[1][kind]) for kind in rows), warnings=tuple(warnings),
    )  # fmt: skip


def _index(
    key: tuple[str, str],
    value: dict[tuple[str, str], float],
    by_chance: list[dict[tuple[str, str], float]],
    start: dict[tuple[str, str], float],
    sizes: list[int],
) -> WeightIndex:
    drawn = np.array([of[key] for of in by_chance] or [np.nan])
    of_a = key[0] in ("mmcs", "mean_max_abs_cos", "max_above")
    n = sizes[0] if of_a else sizes[1] if key[0].endswith("_b") else min(sizes)
    chance = float(drawn.mean()), float(drawn.min()), float(drawn.max())
    return WeightIndex(*key, value[key], n, *chance, start.get(key, float("nan")))


def _taken(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return rows if mask.all() else rows[mask]  # gigabytes are not copied for nothing


def _turned(rows: np.ndarray, rotations: dict[int, np.ndarray]) -> np.ndarray:
    turned = np.empty(rows.shape, np.float32)
    for first in range(0, len(rows), 4096):
        turned[first : first + 4096] = rows[first : first + 4096].astype(np.float64) @ rotations[rows.shape[1]]
    return turned


def _one_place(a: SparseAutoencoder, b: SparseAutoencoder, names: tuple[str, str], ignore: bool) -> list[str]:
    """Refuse dictionaries of different places, and say what is taken on trust."""
    where = " and ".join(names)
    remedy = "Weights have a cosine only within one basis: compare dictionaries of one place."
    for what, sizes in (("d_in", (a.d_in, b.d_in)), ("d_out", (a.W_dec.shape[1], b.W_dec.shape[1]))):
        require(sizes[0] == sizes[1], what, where, "equal", f"{sizes[0]} and {sizes[1]}", remedy)
    warnings = []
    for key, (word, spelling) in _PLACES.items():
        said = [str(sae.metadata.get(key) or "") for sae in (a, b)]
        if all(said) and spelling(said[0]) != spelling(said[1]):
            got = ", ".join(f"{name} says {one}" for name, one in zip(names, said, strict=True))
            if not ignore:
                raise refusal(word, where, "one", got, f"{remedy} If these are: --ignore-metadata.")
            warnings.append(f"By their metadata they do not share a {word}: {got}.")
        elif not all(said) and key != "hook_point_out":  # most write where they read, and say nothing of it
            silent = " and ".join(name for name, one in zip(names, said, strict=True) if not one)
            warnings.append(f"Which {word} is not in the metadata of {silent}: that both read one is taken on trust.")
    if a.normalisation != b.normalisation:
        got = f"{a.normalisation} and {b.normalisation}"
        warnings.append(f"Their inputs are normalised differently ({got}), so their encoders read different things.")
    for sae, name in ((a, names[0]), (b, names[1])):
        if sae.metadata.get("warning"):
            warnings.append(f"{name}: {sae.metadata['warning']}.")
    return warnings


def _compared(weights: dict[str, np.ndarray], used: np.ndarray | None, name: str) -> np.ndarray:
    n = len(weights["decoder"])
    mask = np.ones(n, bool) if used is None else np.asarray(used)
    fits = mask.shape == (n,) and mask.dtype == bool
    require(fits, "used", name, f"({n},) truth values", f"{mask.shape} of {mask.dtype}", "Give one for each latent.")
    for kind, rows in weights.items():
        finite = np.isfinite(rows).all(axis=1)
        got = f"{int((~finite).sum())} latents with NaN or infinite weights"
        require(finite.all(), f"{kind} weights", name, "finite", got, "Take another save of the dictionary.")
        mask = mask & rows.any(axis=1)
    require(mask.any(), "latents", name, "at least one that is used and not zero", "none", "Check the dictionary.")
    return mask


def _left_out(weights: dict[str, np.ndarray], used: np.ndarray | None, name: str, mask: np.ndarray) -> str:
    n_unused = 0 if used is None else int((~used).sum())
    n_zero = len(mask) - int(mask.sum()) - n_unused
    counts = ((n_unused, "that hardly ever fire in their run"), (n_zero, "with weights of zero"))
    parts = [f"{n} {why}" for n, why in counts if n]
    return f"Latents of {name} left out: {', '.join(parts)}." if parts else ""


def _pairs(
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    matched: dict[str, MatchedDirections],
    compared: tuple[np.ndarray, ...],
) -> pd.DataFrame:
    import pandas as pd

    n_b = rows["decoder"][1].shape[0]
    keys = {kind: of.signed.indices_a.astype(np.int64) * n_b + of.signed.indices_b for kind, of in matched.items()}
    key = np.union1d(keys["decoder"], keys["encoder"])
    by_decoder, by_encoder = np.isin(key, keys["decoder"]), np.isin(key, keys["encoder"])
    at = key // n_b, key % n_b
    numbers = [np.flatnonzero(mask)[side] for mask, side in zip(compared, at, strict=True)]
    cosines = {f"cos_{kind}": Cosines(*sides).of(*at) for kind, sides in rows.items()}
    by = np.where(by_decoder & by_encoder, "both", np.where(by_decoder, "decoder", "encoder"))
    return pd.DataFrame({"latent_a": numbers[0], "latent_b": numbers[1], **cosines, "assigned_by": by})


def _traces(
    weights: list[dict[str, np.ndarray]], decoder: MatchedDirections, compared: tuple[np.ndarray, ...], root_seed: int
) -> list[Index]:
    ia, ib = (
        np.flatnonzero(mask)[of]
        for mask, of in zip(compared, (decoder.signed.indices_a, decoder.signed.indices_b), strict=True)
    )
    decoders = weights[0]["decoder"], weights[1]["decoder"]
    rng = generator(root_seed, "shared-init")
    return shared_initialisation(ia, ib, (len(decoders[0]), len(decoders[1])), decoders, rng)
