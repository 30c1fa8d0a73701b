"""Steps of splitting: trees over the sizes of a model's dictionaries, and how far models agree in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import Sizes
from pipelines.steps.comparison_steps import stored_dictionary
from pipelines.steps.run_tables import write_table
from pipelines.steps.step_rows import shared_rows
from results.stored_comparison import input_name

if TYPE_CHECKING:
    import pandas as pd

    from universality.studies.split_study import SplitStudy


def _pair_seconds(sizes: Sizes, params: Mapping[str, Any]) -> float:
    """Candidates of two dictionaries, and the same products under shifts, both ways."""
    return 0.3 + (1 + params["compare"]["n_shifts"]) * sizes.rows / 2 * sizes.k**2 / 3e8


def splitting_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Every two dictionaries of a model."""
    n = len(params["cells"])
    seconds = 1.0 + n * (n - 1) / 2 * _pair_seconds(sizes, params)
    return Estimate(seconds, 200 * n * sizes.d_sae, sizes.two_sides * max(n // 4, 1))


def agreement_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Some of all pairs of dictionaries of two sizes: a few for every seed, two models and two sizes."""
    cells = params["cells"].values()
    n_models, n_sizes, n_seeds = (len({cell[name] for cell in cells}) for name in ("model", "d_sae", "sae_seed"))
    n = 4 * n_models**2 * n_seeds * len(list(combinations(range(n_sizes), 2)))
    return Estimate(1.0 + n * _pair_seconds(sizes, params), 20_000, sizes.two_sides * max(len(cells) // 4, 1))


@step("splitting", version=1, cost=splitting_cost, tables=["split_tree", "splits_by_size"])
def splitting(ctx: StepContext) -> None:
    """Which latents of larger dictionaries are parts of which of smaller ones, and what became of these."""
    import pandas as pd

    from universality.studies.split_trees import split_trees

    made = []
    for point, study, progress in _studies(ctx):
        (model,) = {cell.model for cell in study.cells}
        made.append([_at(point, table) for table in split_trees(study, model, progress)])
    for name, tables in zip(("split_tree", "splits_by_size"), zip(*made, strict=True), strict=True):
        write_table(ctx, name, pd.concat(tables, ignore_index=True), study_id=ctx.params["study_id"])


@step("split_agreement", version=1, cost=agreement_cost, tables=["split_agreement"])
def split_agreement(ctx: StepContext) -> None:
    """Whether models split alike, and whether larger dictionaries find partners that smaller ones lack."""
    import pandas as pd

    from universality.studies.split_agreement import split_agreement as table_of

    tables = [_at(point, table_of(study, progress)) for point, study, progress in _studies(ctx)]
    write_table(ctx, "split_agreement", pd.concat(tables, ignore_index=True), study_id=ctx.params["study_id"])


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
