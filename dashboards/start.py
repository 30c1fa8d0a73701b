"""What is decided before anything is drawn: the store's address, and that the rooms are really ours."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """What stands after ``--`` on the command line."""

    store: str


def arguments(argv: Sequence[str] | None = None) -> Arguments:
    """The store's address: ``--store``, else ``$UNIVERSALITY_STORE``, else ``runs``.

    Args:
        argv: arguments without the program's name; default this process's. Unknown ones are ignored.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--store", default=os.environ.get("UNIVERSALITY_STORE") or "runs")
    given, _ = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    return Arguments(given.store)


def foreign_rooms() -> str:
    """A sentence if another package hides one of our rooms; empty if all is well."""
    home = Path(__file__).resolve().parent.parent
    for room in ("universality", "storage", "results"):
        spec = importlib.util.find_spec(room)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != home:
            place = spec.origin if spec else "nowhere"
            return f"Package `{room}` is not the one of this program (found: `{place}`). Use an environment of its own."
    return ""
