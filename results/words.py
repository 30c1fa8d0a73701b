"""Plain words for everything the screens name: classes, levels, verdicts, statuses.

One place, so that a card, a table heading and a chart never call one thing by two names.
"""

import math
import tomllib
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

_WORDS: dict[str, dict[str, str]] = tomllib.loads((files("results") / "words.toml").read_text(encoding="utf-8"))
CLASSES, GROUPS, LEVELS, PARTS, VERDICTS, STATUSES, ROLES, FLAGS = (
    _WORDS[kind] for kind in ("classes", "groups", "levels", "parts", "verdicts", "statuses", "roles", "flags")
)
#: What the level of a matched pair is; a level is tried from the coarsest on.
LEVEL = "the coarsest level that explains the agreement"
#: In the place of what a run was not told.
NOT_KNOWN = "not known"
#: What the number beside a verdict is.
STATISTICS = _WORDS["statistics"]
#: Status of a latent that is not compared -> what that means.
LATENTS = _WORDS["latents"]
#: Kind of baseline row -> name in charts.
KINDS = _WORDS["kinds"]
#: Kind of coordinates -> name.
SPACES = _WORDS["spaces"]
#: Kind of partner whose effect is measured -> name; whether two matched features do the same -> meaning.
STEERED_BY, NOT_STEERED = _WORDS["steered_by"], _WORDS["not_steered"]
EFFECT_PARTNERS, EFFECT_CLASSES = _WORDS["effect_partners"], _WORDS["effect_classes"]
#: Family of a label's rule -> what it looks at.
LABEL_FAMILIES = _WORDS["label_families"]
#: Identifier -> name, of those that are not their own words.
NAMES = _WORDS["names"] | _WORDS["indices"]


def called(name: str) -> str:
    """What an identifier, or a label of the text such as a domain, is called wherever people read it.

    Args:
        name: as it is stored: ``token_x_domain``, ``near_threshold``, ``shared_fraction_token``, ``english_prose``.
    """
    if name in NAMES:
        return NAMES[name]
    for index in ("shared_fraction", "reproduced"):
        if name.startswith(f"{index}_"):
            return f"{NAMES[index]}, {called(name.removeprefix(f'{index}_'))}"
    return name.replace("token_x_domain", NAMES["token_x_domain"]).replace("_", " ")


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
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


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
    return "–" if _missing(value) else f"{100 * value:z.0f} %"


def flags(text: Any) -> list[str]:
    """The flags of a feature from their cell (``"dense;positional"``, empty, or missing)."""
    return [] if _missing(text) else [flag for flag in str(text).split(";") if flag]


def counted(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun: ``1 pair``, ``2,000 pairs``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def moment(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
