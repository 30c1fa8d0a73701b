"""Does the partner's direction, mapped into this model, do here what the model's own direction does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from transformer_lens.model_bridge import TransformerBridge

from universality.brief_repr import brief_repr
from universality.effects.push import Push
from universality.effects.steering import SteeringEffect, Unsteered, steer
from universality.errors import refusal, require

#: Strengths of the own direction.
BETAS = (1.0, 2.0, 4.0)
#: Tokens whose logits the own direction raises most: what it is meant to do.
N_TARGET = 50
#: Ridge penalties that are tried, as shares of the mean eigenvalue of the covariance.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Of the fit rows the last part chooses the penalty.
CHOOSING = 0.2
#: Contexts and strengths (of the largest beta) between which the strength of equal divergence is interpolated.
SEARCH_CONTEXTS = 16
SEARCH_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)


@brief_repr
@dataclass(frozen=True, eq=False)
class RidgeMap:
    """A linear map of one model's raw activations to another's, with its intercept.

    Attributes:
        weights: (d_b, d_a) float64.
        r2: share of the variance of a that it explains on held-out rows, over all coordinates together; at most 1.
        penalty: the chosen share of the mean eigenvalue.
    """

    weights: Float[np.ndarray, "d_b d_a"]
    r2: float
    penalty: float

    def direction(self, row: Float[np.ndarray, " d_b"]) -> Float[np.ndarray, " d_a"]:
        """Where a direction of b leads in a, at unit length.

        Raises:
            InputError: the map sends it to nothing.
        """
        mapped = np.asarray(row, dtype=np.float64) @ self.weights
        length = float(np.linalg.norm(mapped))
        if not np.isfinite(length) or length <= 1e-12 * float(np.linalg.norm(row)):
            remedy = "The models' activations have nothing in common there."
            raise refusal("direction", "the other model", "one that the ridge map keeps", f"norm {length:g}", remedy)
        return mapped / length


def ridge_map(
    from_b: Float[np.ndarray, "n_rows d_b"],
    to_a: Float[np.ndarray, "n_rows d_a"],
    held_out_b: Float[np.ndarray, "n_score d_b"],
    held_out_a: Float[np.ndarray, "n_score d_a"],
) -> RidgeMap:
    r"""Fit :math:`a \approx b R + c` with the penalty that explains the last fifth of the fit rows best.

    Args:
        from_b, to_a: raw activations of both models on the same fit rows, at least ten.
        held_out_b, held_out_a: the same on score rows.

    Raises:
        InputError: arrays of unequal length, too few rows, or values that are not finite.

    Source: Hoerl and Kennard 1970; the penalty by validation: ours.
    """
    parts = [np.asarray(part, dtype=np.float64) for part in (from_b, to_a, held_out_b, held_out_a)]
    b, a, score_b, score_a = parts
    enough = len(b) == len(a) >= 10 and len(score_b) == len(score_a) > 0
    got = tuple(len(part) for part in parts)
    require(enough, "rows", "the ridge map", "the same for both models, at least 10 to fit", got, "Pass more text.")
    finite = all(np.isfinite(part).all() for part in parts)
    require(finite, "activations", "the ridge map", "finite", "NaN or infinite values", "Take another checkpoint.")
    n_first = len(b) - max(int(CHOOSING * len(b)), 1)
    first = _Ridge(b[:n_first], a[:n_first])
    penalty = max(PENALTIES, key=lambda share: first.explained(share, b[n_first:], a[n_first:]))
    whole = _Ridge(b, a)
    return RidgeMap(whole.solved(penalty), whole.explained(penalty, score_b, score_a), penalty)


class _Ridge:
    """Centred products of two sets of rows, solved for any penalty."""

    def __init__(self, b: np.ndarray, a: np.ndarray) -> None:
        self.mean_b, self.mean_a = b.mean(axis=0), a.mean(axis=0)
        centred = b - self.mean_b
        self.values, self.vectors = np.linalg.eigh(centred.T @ centred)
        self.cross = self.vectors.T @ (centred.T @ (a - self.mean_a))

    def solved(self, share: float) -> np.ndarray:
        """Weights (d_b, d_a); zeros where b does not vary at all."""
        scale = max(float(self.values.mean()), 0.0)
        if scale == 0:
            return np.zeros((len(self.mean_b), len(self.mean_a)))
        return self.vectors @ (self.cross / (np.maximum(self.values, 0) + share * scale)[:, None])

    def explained(self, share: float, b: np.ndarray, a: np.ndarray) -> float:
        """R² on other rows; 0 where these do not vary."""
        error = ((a - self.mean_a - (b - self.mean_b) @ self.solved(share)) ** 2).sum()
        total = ((a - a.mean(axis=0)) ** 2).sum()
        return float(1 - error / total) if total > 0 else 0.0


@dataclass(frozen=True)
class Transferred:
    """What one direction does, beside the model's own at the same strength.

    Attributes:
        arm: name of the direction.
        beta: strength.
        cosine: of the mean logit shifts of both, in [-1, 1]; 0 where one of them does nothing.
        kl: divergence of the predictions under this direction at ``beta``, nats.
        norm_ratio: of the residual stream at ``beta``.
        matched_strength: strength at which its divergence is that of the own direction at ``beta``, interpolated; NaN
            where none of the strengths that are tried reaches it.
        matched_kl: divergence at that strength, measured.
        ratio: rise of the log-probability of the target set at that strength over that of the own direction at
            ``beta``; NaN where there is no such strength, or the own direction does not raise it.
    """

    arm: str
    beta: float
    cosine: float
    kl: float
    norm_ratio: float
    matched_strength: float
    matched_kl: float
    ratio: float


def measure_transfer(
    model: TransformerBridge,
    own: Push,
    arms: Mapping[str, Push],
    contexts: Int[np.ndarray, "n_contexts n_ctx"],
    fit_contexts: Int[np.ndarray, "n_fit n_ctx"],
    betas: Sequence[float] = BETAS,
    search_contexts: int = SEARCH_CONTEXTS,
) -> list[Transferred]:
    """Hold directions from elsewhere against the model's own.

    Args:
        model: any bridge.
        own: the push of the model's own latent.
        arms: other directions by name, at the same hook point and of the same norm.
        contexts: neutral text, on which everything is measured.
        fit_contexts: other text, on which the target set is chosen: the :data:`N_TARGET` tokens whose logits the own
            direction raises most.
        betas: strengths of the own direction.
        search_contexts: of the contexts those on which the strength of equal divergence is looked for.

    Returns:
        The own direction, named ``own``, and then every arm, each at every strength.

    Raises:
        InputError: as of :func:`universality.effects.steer`.
    """
    target = steer(model, own, fit_contexts, betas[0]).top_tokens(N_TARGET)[0].copy()
    some = Unsteered(model, contexts[:: max(len(contexts) // search_contexts, 1)][:search_contexts])
    every = Unsteered(model, contexts)
    of_own = {beta: every.steer(own, beta, target) for beta in betas}
    found = [Transferred("own", beta, 1.0, e.kl, e.norm_ratio, beta, e.kl, 1.0) for beta, e in of_own.items()]
    for name, push in arms.items():
        curve = _divergences(some, push, max(betas))
        for beta, best in of_own.items():
            here = every.steer(push, beta, target)
            matched = _matching(curve, beta, here.kl, best.kl)
            at_equal = every.steer(push, matched, target) if np.isfinite(matched) else None
            kl = float("nan") if at_equal is None else at_equal.kl
            cosine = _cosine(here, best)
            found.append(Transferred(name, beta, cosine, here.kl, here.norm_ratio, matched, kl, _ratio(at_equal, best)))
    return found


def _divergences(some: Unsteered, push: Push, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Log strengths and, rising with them, the logs of the divergences there; empty where the push does nothing."""
    strengths = np.array(SEARCH_SHARES) * most
    kls = np.array([some.steer(push, strength).kl for strength in strengths])
    # A broken model may diverge less again: what lies beyond the largest divergence is left out.
    rising = (kls > 0) & (kls > np.concatenate([[0.0], np.maximum.accumulate(kls)[:-1]]))
    return np.log(strengths[rising]), np.log(kls[rising])


def _matching(curve: tuple[np.ndarray, np.ndarray], beta: float, kl: float, wanted: float) -> float:
    """The strength at which a push diverges by ``wanted``, on contexts on which it diverges by ``kl`` at ``beta``.

    The curve was measured on some of these contexts; all of them lie above or below it by what they do at ``beta``.
    """
    log_strength, log_kl = curve
    if len(log_kl) < 2 or min(kl, wanted) <= 0:
        return float("nan")
    off = np.log(kl) - np.interp(np.log(beta), log_strength, log_kl)
    return float(np.exp(np.interp(np.log(wanted) - off, log_kl, log_strength, left=np.nan, right=np.nan)))


def _cosine(one: SteeringEffect, other: SteeringEffect) -> float:
    lengths = float(np.linalg.norm(one.logit_shift) * np.linalg.norm(other.logit_shift))
    return float(one.logit_shift @ other.logit_shift) / lengths if lengths > 0 else 0.0


def _ratio(effect: SteeringEffect | None, own: SteeringEffect) -> float:
    rise = own.log_p_steered - own.log_p_clean
    if effect is None or not rise > 0:
        return float("nan")
    return (effect.log_p_steered - effect.log_p_clean) / rise
