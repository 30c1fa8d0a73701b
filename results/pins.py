"""Pairs that a visitor of the dashboard pinned for a report: one file, which the one writes and the other reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ConfigDict, Field, ValidationError

from results.ids import PAIR_ID, pair_ids
from universality.config import Frozen
from universality.errors import refusal

_SIDES = ["model_a", "latent_a", "model_b", "latent_b"]


class PinnedPair(Frozen):
    """An assigned pair of a comparison, sides in the order of the table ``pairs``."""

    comparison_id: str
    model_a: str
    latent_a: int = Field(ge=0)
    model_b: str
    latent_b: int = Field(ge=0)

    @classmethod
    def of_id(cls, comparison: str, pair: str) -> PinnedPair:
        """The pair with an id such as ``m0:12-m1:7``.

        Raises:
            ValueError: it is none.
        """
        sides = PAIR_ID.match(pair)
        if sides is None:
            raise ValueError(f"A pair's id must be like 'm0:12-m1:7'; got {pair!r}.")
        return cls.model_validate({"comparison_id": comparison, **sides.groupdict()})


class Pins(Frozen):
    """Which run, and which of its pairs, in the order in which they were pinned."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    kind: Literal["universality-pins"] = "universality-pins"
    schema_version: Literal[1] = Field(default=1, alias="schema")
    run: str
    pairs: tuple[PinnedPair, ...] = Field(min_length=1)

    def to_bytes(self) -> bytes:
        """The file that :func:`read_pins` reads."""
        return self.model_dump_json(indent=2).encode()


def read_pins(path: Path) -> Pins:
    """Read a file of pinned pairs.

    Raises:
        InputError: it is not there, or no such file.
    """
    remedy = "Download it anew with the button below the pinned pairs of the dashboard."
    try:
        return Pins.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        got = "nothing"
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        got = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
    raise refusal("file", str(path), "a list of pinned pairs", got, remedy)


def pinned_rows(pins: Pins, run: str, pairs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table ``pairs`` that were pinned, in the order of the pins.

    Args:
        pins: what was pinned.
        run: name of the run whose report is written.
        pairs: its table ``pairs``.

    Raises:
        InputError: the pins are another run's, or name pairs that it does not have.
    """
    if pins.run != run:
        remedy = f"Write the report of {pins.run!r}, or pin pairs of this run."
        raise refusal("run", "pinned pairs", repr(run), repr(pins.run), remedy)
    by = ["comparison_id", *_SIDES]
    pinned = pd.DataFrame([pin.model_dump() for pin in pins.pairs])[by].drop_duplicates()
    rows = pinned.merge(pairs, on=by, how="left", indicator=True)
    lost = rows.loc[rows["_merge"] == "left_only", _SIDES]
    if len(lost):
        remedy = "Pin assigned pairs of this run; models stand in the order of its tables."
        raise refusal("pinned pairs", f"run {run!r}", "among its pairs", ", ".join(pair_ids(lost)), remedy)
    return rows[list(pairs.columns)]
