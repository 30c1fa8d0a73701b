"""A comparison of a run in a notebook: tables as attributes, with what their columns mean."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING

from results.notebook import ContextFrame, drawing, run_html, run_text
from results.schema import TABLES, describe
from results.stored_comparison import StoredComparison, comparisons_of
from storage import Store, open_run
from universality.errors import refusal

if TYPE_CHECKING:
    import pandas as pd


class LoadedComparison(StoredComparison):
    """One comparison of a run; made by :func:`results.load`.

    Every table that the run stores is an attribute (``pairs``, ``features``, ``clusters``, ``verdicts``, …): a data
    frame of this comparison's rows, read once. Copy a frame before you write into it.
    """

    def __repr__(self) -> str:
        return run_text(self)

    def _repr_html_(self) -> str:
        return run_html(self)

    def __dir__(self) -> list[str]:
        """Names for completion, those of the run's tables among them."""
        return sorted({*super().__dir__(), *self.run.tables()})

    def __getattr__(self, name: str) -> pd.DataFrame:
        # Asked only for what is no attribute; names of Python's protocols are no tables.
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in TABLES:
            near = get_close_matches(name, [*TABLES, *dir(StoredComparison)]) or list(TABLES)
            raise AttributeError(f"A comparison has no table {name!r}; try {near[0]!r}, or one of {', '.join(TABLES)}.")
        return self.table(name)

    def tables(self) -> pd.DataFrame:
        """The run's tables, each an attribute: table, rows (what one is)."""
        import pandas as pd

        names = [name for name in self.run.tables() if name in TABLES]
        return pd.DataFrame({"table": names, "rows": [TABLES[name].meaning for name in names]})

    def describe(self, table: str) -> pd.DataFrame:
        """What every column of a table means: column, type, unit, range, meaning, missing."""
        return describe(table)

    def contexts(self, model: str, latent: int) -> ContextFrame:
        """The contexts stored of a latent: where it is strongest, at each tenth of its range, and at random.

        A notebook draws them, or a part of them, with the activation on every token.

        Returns:
            The columns of the table ``contexts``, and the text around each row as ``before``, ``token`` and ``after``,
            with every character visible (a line feed as ⏎).

        Raises:
            LatentMissing: the model has no such latent.
        """
        self.firing(model, latent)  # refuses a latent that there is not; one that never fires has no rows
        rows = self.of_latent("contexts", model, latent)
        windows = [self.text.window(int(row)) for row in rows["row"]]
        frame = ContextFrame(rows).assign(
            before=["".join(window.tokens[: window.peak]) for window in windows],
            token=[window.tokens[window.peak] for window in windows],
            after=["".join(window.tokens[window.peak + 1 :]) for window in windows],
        )
        frame.attrs["contexts"] = drawing(self, model, latent, [int(row) for row in rows["row"]])
        return frame


def load_comparison(
    run_name: str | None, comparison: str | None, store: Store | str | os.PathLike[str] | None
) -> LoadedComparison:
    """See :func:`results.load`."""
    run = open_run(run_name, store)
    ids = comparisons_of(run.record)
    if comparison is not None and comparison not in ids:
        one_of = f"one of {', '.join(ids)}"
        raise refusal("comparison", f"run {run.name!r}", one_of, repr(comparison), "Check its id.")
    return LoadedComparison(run, comparison or ids[0])
