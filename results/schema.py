"""Every table of a run and of its report: what a row is, and of every column its type, unit, range and meaning.

The science's tables are declared in ``universality/tables.toml``, those that only steps of the pipelines make in
``results/tables.toml``. A run stores all of them with the comparison (and the model) whose rows they are in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from universality import table_schemas as science
from universality.arguments import one_of
from universality.schema import Column, TableSchema, read_tables

if TYPE_CHECKING:
    from pandas import DataFrame

COMPARISON_ID = Column("comparison_id", "text", "id", "as in the recipe", "the comparison that the row belongs to")
STUDY_ID = Column("study_id", "text", "id", "as in the recipe", "the study that the row belongs to")
POINT = Column("point", "text", "words", "for example k 8", "what else varies between dictionaries; empty: nothing")
#: By name, as whoever makes them knows them: without the columns that say whose rows they are.
MADE: Mapping[str, TableSchema] = {
    **science.TABLES,
    **read_tables(files("results") / "tables.toml", science.TABLES),
}
MODELS, DICTIONARY_DOMAINS, SWEEPS = MADE["models"], MADE["dictionary_domains"], MADE["sweeps"]
STUDY_CELLS = MADE["study_cells"]


def _stored(names: str, *labels: Column) -> dict[str, TableSchema]:
    return {name: MADE[name].under(*labels) for name in names.split()}


#: Every table that a run stores, by name.
TABLES: Mapping[str, TableSchema] = {
    **_stored(
        "headline models dictionary_domains features pairs clusters verdicts domains indices tau_curve k_of_m "
        "agreement spaces baselines null_quantiles null_rates candidates effects effect_agreement substitution_curve "
        "attribution steering_clusters steering_doses steering_transfer probes explanations "
        "explanation_transfer same_index unseen_domains labels label_parts cluster_labels",
        COMPARISON_ID,
    ),
    **_stored("sweeps"),
    **_stored("study study_cells study_means study_contrasts study_layers study_domains", STUDY_ID),
    **_stored("split_tree splits_by_size split_agreement", STUDY_ID, POINT),
    **_stored("positions cluster_positions cluster_links", COMPARISON_ID),
    **_stored(
        "latent_domains contexts histograms logits latent_effects latent_attribution",
        COMPARISON_ID,
        MADE["shared"]["model"],
    ),
    **_stored("documents vocabulary model_vocabulary coverage texts matched neuron_pairs space_means raw_indices"),
    **_stored("study_partners"),
}
#: Those among them that one step hands to another, and no report holds.
INNER = frozenset(
    ["texts", "model_vocabulary", "matched", "neuron_pairs", "space_means", "raw_indices", "study_partners"]
)


def describe(name: str) -> DataFrame:
    """What every column of a table means, for notebooks.

    Args:
        name: the table's name in a run, for example "pairs".

    Returns:
        column, type, unit, range, meaning, missing (whether a value may be); one row per column, in their order.

    Raises:
        InputError: no run stores a table of that name.
    """
    import pandas as pd

    one_of(*TABLES)(name, "table", "a run")
    names = ["column", "type", "unit", "range", "meaning", "missing"]
    return pd.DataFrame(TABLES[name].columns, columns=names)
