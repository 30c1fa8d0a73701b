"""One card in eight minutes: what trainings on a GPU do a second, each beside the plain way, and a whole tiny run.

``python tests/benchmarks/gpu.py [--parts transformers …] [--json FILE] [--smoke]`` prints Markdown tables. Every part
runs in a process of its own and within its own time; a part that is cut off shows what it had. ``--smoke`` takes toy
sizes through every part on the CPU, in this process.
"""

import argparse
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gpu_cases import PARTS
from gpu_timing import Figure, shown


def figures_of(part: str) -> list[Figure]:
    """What a part says in a process of its own, within its time."""
    limit = PARTS[part][1]
    process = subprocess.Popen(
        [sys.executable, __file__, "--only", part], stdout=subprocess.PIPE, text=True, errors="replace"
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    end, figures = time.monotonic() + limit, []
    try:
        while (line := lines.get(timeout=max(0.01, end - time.monotonic()))) is not None:
            if line.startswith("{"):
                figures.append(json.loads(line))
                say(f"{part}: {line.strip()}")
        if process.wait() != 0:
            figures.append({"what": "the rest", "failed": f"exit {process.returncode}"})
    except queue.Empty:
        figures.append({"what": "the rest", "failed": f"cut off after {limit} s"})
    finally:
        process.kill()
    return figures


def say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {line}\n")


def table(part: str, figures: list[Figure]) -> str:
    """A part as a Markdown table; columns are what its figures have."""
    columns = list(dict.fromkeys(name for figure in figures for name in figure))
    rows = [columns, ["---"] * len(columns)]
    rows += [[shown(figure.get(name, "")) for name in columns] for figure in figures]
    return f"## {part}\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def main(words: list[str] | None = None) -> dict[str, list[Figure]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="these alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--smoke", action="store_true", help="toy sizes on the CPU")
    parser.add_argument("--only", choices=PARTS, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.only:
        for figure in PARTS[given.only][0](False):
            sys.stdout.write(json.dumps(figure) + "\n")
            sys.stdout.flush()
        return {}
    found = {}
    for part in given.parts:
        found[part] = list(PARTS[part][0](True)) if given.smoke else figures_of(part)
        sys.stdout.write(table(part, found[part]) + "\n")
        sys.stdout.flush()
        if given.json:
            given.json.write_text(json.dumps(found, indent=1))
    return found


if __name__ == "__main__":
    main()
