"""Compiled passes over the vocabulary: what a change of the last stream does to a prediction.

The work of every measure in this folder is one pass over the vocabulary per active latent and row, so nothing of that
size is ever stored: differences of logits are made, exponentiated and summed in a buffer that stays in the cache.
"""

import math

import numpy as np

from universality.compiled import njit

#: Tokens of the vocabulary that are worked on at a time.
CHUNK = 512
#: A logit that rises by more has no exponential in float32 worth adding; such changes are summed in float64.
_STEEP = 60.0


_FAST = {"reassoc", "contract", "nsz", "nnan"}


@njit(nogil=True, fastmath=_FAST)
def _differences(base, effect, shrink, push, out):
    """Differences of logits into ``out``, and how many are too steep."""
    steep = np.float32(0.0)
    for k in range(out.size):
        out[k] = shrink * base[k] + push * effect[k]
        steep += np.float32(1.0) if out[k] > np.float32(_STEEP) else np.float32(0.0)
    return steep


@njit(nogil=True, fastmath=_FAST)
def _exponents(differences, rest, bits):
    """``exp(d) - 1 = 2^n (rest + 1) - 1``: rest is expm1 of at most half of log 2, ``bits`` those of the float 2^n."""
    log2e, ln2_high, ln2_low = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
    for k in range(differences.size):
        d = differences[k]
        d = np.float32(88.0) if d > np.float32(88.0) else d
        d = np.float32(-87.0) if d < np.float32(-87.0) else d
        whole = np.floor(d * log2e + np.float32(0.5))
        r = d - whole * ln2_high - whole * ln2_low
        q = np.float32(1.0 / 5040.0)
        q = q * r + np.float32(1.0 / 720.0)
        q = q * r + np.float32(1.0 / 120.0)
        q = q * r + np.float32(1.0 / 24.0)
        q = q * r + np.float32(1.0 / 6.0)
        q = q * r + np.float32(0.5)
        rest[k] = r + r * r * q
        bits[k] = (np.int32(whole) + np.int32(127)) << np.int32(23)


@njit(nogil=True, fastmath=_FAST)
def _sums(prediction, differences, rest, power):
    """``sum p (exp(d) - 1)`` and ``sum p d`` of a chunk."""
    mass, mean = np.float32(0.0), np.float32(0.0)
    for k in range(differences.size):
        mass += prediction[k] * (power[k] * rest[k] + (power[k] - np.float32(1.0)))
        mean += prediction[k] * differences[k]
    return mass, mean


@njit(nogil=True)
def changes(stream, base, prediction, targets, rows, latents, deltas, moved, effect, scratch, loss, divergence):
    """Change of the log-loss and divergence of the prediction of each entry (one row, one direction, one amount).

    With z the logits, ``d = z' - z``: the change of the loss is ``log sum p exp(d) - d[target]`` and the divergence
    ``log sum p exp(d) - sum p d``. Written so, both are small where d is, and neither is a difference of large numbers.

    Args:
        stream: ``(centred (n, d_model), variance (n,) with eps added)`` of the final stream of each row.
        base: (n, d_vocab) logits times the standard deviation, without bias.
        prediction: (n, d_vocab) probabilities.
        targets: (n,) token that came next.
        rows, latents, deltas: (n_entries,) row, direction and how much of it is added.
        moved: ``(centred (m, d_model), variance (m,))`` of what each direction adds to the stream; of no variance
            where nothing is normalised.
        effect: (m, d_vocab) what a direction adds to ``base``.
        scratch: three float32 (CHUNK,).
        loss, divergence: (n_entries,) out, in nats.
    """
    centred, variance = stream
    direction, spread = moved
    difference, rest, power = scratch
    power_bits = power.view(np.int32)
    n_vocab = base.shape[1]
    for entry in range(rows.size):
        row, latent, delta = rows[entry], latents[entry], deltas[entry]
        along = 0.0
        for k in range(direction.shape[1]):
            along += centred[row, k] * direction[latent, k]
        along /= direction.shape[1]
        before = variance[row]
        after = before + spread[latent] * delta * delta + (2.0 * delta * along if spread[latent] > 0.0 else 0.0)
        shrink = np.float32(1.0 / math.sqrt(after) - 1.0 / math.sqrt(before))
        push = np.float32(delta / math.sqrt(after))
        mass, mean, steep = 0.0, 0.0, np.float32(0.0)
        for start in range(0, n_vocab, CHUNK):
            n = min(CHUNK, n_vocab - start)
            d, p = difference[:n], prediction[row, start : start + n]
            steep += _differences(base[row, start : start + n], effect[latent, start : start + n], shrink, push, d)
            _exponents(d, rest, power_bits)
            part, moment = _sums(p, d, rest, power)
            mass += part
            mean += moment
        at_target = shrink * base[row, targets[row]] + push * effect[latent, targets[row]]
        if steep > 0:
            mass, mean = _steep(base[row], prediction[row], effect[latent], shrink, push)
        raised = math.log1p(max(mass, -1.0 + 1e-12))
        loss[entry], divergence[entry] = raised - at_target, max(raised - mean, 0.0)


@njit(nogil=True)
def _steep(base, prediction, effect, shrink, push):
    """``sum p expm1(d)`` and ``sum p d`` in float64, for a change that leaves nothing of a prediction."""
    mass, mean = 0.0, 0.0
    for k in range(base.size):
        d = np.float64(shrink) * base[k] + np.float64(push) * effect[k]
        mass += prediction[k] * math.expm1(min(d, 700.0))
        mean += prediction[k] * d
    return mass, mean
