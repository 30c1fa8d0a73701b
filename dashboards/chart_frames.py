"""Frames of a comparison that several screens chart, derived once and shared."""

import pandas as pd

from dashboards.data import View
from results import frames
from results.remembering import remembered


@remembered()
def class_bars_of(view: View) -> pd.DataFrame:
    """``class_bars`` of the view."""
    return frames.class_bars(view.table("features"))


@remembered()
def agreement_of(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``r_histogram`` and ``medians`` of the view."""
    baselines = view.table("baselines")
    return frames.r_histogram(baselines, view.table("null_quantiles"), bins=40), frames.medians(baselines)


@remembered()
def matrix_of(view: View) -> pd.DataFrame:
    """``model_matrix`` of the view, the ceiling on its diagonal."""
    return frames.model_matrix(view.table("pairs"), view.models(), view.optional("baselines"))
