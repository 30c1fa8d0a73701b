"""Single calls of the assignment beside scipy's dense solver; ``ladder.py`` measures sizes, memory, ratios.

``pytest tests/benchmarks --benchmark-only``; objectives and certificates are in ``extra_info``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

sys.path.insert(0, str(Path(__file__).parent))
from cases import TOP, planted_pair

from universality.correlation import correlate
from universality.correlation.sparse_pairwise import pairs_above
from universality.matching import match

N_ROWS = 30_000


@lru_cache(maxsize=1)
def pair(d: int):
    a, b = planted_pair(d, N_ROWS)
    return a, b, correlate(a, b, top=TOP)


@pytest.mark.benchmark(group="assignment")
@pytest.mark.parametrize("d", [1024, 4096])
class TestAssignment:
    def test_on_candidates(self, benchmark, d):
        similarity = pair(d)[2]
        noted(benchmark, benchmark.pedantic(lambda: match(similarity), rounds=3, warmup_rounds=1))

    def test_over_all_pairs(self, benchmark, d):
        a, b, similarity = pair(d)

        def work():
            return match(similarity, search=pairs_above(a, b))

        noted(benchmark, benchmark.pedantic(work, rounds=1, warmup_rounds=1))

    def test_plain_dense_solver(self, benchmark, d):
        a, b, _ = pair(d)
        weight = np.zeros((d, d))
        ia, ib, r = pairs_above(a, b)(np.zeros(d), np.zeros(d))
        weight[ia, ib] = r
        at = benchmark.pedantic(lambda: linear_sum_assignment(weight, maximize=True), rounds=1)
        benchmark.extra_info["objective"] = weight[at].sum()


def noted(benchmark, found) -> None:
    benchmark.extra_info.update(objective=found.objective, certificate=found.certificate)
