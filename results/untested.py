"""Why a level or a group is untested: of the reasons there are, the one that holds, as far as the run tells."""

from __future__ import annotations

import pandas as pd

from results.stored_comparison import StoredComparison

#: Columns of ``pairs`` that are empty where an input was not given, and what was needed for them.
_NEEDED = {"from_domain": "domain labels", "from_document": "documents", "from_token": "token ids and positions"}


def untested_level(stored: StoredComparison, row: pd.Series) -> str:
    """Why no level could be said of something, in a sentence.

    Args:
        stored: the comparison.
        row: of the table ``pairs``, ``clusters`` or ``features``, whose level is ``untested``.
    """
    if row.get("n_models", 2) < 2:  # a level explains a match
        if not stored.models("replicate"):
            return "no level: it has no partner, and its model no second dictionary to look for one in"
        return "no level: it has no partner in another model, and none to explain in a second dictionary of its own"
    r = row.get("r_held_out")
    if r is not None and r < stored.tau:
        return "no level: its r is below the threshold, and neither domain, document nor token makes half of it"
    pairs = stored.table("pairs")
    lacking = [what for column, what in _NEEDED.items() if column in pairs and pairs[column].isna().all()]
    if lacking:
        return f"no level: {' and '.join(lacking)} were not given"
    return "no level: too few sources vouch for it"


def untested_group(stored: StoredComparison) -> str:
    """Why features of a run are in the group ``untested``, in words."""
    verdicts = stored.table("verdicts")["verdict"]
    reasons = []
    if (verdicts == "near_threshold").any():
        reasons.append("an interval reaches the threshold")
    if not stored.models("replicate"):
        reasons.append("there is no second dictionary that could lack them too")
    elif (verdicts == "untested").any():
        reasons.append("no linear probe of the other model was trained to find them")
    return f"no more can be said: {' or '.join(reasons)}" if reasons else "no more can be said"
