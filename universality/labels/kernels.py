"""The kernel: what each part of a view has of one latent, which parts make its rule, and how well that foretells it."""

import numpy as np

from universality.compiled import njit

#: Rows of the latent's mean that a part is given beside its own: what few rows say is not believed whole.
SHRINKAGE = 2.0
#: A part belongs to a rule while it explains this share of what those before it do.
LEAST_GAIN = 0.01


@njit(nogil=True)
def learn(acts, latents, half_of, view, scratch, found):
    """Learn the rule of each latent in one view.

    Args:
        acts: indptr, indices, values of a CSC matrix (n_rows, d_sae).
        latents: which of them.
        half_of: (n_rows,) 0 and 1 for the halves of the fit rows, 2 for score rows.
        view: (n_rows,) part of each row, -1 for none; (3, n_parts) rows of each part in each of the three; (3,) all.
        scratch: sums (3, n_parts) of zeros, left so; mark (n_parts,) of -1; touched (n_parts,).
        found: parts (n_latents, most) and their weights, r_crossed and r_score (n_latents,), written.
    """
    indptr, indices, values = acts
    part_of, counts, totals = view
    sums, mark, touched = scratch
    parts, weights, r_crossed, r_score = found
    train = np.zeros(2)
    for place in range(latents.size):
        latent = latents[place]
        of, squares = np.zeros(3), np.zeros(3)
        n_touched = 0
        for t in range(indptr[latent], indptr[latent + 1]):
            row, value = indices[t], np.float64(values[t])
            half, part = half_of[row], part_of[row]
            of[half] += value
            squares[half] += value * value
            if part >= 0:
                if mark[part] != latent:
                    mark[part] = latent
                    touched[n_touched] = part
                    n_touched += 1
                sums[half, part] += value
        r_crossed[place] = 0.0
        # Learned on either half and tried on the other; then learned on both and tried on the score rows.
        for tried in range(3):
            train[0], train[1] = (1.0, 1.0) if tried == 2 else (1.0 - tried, np.float64(tried))
            n = _choose(sums, counts, totals, of, train, touched[:n_touched], parts[place], weights[place])
            on = 2 if tried == 2 else 1 - tried
            r = _foretold(sums[on], counts[on], totals[on], of[on], squares[on], parts[place, :n], weights[place, :n])
            if tried < 2:
                r_crossed[place] += 0.5 * r
            else:
                r_score[place] = r
        sums[:, touched[:n_touched]] = 0.0


@njit(nogil=True)
def _choose(sums, counts, totals, of, train, touched, parts, weights):
    """The parts that explain most of a latent on some rows, and what each foretells above all other rows."""
    n = train[0] * totals[0] + train[1] * totals[1]
    total = train[0] * of[0] + train[1] * of[1]
    mean = total / max(n, 1.0)
    gains = np.zeros(parts.size)
    n_found = 0
    for part in touched:
        rows = train[0] * counts[0, part] + train[1] * counts[1, part]
        has = train[0] * sums[0, part] + train[1] * sums[1, part]
        excess = (has + SHRINKAGE * mean) / (rows + SHRINKAGE) - mean
        gain = rows * excess * excess
        if excess <= 0.0 or gain <= gains[-1]:
            continue
        at = min(n_found, parts.size - 1)
        while at > 0 and gains[at - 1] < gain:
            gains[at], parts[at], weights[at] = gains[at - 1], parts[at - 1], weights[at - 1]
            at -= 1
        gains[at], parts[at], weights[at] = gain, part, excess
        n_found = min(n_found + 1, parts.size)
    explained, n_kept, taken, among = 0.0, 0, 0.0, 0.0
    while n_kept < n_found and gains[n_kept] >= LEAST_GAIN * explained:
        explained += gains[n_kept]
        taken += train[0] * sums[0, parts[n_kept]] + train[1] * sums[1, parts[n_kept]]
        among += train[0] * counts[0, parts[n_kept]] + train[1] * counts[1, parts[n_kept]]
        n_kept += 1
    rest = (total - taken) / max(n - among, 1.0)
    weights[:n_kept] += mean - rest
    parts[n_kept:], weights[n_kept:] = -1, 0.0
    return n_kept


@njit(nogil=True)
def _foretold(sums, counts, n, total, squares, parts, weights):
    """Pearson's r of a latent with its rule on some rows; 0 where one of them is constant."""
    rule, rule_squares, products = 0.0, 0.0, 0.0
    for k in range(parts.size):
        rule += weights[k] * counts[parts[k]]
        rule_squares += weights[k] * weights[k] * counts[parts[k]]
        products += weights[k] * sums[parts[k]]
    spread = (n * squares - total * total) * (n * rule_squares - rule * rule)
    return (n * products - total * rule) / np.sqrt(spread) if spread > 0.0 else 0.0
