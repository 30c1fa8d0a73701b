"""What exact r of candidate pairs costs over a stream of rows, from 16,384 to 262,144 latents a side.

``python tests/benchmarks/scale.py [--sizes 16384 65536] [--rows 200000] [--shards 4] [--json FILE]`` prints a Markdown
table and growth exponents; docs/SCALE.md reads them. Every size runs in a process of its own, on one thread. Shards are
drawn as they are asked for, as encoders would fill them, and forgotten; drawing is not timed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path[:0] = [str(Path(__file__).parent)]
from cases import KEPT, SHARED, TOP, Clock, K
from ladder import Figures, exponent, say, seconds, table

from universality.correlation import PairSums, correlate

SIZES = (16_384, 65_536, 131_072, 262_144)
#: Firings on the candidate rows from which a planted partner counts as one to find.
FIRINGS = 20


class World:
    """Two dictionaries of d latents, whatever rows are drawn; what is shared is as in cases.planted_pair.

    Three latents in ten, of these seven firings in ten; rates fall like 1 / rank, K draws a row, repeated ones are one.

    Attributes:
        shared: (d,) latents of a that b has too. partner: (d,) where they stand in b.
    """

    def __init__(self, d: int) -> None:
        rng = np.random.default_rng(0)
        rate = 1.0 / (np.arange(d) + 10.0)
        self.d, self._up_to = d, np.cumsum(rate / rate.sum())
        self._order, self.partner = rng.permutation(d), rng.permutation(d)
        self.shared = rng.random(d) < SHARED

    def shard(self, rows: int, seed: int) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Rows of both sides; other seeds give other rows of the same dictionaries."""
        rng = np.random.default_rng([1, seed])
        at = np.repeat(np.arange(rows), K)
        a, noise = (self._order[np.searchsorted(self._up_to, rng.random(rows * K))] for _ in range(2))
        value, other = (rng.exponential(size=rows * K).astype(np.float32) for _ in range(2))
        kept = self.shared[a] & (rng.random(a.size) < KEPT)
        added = rng.random(noise.size) < 1 - KEPT * SHARED
        columns = np.concatenate([self.partner[a[kept]], self.partner[noise[added]]])
        side_b = np.concatenate([at[kept], at[added]]), np.concatenate([value[kept], other[added]])
        return self._csr(at, a, value), self._csr(side_b[0], columns, side_b[1])

    def _csr(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> sparse.csr_array:
        shape = (int(rows.max()) + 1, self.d)
        return sparse.coo_array((values, (rows, columns.astype(np.int32))), shape=shape).tocsr()


def measure(d: int, rows: int, shards: int) -> Figures:
    """Candidates from the first shard, then exact r over all of them, shard by shard; two workers' sums merged."""
    world = World(d)
    few = tuple(side[:64] for side in world.shard(64, 0))
    PairSums(d, d, [0], [0]).add(*few, threads=1)
    correlate(*few, top=TOP, threads=1)  # compiled before a clock starts
    first = world.shard(rows, 0)
    with Clock() as choosing:
        found = correlate(*first, top=TOP, threads=1)
    fires = np.bincount(first[0].indices, minlength=d) >= FIRINGS
    asked = np.flatnonzero(world.shared & fires)
    listed = np.isin(asked * d + world.partner[asked], found.indices_a.astype(np.int64) * d + found.indices_b)
    sums, later = (PairSums(d, d, found.indices_a, found.indices_b) for _ in range(2))
    del found
    with Clock() as once:
        sums.add(*first, threads=1)
    del first
    adding = [once.cpu]
    for seed in range(1, shards):
        shard = world.shard(rows, seed)
        with Clock() as clock:
            (sums if seed < shards / 2 else later).add(*shard, threads=1)
        adding.append(clock.cpu)
    with Clock() as merging:
        sums.merge(later)
        r = sums.r()
    return {
        "d": d,
        "rows": rows,
        "pairs": int(r.size),
        "choose": choosing.cpu,
        "add": float(np.median(adding)),
        "merge": merging.cpu,
        "peak_gb": merging.peak_gb,
        "sums_gb": sum(x.nbytes for x in sums.to_arrays().values()) / 1e9,
        "planted": float(listed.mean()),
        "n_planted": int(asked.size),
    }


def run(**arguments: int) -> Figures:
    """One size in a process of its own: a peak of memory does not leak into the next."""
    say(" ".join(f"{name} {x:,}" for name, x in arguments.items()))
    command = [sys.executable, __file__, "--only", json.dumps(arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def tables(sizes: list[Figures]) -> str:
    """The table and the exponents."""
    header = ["latents a side", "candidate rows", "choose s", "pairs", "add a shard s", "µs a token", "merge s",
              "sums GB", "peak GB", "planted partners listed"]  # fmt: skip
    lines = [
        [
            f"{x['d']:,}", f"{x['rows']:,}", seconds(x["choose"]), f"{x['pairs'] / 1e6:.1f}M", seconds(x["add"]),
            f"{1e6 * x['add'] / x['rows']:.1f}", seconds(x["merge"]), f"{x['sums_gb']:.2f}", f"{x['peak_gb']:.2f}",
            f"{x['planted']:.1%} of {x['n_planted']:,}",
        ]
        for x in sizes
    ]  # fmt: skip
    grown = []
    for name, what in (("choose", "candidates"), ("add", "a shard"), ("pairs", "pairs"), ("peak_gb", "peak memory")):
        points = [(x["d"], x[name]) for x in sizes]
        grown.append([what, f"{exponent(points):.2f}", f"{exponent(points[-2:]):.2f}"])
    return table(header, lines) + "\n" + table(["growth in latents", "exponent", "last step"], grown)


def main(words: list[str] | None = None) -> list[Figures]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="latents a side")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of a shard; the first gives the candidates")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.only:
        sys.stdout.write(json.dumps(measure(**json.loads(given.only))) + "\n")
        return []
    sizes = [run(d=d, rows=given.rows, shards=given.shards) for d in given.sizes]
    sys.stdout.write(tables(sizes))
    if given.json:
        given.json.write_text(json.dumps(sizes, indent=1))
    return sizes


if __name__ == "__main__":
    main()
