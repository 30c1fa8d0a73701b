"""Steps of splitting: trees over the sizes of a model's dictionaries, and how far models agree in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import Sizes
from pipelines.steps.comparison_steps import stored_dictionary
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import shared_rows
from results.stored_comparison import input_name

if TYPE_CHECKING:
    import pandas as pd

    from universality.studies.split_study import SplitStudy, TreePair


def _pair_seconds(sizes: Sizes, n_shifts: int) -> float:
    """Candidates of two dictionaries, and the same products under shifts."""
    return 0.3 + (1 + n_shifts) * sizes.rows / 2 * sizes.k**2 / 3e8


def splitting_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Every two dictionaries of a model."""
    n = len(params["cells"])
    seconds = 1.0 + n * (n - 1) / 2 * _pair_seconds(sizes, params["compare"]["n_shifts"])
    return Estimate(seconds, 200 * n * sizes.d_sae, sizes.two_sides * max(n // 4, 1))


def agreement_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Partners of dictionaries of two sizes: a few for every seed and direction."""
    cells = params["cells"].values()
    n_sizes, n_seeds = (len({cell[name] for cell in cells}) for name in ("d_sae", "sae_seed"))
    n = 4 * n_seeds * math.comb(n_sizes, 2)
    return Estimate(1.0 + n * _pair_seconds(sizes, 0), 20_000, sizes.two_sides * max(len(cells) // 4, 1))


@step("splitting", version=2, cost=splitting_cost, tables=["split_tree", "splits_by_size"])
def splitting(ctx: StepContext) -> None:
    """Which latents of larger dictionaries are parts of which of smaller ones, and what became of these."""
    import pandas as pd

    from universality.studies.split_trees import split_trees

    made, parents = [], {}
    for point, study, progress in _studies(ctx):
        (model,) = {cell.model for cell in study.cells}
        made.append([_at(point, table) for table in split_trees(study, model, progress)])
        parents |= {_stored_name(point, pair): tree.to_array() for pair, tree in study.trees.items()}
    ctx.out.tensors("parents", parents)
    for name, tables in zip(("split_tree", "splits_by_size"), zip(*made, strict=True), strict=True):
        write_table(ctx, name, pd.concat(tables, ignore_index=True), study_id=ctx.params["study_id"])


@step("split_agreement", version=2, cost=agreement_cost, tables=["split_agreement"])
def split_agreement(ctx: StepContext) -> None:
    """Whether models split alike, and whether larger dictionaries find partners that smaller ones lack."""
    import pandas as pd

    from universality.studies.split_agreement import split_agreement as table_of
    from universality.studies.splitting import Parents

    models, tables = tuple(ctx.params["models"]), []
    stored = {model: ctx.inputs[input_name("splitting", model)].tensors("parents") for model in {*models}}
    for point, study, progress in _studies(ctx):
        for pair in permutations(study.cells, 2):
            if (tree := stored[pair[0].model].get(_stored_name(point, pair))) is not None:
                study.trees[pair] = Parents.from_array(np.asarray(tree))
        tables.append(_at(point, table_of(study, models, progress)))
    write_table(ctx, "split_agreement", pd.concat(tables, ignore_index=True), study_id=ctx.params["study_id"])


def _stored_name(point: str, pair: TreePair) -> str:
    return " > ".join([point, *(f"{cell.model} {cell.d_sae} {cell.sae_seed}" for cell in pair)])


def _at(point: str, table: pd.DataFrame) -> pd.DataFrame:
    table.insert(0, "point", point)
    return table


def _studies(ctx: StepContext) -> Iterator[tuple[str, SplitStudy, Callable[[int, int], None]]]:
    """The dictionaries of each combination of other settings that vary, the words for it, and how to tell progress."""
    from universality.compare.compare_config import CompareConfig
    from universality.studies.split_study import SplitStudy, TreeCell

    p, rows = ctx.params, shared_rows(ctx.inputs["tokens"])
    config = CompareConfig(**p["compare"])
    points = list(dict.fromkeys(cell["point"] for cell in p["cells"].values()))
    for number, point in enumerate(points):
        cells = {
            TreeCell(cell["model"], cell["d_sae"], cell["sae_seed"]): stored_dictionary(
                ctx, input_name("latents", name), name, rows
            )
            for name, cell in p["cells"].items()
            if cell["point"] == point
        }

        def progress(done: int, of: int, before: int = number) -> None:
            ctx.progress(before * of + done, len(points) * of)

        yield point, SplitStudy(cells, config, p["root_seed"], ctx.threads), progress
