"""Pairs that a reader of the dashboard pinned, for a report that shows them one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from universality.errors import InputError, must_be

_KEYS = ["model_a", "latent_a", "model_b", "latent_b"]


class _Pin(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    comparison_id: str
    model_a: str
    latent_a: int = Field(ge=0)
    model_b: str
    latent_b: int = Field(ge=0)


class Pins(BaseModel):
    """The file that the page of a pair gives: which run, and which of its pairs, in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["universality-pins"]
    schema_version: Literal[1] = Field(alias="schema")
    run: str
    pairs: tuple[_Pin, ...] = Field(min_length=1)


def read_pins(path: Path) -> Pins:
    """Read a file of pinned pairs.

    Raises:
        InputError: it is not there, or no such file.
    """
    remedy = "Download it anew with the button below the pinned pairs of the dashboard."
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return Pins.model_validate(found)
    except FileNotFoundError:
        got = "nothing"
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        got = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
    raise InputError(must_be("file", str(path), "a list of pinned pairs", got, remedy))


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
        raise InputError(must_be("run", "pinned pairs", repr(run), repr(pins.run), remedy))
    by = ["comparison_id", *_KEYS]
    wanted = pd.DataFrame([pin.model_dump() for pin in pins.pairs])[by].drop_duplicates()
    found = wanted.merge(pairs, on=by, how="left", indicator=True)
    lost = found.loc[found["_merge"] == "left_only", _KEYS]
    if len(lost):
        words = [f"{row.model_a}:{row.latent_a}-{row.model_b}:{row.latent_b}" for row in lost.itertuples()]
        remedy = "Pin assigned pairs of this run; models stand in the order of its tables."
        raise InputError(must_be("pinned pairs", f"run {run!r}", "among its pairs", ", ".join(words), remedy))
    return found[list(pairs.columns)]
