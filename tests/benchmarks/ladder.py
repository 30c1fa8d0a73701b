"""The ladder: every measure of speed over a range of sizes, each against the plain way in the same run.

``python tests/benchmarks/ladder.py [--sizes 1024 4096] [--rows 100000] [--threads 1] [--json FILE]`` prints
Markdown tables and growth exponents. Every case runs in a process of its own. Trimmed by default: 1,000,000 rows at
16,384 latents only; scipy's dense solver up to 4,096 (``UNIVERSALITY_BENCH_SCIPY=16384`` goes further). The public
rival of the correlation takes part where it is installed (``pip install sparse_dot_topn==1.2.0``).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
SIZES = (1024, 4096, 16384, 65536, 131072)
SCIPY_UP_TO = int(os.environ.get("UNIVERSALITY_BENCH_SCIPY", "4096"))
SAE_SIZES = ((512, 4096, 32), (512, 16384, 32))
#: Rows per second of the fastest public trainer over those of the encoder's product alone (docs/PERFORMANCE.md).
PUBLIC_OVER_ENCODER = {4096: 7_300 / 24_000, 16384: 2_640 / 6_000}
Figures = dict


def run(case: str, **arguments: object) -> Figures:
    """One case in a process of its own. This process stays small: a child's peak starts at its parent's size."""
    say(f"{case} {' '.join(str(x) for x in arguments.values() if not isinstance(x, str))}")
    command = [sys.executable, str(HERE / "cases.py"), json.dumps({"case": case, **arguments})]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  load {os.getloadavg()[0]:.1f}  {line}\n")


def rung(d: int, rows: int, threads: int, assignment: bool) -> Figures:
    """All cases of one size."""
    with tempfile.TemporaryDirectory() as folder:
        size = {"folder": folder, "d": d, "rows": rows}
        made = run("prepare", **size)
        size["threads"] = threads
        out = {"d": d, "rows": rows, **made}
        for case in ("correlate", "maxima", "dense_product"):
            out[case] = run(case, **size)
        out["scaling"] = run("scaling", **{name: x for name, x in size.items() if name != "threads"})
        if find_spec("sparse_dot_topn"):
            out["beside"] = run("beside_rival", **size, rounds=3 if d * rows <= 2**31 else 1)
        if assignment:
            out |= run("assign", **size)
            if d <= SCIPY_UP_TO:
                out["scipy"] = run("scipy_dense", **size)
    return out


def wall_of(*command: str, repeats: int = 7) -> float:
    """Least wall seconds of a command."""
    walls = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - start)
    return min(walls)


def start_up() -> Figures:
    """What a person waits for before anything happens."""
    say("start-up")
    command = Path(sys.executable).with_name("universality")
    return {
        "python -c pass": wall_of(sys.executable, "-c", "pass"),
        "import universality": wall_of(sys.executable, "-c", "import universality"),
        "universality --help": wall_of(str(command), "--help"),
    }


def exponent(points: list[tuple[float, float]]) -> float:
    """Slope of log time over log size, by least squares."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread if spread else math.nan


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def seconds(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def correlation_table(rungs: list[Figures]) -> str:
    header = ["latents", "rows", "correlate", "wall s", "peak GB", "maxima (one shift)", "peak GB", "dense float32",
              "GFLOP per s", "dense / correlate"]  # fmt: skip
    lines = []
    for at in rungs:
        found, shift, plain = at["correlate"], at["maxima"], at["dense_product"]
        lines.append([
            f"{at['d']:,}", f"{at['rows']:,}", seconds(found["cpu"]), seconds(found["wall"]),
            f"{found['peak_gb']:.2f}", seconds(shift["cpu"]), f"{shift['peak_gb']:.2f}",
            seconds(plain["cpu"]), f"{plain['gflops_per_cpu_s']:.0f}", f"{plain['cpu'] / found['cpu']:.0f}",
        ])  # fmt: skip
    return table(header, lines)


def rival_table(rungs: list[Figures]) -> str:
    """correlate and sparse_dot_topn in one process, and what more threads change."""
    header = ["latents", "rows", "correlate", "sparse_dot_topn", "rival / correlate", "caller alone, of 16 threads",
              "processor s, 16 threads / 1", "16 cores allow", "wall s, 2 threads / 1"]  # fmt: skip
    lines = []
    for at in rungs:
        scaling, beside = at["scaling"], at.get("beside")
        one, two, many = (scaling[threads] for threads in ("1", "2", "16"))
        rival = ["–"] * 3
        if beside:
            ratio = f"{beside['rival'] / beside['correlate']:.1f}"
            rival = [seconds(beside["correlate"]), seconds(beside["rival"]), ratio]
        lines.append([
            f"{at['d']:,}", f"{at['rows']:,}", *rival, f"{100 * many['alone'] / many['cpu']:.1f} %",
            f"{many['cpu'] / one['cpu']:.2f}", f"{scaling['allowed']:.1f}", f"{two['wall'] / one['wall']:.2f}",
        ])  # fmt: skip
    return table(header, lines)


def assignment_table(rungs: list[Figures]) -> str:
    header = ["latents", "candidates", "certificate", "all pairs", "certificate", "peak GB", "scipy dense", "peak GB",
              "scipy / candidates", "scipy / all pairs", "objective: all pairs - scipy"]  # fmt: skip
    lines = []
    for at in rungs:
        if "exact" not in at:
            continue
        short, exact, plain = at["candidates"], at["exact"], at.get("scipy")
        line = [f"{at['d']:,}", seconds(short["cpu"]), f"{short['certificate']:.2g}", seconds(exact["cpu"]),
                f"{exact['certificate']:.1g}", f"{exact['peak_gb']:.2f}"]  # fmt: skip
        if plain:
            line += [seconds(plain["cpu"]), f"{plain['peak_gb']:.2f}", f"{plain['cpu'] / short['cpu']:.0f}",
                     f"{plain['cpu'] / exact['cpu']:.1f}",
                     f"{exact['objective'] - plain['objective']:.1g}"]  # fmt: skip
        lines.append(line + ["–"] * (len(header) - len(line)))
    return table(header, lines)


def sae_table(steps: list[Figures]) -> str:
    header = ["d_in", "d_sae", "k", "rows/s", "dense autograd", "ratio", "encoder alone", "step / encoder",
              "over the fastest public"]  # fmt: skip
    lines = []
    for at in steps:
        share = at["step"] / at["encoder"]
        lines.append([
            f"{at['d_in']:,}", f"{at['d_sae']:,}", str(at["k"]), f"{at['step']:,.0f}", f"{at['dense']:,.0f}",
            f"{at['step'] / at['dense']:.1f}", f"{at['encoder']:,.0f}", f"{share:.2f}",
            f"{share / PUBLIC_OVER_ENCODER[at['d_sae']]:.1f}",
        ])  # fmt: skip
    return table(header, lines)


def exponents(rungs: list[Figures]) -> str:
    """Growth with latents at the same rows, overall and over the last step; and with rows at the same latents."""
    names = ("correlate", "maxima", "dense_product", "candidates", "exact", "scipy")
    lines = []
    for name in names:
        points = [(at["d"], at[name]["cpu"]) for at in rungs if name in at and at["rows"] == rungs[0]["rows"]]
        if len(points) > 1:
            lines.append([name, "latents", f"{exponent(points):.2f}", f"{exponent(points[-2:]):.2f}"])
    by_rows = [at for at in rungs if at["d"] == rungs[-1]["d"]]
    if len({at["rows"] for at in by_rows}) > 1:
        for name in ("correlate", "maxima"):
            slope = f"{exponent([(at['rows'], at[name]['cpu']) for at in by_rows]):.2f}"
            lines.append([name, f"rows at {rungs[-1]['d']:,} latents", slope, slope])
    return table(["what", "over", "exponent", "last step"], lines)


def tables(figures: Figures) -> str:
    """Everything, as Markdown."""
    rungs = figures["rungs"]
    active = ", ".join(f"{x:.1f}" for x in rungs[0]["active"])
    return "\n".join([
        f"{figures['threads']} thread(s); {active} active latents per row. Processor seconds unless it says wall; "
        f"peaks hold the inputs. {figures['took']:.0f} s in all, load at the end {os.getloadavg()[0]:.1f}.\n",
        "Correlation, top 64 both ways; dense float32 is timed on 1,024 rows (and some latents) and taken as linear.\n",
        correlation_table(rungs),
        "The public rival (uncentred products, both directions) in the same process; sixteen threads are counted in "
        "processor time, whatever cores there are.\n",
        "" if "beside" in rungs[0] else "sparse_dot_topn is not installed here: left out.\n",
        rival_table(rungs),
        "Assignment at unmatched = 0; all pairs: with its passes over the activations.\n",
        assignment_table(rungs),
        "Growth exponents.\n",
        exponents(rungs),
        f"One TopK training step, batches of 1,024 rows, rows per wall second, {os.cpu_count()} thread(s).\n",
        sae_table(figures["sae"]),
        table(["start-up", "wall s"], [[name, f"{wall:.2f}"] for name, wall in figures["start_up"].items()]),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="latents of both dictionaries")
    parser.add_argument("--rows", type=int, default=100_000, help="rows at every size")
    parser.add_argument("--long", type=int, nargs=2, default=[16384, 1_000_000], metavar=("LATENTS", "ROWS"),
                        help="one more rung, without the assignment; 0 0 leaves it out")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="threads of all but the training steps (all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    given = parser.parse_args()
    start = time.perf_counter()
    figures: Figures = {"threads": given.threads, "start_up": start_up()}
    figures["sae"] = [
        {
            "d_in": d_in,
            "d_sae": d_sae,
            "k": k,
            **run("sae", d_in=d_in, d_sae=d_sae, k=k, threads=os.cpu_count()),
        }
        for d_in, d_sae, k in SAE_SIZES
    ]
    figures["rungs"] = [rung(d, given.rows, given.threads, True) for d in given.sizes]
    if all(given.long):
        figures["rungs"].append(rung(*given.long, given.threads, False))  # pyright: ignore[reportCallIssue]
    figures["took"] = time.perf_counter() - start
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    sys.stdout.write(tables(figures))


if __name__ == "__main__":
    main()
