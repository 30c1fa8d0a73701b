"""What a comparison warns of, and which pairs seem to share their initialisation, as its table ``indices`` says.

No kernels are needed here.
"""

from __future__ import annotations

import pandas as pd

#: What a warning says about a pair of :func:`flagged_pairs`.
SHARED_INIT_WORDS = (
    "both dictionaries seem to start from the same weights, which alone can make them agree. "
    "Train them with different SAE seeds."
)


class SharedInitialisation(UserWarning):
    """Two dictionaries of a comparison seem to share their initialisation."""


class ScatteredDocuments(UserWarning):
    """The rows of some documents do not stand together, so that their numbers may count something else."""


def flagged_pairs(indices: pd.DataFrame) -> list[str]:
    """Names ("m0-m1") of the pairs whose dictionaries seem to share their initialisation, in the table's order.

    Args:
        indices: table ``indices``; its rows ``shared_init`` are 1 for such pairs.
    """
    rows = indices[(indices["name"] == "shared_init") & (indices["value"] == 1.0)]
    return list(dict.fromkeys(rows["pair"].astype(str)))
