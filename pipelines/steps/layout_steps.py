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
    import numpy as np
    from pandas import DataFrame
    from scipy import sparse

    from universality.feature_map import LINK_R, feature_map, group_links, group_positions
    from universality.seeds import derive_seed

    p = ctx.params
    features = ctx.inputs["comparison"].table("features", columns=["model", "latent", "status", "cluster", "n_models"])
    alive = features[features["status"] == "alive"].reset_index(drop=True)
    parts = [
        sparse.csc_matrix(ctx.inputs[input_name("latents", model)].csc("acts"))[:, latents.to_numpy()]
        for model, latents in alive.groupby("model", sort=False)["latent"]
    ]
    columns = sparse.csc_matrix(sparse.hstack(parts)) if parts else sparse.csc_matrix((0, 0))
    ctx.progress(1, 3)
    groups = alive["cluster"].to_numpy(np.int64)
    seed = derive_seed(p["root_seed"], "layout", p["comparison_id"])
    embedding = feature_map(columns, seed=seed, groups=groups, threads=ctx.threads)
    ctx.progress(2, 3)
    joined = np.where(alive["n_models"].to_numpy(np.int64) >= 2, groups, -1)[embedding.kept]
    clusters, xy = group_positions(joined, embedding.xy)
    a, b, r = group_links(joined, embedding.neighbours, embedding.r)
    tables = {
        "positions": alive.loc[embedding.kept, ["model", "latent"]].assign(x=embedding.xy[:, 0], y=embedding.xy[:, 1]),
        "cluster_positions": DataFrame({"cluster": clusters, "x": xy[:, 0], "y": xy[:, 1]}),
        "cluster_links": DataFrame({"cluster_a": a, "cluster_b": b, "r": r}),
    }
    for name, table in tables.items():
        write_table(ctx, name, table, comparison_id=p["comparison_id"])
    ctx.out.facts(n_alive=len(alive), n_embedded=len(embedding.kept), least_link_r=LINK_R)
