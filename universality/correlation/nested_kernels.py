"""Compiled passes over rows for parts along nested subspaces."""

import numpy as np

from universality.compiled import njit

#: Of a latent's variance: less than this is rounding, and the latent is explained completely.
EXPLAINED = 1e-9
_STRONGEST = 10
#: Rows that have either latent, among tokens that their document repeats, below which these tell nothing.
_MIN_REPEATED = 20


@njit(nogil=True)
def cell_means(columns, effects, labels, cells, weights, order, first_kind, column, out):
    """Mean residual of each latent in each cell of one kind, then of what is left in each of the next."""
    indptr, rows, values = columns
    (document, token, place), (of_document, of_token, of_place) = labels, effects
    for m in range(out[0].shape[0]):
        for s in range(indptr[m], indptr[m + 1]):
            column[rows[s]] = values[s]
        # In place: the column becomes the residual, of silent rows too.
        for i in range(column.size):
            column[i] -= of_document[m, document[i]] + of_token[m, token[i]] + of_place[m, place[i]]
        for turn in range(first_kind, len(order)):
            cell, weight, mean = cells[order[turn]], weights[order[turn]], out[order[turn]][m]
            for i in range(column.size):
                column[i] += mean[cell[i]]
            mean[:] = 0.0
            for i in range(column.size):
                mean[cell[i]] += column[i]
            # Cells that only score rows have keep the prior: no effect.
            mean /= weight
            for i in range(column.size):
                column[i] -= mean[cell[i]]
        column[:] = 0.0


@njit(nogil=True)
def _within(x, y, order, starts):
    """r of two latents over the rows ``order`` after the mean of each cell is taken off, NaN where few have either."""
    n_active, all_xx, all_yy, xx, yy, xy = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for cell in range(starts.size - 1):
        rows = order[starts[cell] : starts[cell + 1]]
        sum_x, sum_y, active = 0.0, 0.0, 0
        for i in rows:
            sum_x += x[i]
            sum_y += y[i]
            active += x[i] != 0.0 or y[i] != 0.0
        if active:
            n_active += active
            for i in rows:
                left_x, left_y = x[i] - sum_x / rows.size, y[i] - sum_y / rows.size
                all_xx += x[i] * x[i]
                all_yy += y[i] * y[i]
                xx += left_x * left_x
                yy += left_y * left_y
                xy += left_x * left_y
    if n_active < _MIN_REPEATED:
        return np.nan
    defined = xx > EXPLAINED * all_xx and yy > EXPLAINED * all_yy
    return xy / np.sqrt(xx * yy) if defined else 0.0


@njit(nogil=True)
def moments(a, b, codes, group, repeats, column_a, column_b, sums, r_repeated, strongest):
    """Sums of x, y, x², y², xy by pair, group of rows and step, r within repeats, share of the strongest rows."""
    domain, document, token, place, cell_1, cell_2, cell_3 = codes
    residual = np.zeros((2, 6))
    for pair in range(sums.shape[0]):
        for side, column in ((a, column_a), (b, column_b)):
            for s in range(side[0][pair], side[0][pair + 1]):
                column[side[1][s]] = side[2][s]
        top = np.zeros(_STRONGEST)
        total = 0.0
        for i in range(group.size):
            for which, side, column in ((0, a, column_a), (1, b, column_b)):
                # Measured from the mean at every step, which keeps the digits of latents that never rest.
                x = column[i]
                explained = side[6][pair, document[i]] + side[7][pair, token[i]] + side[8][pair, place[i]]
                residual[which, 0] = x - side[3][pair]
                residual[which, 1] = x - side[4][pair, domain[i]]
                residual[which, 2] = x - side[5][pair, document[i]]
                residual[which, 3] = x - explained
                residual[which, 4] = residual[which, 3] - side[9][pair, cell_1[i]]
                of_pairs = side[10][pair, cell_2[i]] + side[11][pair, cell_3[i]]
                residual[which, 5] = residual[which, 4] - of_pairs
            g = group[i]
            for step in range(6):
                x, y = residual[0, step], residual[1, step]
                sums[pair, g, step, 0] += x
                sums[pair, g, step, 1] += y
                sums[pair, g, step, 2] += x * x
                sums[pair, g, step, 3] += y * y
                sums[pair, g, step, 4] += x * y
            product = residual[0, 0] * residual[1, 0]
            total += product
            if product > top[0]:
                # Sorted, smallest first: ten places are shifted less often than they are compared.
                at = 0
                while at + 1 < top.size and top[at + 1] < product:
                    top[at] = top[at + 1]
                    at += 1
                top[at] = product
        r_repeated[pair] = _within(column_a, column_b, *repeats)
        strongest[pair] = top.sum() / total if total > 0 else 0.0
        for side, column in ((a, column_a), (b, column_b)):
            for s in range(side[0][pair], side[0][pair + 1]):
                column[side[1][s]] = 0.0
