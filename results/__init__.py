"""A finished run, as science reads it: what both the screens and the report show of it.

``load(run)`` is for notebooks. Everything else is imported from its module, for example
``from results.frames import headline_frame``; nothing heavy is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from results.loading import LoadedComparison
    from storage import Store

__all__ = ["load"]


def load(
    run: str | None = None, comparison: str | None = None, store: Store | str | os.PathLike[str] | None = None
) -> LoadedComparison:
    """Open a comparison of a run for a notebook: its tables are attributes, such as ``.pairs`` and ``.features``.

    Args:
        run: name of the run; default the newest.
        comparison: id of the comparison; default the recipe's first.
        store: the store or its address; default ``UNIVERSALITY_STORE``, else ``./runs``.

    Raises:
        RunMissing: there is no such run.
        InputError: the run has no such comparison.
    """
    from results.loading import load_comparison

    return load_comparison(run, comparison, store)
