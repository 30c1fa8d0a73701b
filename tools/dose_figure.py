"""The figure of docs/STEERING.md and the numbers behind it: ``python -m tools.dose_figure --out docs DOSES.json …``.

Each file is what ``universality steer RUN CLUSTER --doses --json`` printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.report.figures.canvas import TWO_COLUMNS, axes_at, new_figure, styled, to_file
from pipelines.report.figures.parts import grid, heading, key_rows, key_words, percent_ticks
from results.colours import GREY, model_colours

#: Decimals of the table.
DIGITS = 4


def doses_of(paths: list[Path]) -> pd.DataFrame:
    """The rows of all files with their domain in front."""
    parts = []
    for path in paths:
        said = json.loads(path.read_text("utf-8"))
        parts.append(pd.DataFrame(said["rows"]).assign(domain=said["domain"]["name"]))
    frame = pd.concat(parts, ignore_index=True)
    return frame[["domain", *(name for name in frame.columns if name != "domain")]].round(DIGITS)


@styled
def dose_figure(doses: pd.DataFrame) -> Figure:
    """Share of each domain over strength: a line for each model, grey ones for the directions beside it."""
    domains, models = list(dict.fromkeys(doses["domain"])), list(dict.fromkeys(doses["model"]))
    each = (TWO_COLUMNS - 0.55) / len(domains)
    figure = new_figure(TWO_COLUMNS, 2.25)
    for i, domain in enumerate(domains):
        axes = axes_at(figure, 0.5 + i * each, 0.38, each - 0.2, 1.4)
        heading(axes, domain)
        _lines(axes, doses[doses["domain"] == domain], model_colours(models))
        if i:
            axes.tick_params(labelleft=False)
        if i == len(domains) // 2:
            axes.set_xlabel("strength, in 95th percentiles of the feature's activation", labelpad=2)
    key = axes_at(figure, 0.5, 2.02, TWO_COLUMNS - 0.7, 0.2)
    key_rows(key, 1, width=100)
    colours = model_colours(models)
    named = [(f"feature, {model}", colours[model], "-") for model in models]
    named += [("random directions of equal norm", GREY, "-"), ("a latent of another domain", GREY, ":")]
    left = 0.0
    for words, colour, line in named:
        key.plot([left, left + 3], [0, 0], color=colour, ls=line, lw=1.2)
        key_words(key, left + 4, 0, words)
        left += 6 + 0.78 * len(words)
    return figure


def _lines(axes: Axes, doses: pd.DataFrame, colours: dict[str, str]) -> None:
    strengths = sorted(doses["strength"].unique())
    place = {strength: i for i, strength in enumerate(strengths)}
    for (model, kind, _), rows in doses.groupby(["model", "kind", "draw"], sort=False):
        across = [place[strength] for strength in rows["strength"]]
        if kind == "own":
            axes.errorbar(across, rows["share"], 1.96 * rows["share_se"], color=colours[str(model)], lw=1.2,
                          marker="o", ms=3, zorder=3)  # fmt: skip
        else:
            axes.plot(across, rows["share"], color=GREY, lw=0.7, ls="-" if kind == "random" else ":", zorder=2)
    axes.set_xticks(range(len(strengths)), [f"{strength:g}" for strength in strengths])
    axes.set_ylim(-0.03, 1.04)
    percent_ticks(axes)
    grid(axes)


def main() -> int:
    """Entry of ``python -m tools.dose_figure``."""
    parser = argparse.ArgumentParser(prog="tools.dose_figure", description="Figure and table of docs/STEERING.md.")
    parser.add_argument("doses", nargs="+", type=Path, metavar="DOSES.json")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder with images/")
    given = parser.parse_args()
    frame = doses_of(given.doses)
    frame.to_csv(given.out / "steering.csv", index=False)
    picture = given.out / "images" / "steering.png"
    picture.write_bytes(to_file(dose_figure(frame), "png"))
    sys.stdout.write(f"{given.out / 'steering.csv'}\n{picture}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
