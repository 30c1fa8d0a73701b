"""Chance levels: what the best of many candidates looks like when nothing is aligned."""

from universality.nulls.shifts import ShiftNull, shift_null, shifted_rows
from universality.nulls.significance import benjamini_hochberg, p_values, strata

__all__ = ["ShiftNull", "benjamini_hochberg", "p_values", "shift_null", "shifted_rows", "strata"]
