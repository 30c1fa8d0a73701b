"""Steps that compute what people look at: positions, so that every picture of a run is the same."""

from collections.abc import Mapping
from typing import Any

from pipelines.engine.step import Estimate, StepContext, step
from pipelines.estimates import BASE_MEMORY, Sizes
from pipelines.steps.run_tables import write_table
from results.stored_comparison import input_name
from universality.feature_map import MAX_FEATURES

#: Seconds to import umap-learn, which compiles as it is imported.
EMBEDDING_IMPORT_SECONDS = 8.0


def layout_cost(sizes: Sizes, params: Mapping[str, Any]) -> Estimate:
    """Correlation of all features of all models at once, then an embedding of at most so many."""
    features = min(sizes.n_compared * sizes.d_sae, MAX_FEATURES)
    active = features * sizes.k / sizes.d_sae
    seconds = EMBEDDING_IMPORT_SECONDS + sizes.rows * active**2 / 1e8 + features / 1000
    return Estimate(seconds, 40 * features, round(BASE_MEMORY + 60 * sizes.rows * active))


@step("layout", version=1, cost=layout_cost, tables=["positions", "cluster_positions", "cluster_links"])
def layout(ctx: StepContext) -> None:
    """Where alive features and clusters stand on the map, and which clusters are near each other.

    Tables: ``positions``, ``cluster_positions`` and ``cluster_links``, of clusters with at least two models. Where more
    features are alive than are embedded, the tables hold a sample of whole clusters; the facts ``n_alive`` and
    ``n_embedded`` say so.
    """
    from scipy import sparse

    from universality.feature_layout import feature_layout
    from universality.seeds import derive_seed

    p = ctx.params
    features = ctx.inputs["comparison"].table("features", columns=["model", "latent", "status", "cluster", "n_models"])
    made = feature_layout(
        features,
        lambda model: sparse.csc_matrix(ctx.inputs[input_name("latents", model)].csc("acts")),
        seed=derive_seed(p["root_seed"], "layout", p["comparison_id"]),
        threads=ctx.threads,
    )
    for name, table in made.tables.items():
        write_table(ctx, name, table, comparison_id=p["comparison_id"])
    ctx.out.facts(**made.facts)
