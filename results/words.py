"""Plain words for everything the screens name: classes, levels, verdicts, statuses.

One place, so that a card, a table heading and a chart never call one thing by two names.
"""

import math
from typing import Any

CLASSES: dict[str, str] = {
    "universal": "has a partner in every model",
    "shared": "has a partner in at least one other model, but not in all",
    "specific": "has no partner in any other model",
}

#: What the level of a matched pair is; the levels from the coarsest on are domain, token and context.
LEVEL = "the coarsest level that explains the agreement"

LEVELS: dict[str, str] = {
    "context": "the match survives when token, position, document and domain are taken into account",
    "token": "token identity or position is enough to explain the match",
    "domain": "knowing the domain of the text, or the document, is enough to explain the match",
    "untested": "no labels or token ids were given, so nothing finer was tested",
}

VERDICTS: dict[str, str] = {
    "unstable": "does not come back in a second SAE of its own model: the SAE's doing, likely, not the model's",
    "contested": "has a good partner, but that partner matches another feature better",
    "split": "several features of the other model together make up this one",
    "part_of": "is one piece of a broader feature of the other model",
    "decodable": "the other model represents it (a linear probe finds it), but its SAE has no such feature",
    "near_threshold": "the interval of its best correlation reaches the threshold: undecided",
    "weak": "beyond chance, but clearly below the threshold",
    "absent": "no trace of it was found in the other model",
    "untested": "the inputs needed for a verdict were not given",
}

#: what the number beside a verdict is
STATISTICS: dict[str, str] = {
    "unstable": "best held-out r in its own model's second SAE",
    "contested": "held-out r to the contested partner",
    "split": "held-out R² of the combination",
    "part_of": "held-out R² of the combination it is a piece of",
    "decodable": "probe's held-out r in the other model over that in its own",
    "near_threshold": "best held-out r",
    "weak": "best held-out r",
    "absent": "best held-out r",
    "untested": "",
}

STATUSES: dict[str, str] = {
    "planned": "Planned: nothing has been computed yet.",
    "running": "Running.",
    "done": "Done.",
    "partial": "Partly done: some steps failed, the rest is usable.",
    "failed": "Failed: see the failed step below.",
    "interrupted": "Interrupted: the command below goes on where it stopped.",
}

ROLES: dict[str, str] = {
    "primary": "compared",
    "replicate": "second SAE (ceiling)",
    "untrained": "random weights (floor)",
}

#: status of a latent that is not compared -> what that means
LATENTS: dict[str, str] = {
    "dead": "Dead: it never fires on the evaluation text, so there is nothing to show and nothing to compare.",
    "rare": "Rare: it fires too seldom to be compared, so it has no partner, no class and no cluster.",
}

FLAGS: dict[str, str] = {
    "dense": "fires on more than a tenth of all rows",
    "single_token": "nearly all of its activation lies on one token id",
    "positional": "explained by the position in the context",
}

#: kind of baseline row -> name in charts
KINDS: dict[str, str] = {
    "features": "Features",
    "neurons": "Neurons",
    "ceiling": "Ceiling",
    "untrained": "Untrained",
}


def _missing(value: Any) -> bool:
    """None, NaN and pandas' NA."""
    try:
        return value is None or math.isnan(value)
    except TypeError:  # pandas' NA is no number
        return not isinstance(value, str)


def number(value: Any, digits: int = 2) -> str:
    """A number as people write it: fixed digits, a true minus sign, a dash where there is none."""
    if _missing(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def probability(value: Any) -> str:
    """A p or q value: two significant digits, never rounded to 0."""
    if _missing(value):
        return "–"
    return f"{value:.2g}" if value >= 0.0001 else f"{value:.1e}"


def rate(value: Any) -> str:
    """A share of rows: percent with the digits that matter, one in how many below a thousandth."""
    if _missing(value):
        return "–"
    if value == 0:
        return "0"
    return f"{100 * value:.2g} %" if value >= 0.001 else f"1 in {round(1 / value):,}"


def share(value: Any) -> str:
    """A probability or overlap as whole percent."""
    return "–" if _missing(value) else f"{100 * value:.0f} %"


def flags(text: Any) -> list[str]:
    """The flags of a feature from their cell (``"dense;positional"``, empty, or missing)."""
    return [] if _missing(text) else [flag for flag in str(text).split(";") if flag]


def counted(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun: ``1 pair``, ``2,000 pairs``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def duration(seconds: Any) -> str:
    """Seconds as people say them."""
    if _missing(seconds):
        return "–"
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def roughly(seconds: Any) -> str:
    """A forecast: nobody knows its seconds."""
    if _missing(seconds):
        return "–"
    if seconds < 90:
        return f"{max(round(seconds / 10), 1) * 10} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(n_bytes: Any) -> str:
    """Bytes with a decimal unit and two digits: ``12 kB``, ``3.4 GB``."""
    if _missing(n_bytes):
        return "–"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n_bytes < 999.5 or unit == "TB":
            break
        n_bytes /= 1000
    return f"{n_bytes:.1f} {unit}" if n_bytes < 9.95 and unit != "B" else f"{n_bytes:.0f} {unit}"
