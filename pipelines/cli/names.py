"""Start-up check: our four top-level names are generic, so another package may stand in front of one."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

ROOMS = ("universality", "storage", "results", "pipelines", "dashboards")


def foreign_rooms(rooms: Iterable[str] = ROOMS, home: Path | None = None) -> dict[str, str]:
    """Where Python would find our packages, for those that it would not find beside this one.

    Args:
        rooms: names of packages.
        home: the folder that holds ours; default the one of this file.

    Returns:
        Place by package name; empty when all is well. Nothing is imported.
    """
    home = home or Path(__file__).resolve().parents[2]
    specs = {room: find_spec(room) for room in rooms}
    origins = {room: Path(spec.origin) if spec and spec.origin else None for room, spec in specs.items()}
    return {
        room: str(origin.parent) if origin else "nowhere"
        for room, origin in origins.items()
        if origin is None or home not in origin.resolve().parents
    }


def refuse_foreign_rooms() -> None:
    """End the program with one sentence when a foreign package hides one of ours."""
    for room, place in foreign_rooms().items():
        raise SystemExit(
            f"The package {room!r} of universality must be beside {Path(__file__).resolve().parents[1]}; "
            f"got {place}. Remove that package, take its folder off PYTHONPATH, or use a fresh environment."
        )
