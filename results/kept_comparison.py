"""A comparison of activations that people brought, kept as a run: screens, report and exports open it like any other.

What only models and text can tell is not in it: contexts, promoted tokens, effects, rules as labels, the lens.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from results.schema import TABLES
from results.stored_comparison import TOKENS, comparison_node, dictionary_node, latents_node
from results.words import NOT_KNOWN
from storage.keys import artifact_key
from universality.evidence import histogram_table, latent_domain_table
from universality.feature_layout import feature_layout
from universality.rows import split_documents
from universality.seeds import derive_seed
from universality.table_schemas import COMPARISON

if TYPE_CHECKING:
    from storage import Run, Store
    from universality.compare import Comparison

#: What a screen says of such a run.
BROUGHT = (
    "These activations were brought (`universality compare`): text and models are not in this run, so there are no "
    "contexts, labels, promoted tokens or effects, and nothing to go on with. Comparing the same files makes it again."
)
#: Recipe's name of such runs, and id of their one comparison.
RECIPE, MAIN = "compare", "main"


def keep_comparison(
    comparison: Comparison,
    store: Store,
    name: str,
    acts: Mapping[str, Any],
    *,
    documents: Any,
    sources: Any = None,
    domains: Any = None,
    fit: Any = None,
    replicates: Mapping[str, Any] | None = None,
    untrained: Mapping[str, Any] | None = None,
    root_seed: int = 0,
    environment: Mapping[str, Any] | None = None,
    **_: Any,
) -> Run:
    """Write a comparison into a store.

    Args:
        comparison: what ``universality.compare.compare`` made of the arguments that follow; those that only it needs
            may be given too.
        store: where.
        name: of the run; one that is there is replaced.
        acts, documents, sources, domains, fit, replicates, untrained, root_seed: as of ``compare``.
        environment: versions, for the run's record.

    Returns:
        The run, finished.
    """
    given = _dictionaries(comparison, acts, replicates or {}, untrained or {})
    settings = comparison.config.model_dump(mode="json")
    fit = split_documents(documents, root_seed, domains, sources) if fit is None else np.asarray(fit)
    labels, codes = np.unique(np.zeros(fit.size, np.int32) if domains is None else domains, return_inverse=True)
    names = ["text"] if domains is None else [str(label) for label in labels]
    # Whatever was compared, the key is of this writing: nothing else will ask for these artifacts.
    writing = {"name": name, "written": time.time_ns()}
    nodes: dict[str, dict[str, str]] = {}

    def write(node: str, step: str, params: Mapping[str, Any], **content: Mapping[str, Any]) -> None:
        said = {"node": node, **writing, **params}
        key = artifact_key(step, 1, said, {})
        with store.create(key, step=step, version=1, params=said, inputs={}) as out:
            for kind, values in content.items():
                for entry, value in values.items():
                    getattr(out, kind)(entry, value) if kind != "facts" else out.facts(**{entry: value})
        nodes[node] = {"step": step, "key": key, "status": "done"}

    groups = np.asarray(documents if sources is None else sources)
    rows = {"fit": fit, "source": np.unique(groups, return_inverse=True)[1], "domain": codes}
    rows["document"] = np.unique(np.asarray(documents), return_inverse=True)[1]
    write(TOKENS, "brought_rows", {}, array={f"row_{key}": np.asarray(value) for key, value in rows.items()},
          json={"domains": names})  # fmt: skip
    for model, brought in given.items():
        matrix = brought[-1]
        write(latents_node(MAIN, model), "brought_latents", {}, csr={"acts": matrix})
        table = {"histograms": histogram_table(matrix.tocsc())}
        if domains is not None:
            table["latent_domains"] = latent_domain_table(matrix.tocsc(), codes, names)
        write(dictionary_node("evidence", MAIN, model), "brought_evidence", {}, table=table)
    tables = {table: _labelled(getattr(comparison, table)) for table in COMPARISON}
    tables["models"] = _labelled(_models(comparison, given, ~fit))
    from networkx import node_link_data

    write(comparison_node(MAIN), "comparison", {"compare": settings, "root_seed": root_seed}, table=tables,
          json={"graph": node_link_data(comparison.graph, edges="edges")})  # fmt: skip
    layout = feature_layout(
        comparison.features, lambda model: given[model][2].tocsc(), seed=derive_seed(root_seed, "layout", MAIN)
    )
    placed = {table: _labelled(frame) for table, frame in layout.tables.items()}
    write(comparison_node(MAIN, "layout"), "layout", {}, table=placed, facts=layout.facts)
    recipe = {"recipe": RECIPE, "root_seed": root_seed, "comparisons": [{"id": MAIN}], "compare": settings}
    if name in {run.name for run in store.runs({})}:
        store.delete_run(name)
    run = store.create_run(name, recipe_name=RECIPE, recipe=recipe, nodes=nodes, environment=dict(environment or {}))
    run.update(status="done", finished=time.time(), nodes=nodes)
    return run


def is_kept(record: Mapping[str, Any]) -> bool:
    """Whether a run holds a comparison of activations that were brought, and neither models nor text."""
    return record.get("recipe_name") == RECIPE and "models" not in (record.get("recipe") or {"models": None})


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    labelled = table.copy(deep=False)
    labelled.insert(0, "comparison_id", MAIN)
    return labelled


def _dictionaries(
    comparison: Comparison, acts: Mapping[str, Any], replicates: Mapping[str, Any], untrained: Mapping[str, Any]
) -> dict[str, tuple[str, str | None, sparse.csr_matrix]]:
    """Role, the model whose replicate it is, and activations of every dictionary, by its id in the tables."""
    from universality.compare.pair_plan import replicate_names

    named = replicate_names(replicates, (*acts, *untrained))
    given: dict[str, tuple[str, str | None, Any]] = {str(m): ("primary", None, matrix) for m, matrix in acts.items()}
    given |= {named[key][0]: ("replicate", named[key][1], matrix) for key, matrix in replicates.items()}
    given |= {str(model): ("untrained", None, matrix) for model, matrix in untrained.items()}
    return {model: (role, of, sparse.csr_matrix(matrix)) for model, (role, of, matrix) in given.items()}


def _models(
    comparison: Comparison, given: Mapping[str, tuple[str, str | None, sparse.csr_matrix]], score: np.ndarray
) -> pd.DataFrame:
    """The table ``models``: what activations tell of a dictionary; the rest is missing."""
    rows = []
    for model, (role, of, matrix) in given.items():
        firings = np.bincount(matrix[score].indices, minlength=matrix.shape[1])
        both = np.minimum(firings, np.bincount(matrix[~score].indices, minlength=matrix.shape[1]))
        alive, dead = both >= comparison.config.min_firings, both + firings == 0
        rows.append({
            "model": model, "role": role, "replicate_of": of, "model_seed": of or model, "sae_source": NOT_KNOWN,
            "hook_point": NOT_KNOWN, "architecture": NOT_KNOWN, "d_sae": matrix.shape[1],
            "l0": firings.sum() / max(score.sum(), 1), "dead_fraction": float((firings == 0).mean()),
            "n_alive": int(alive.sum()), "n_dead": int(dead.sum()), "n_rare": int((~alive & ~dead).sum()),
            "n_dense": int((np.diff(matrix.tocsc().indptr) > comparison.config.dense_rate * matrix.shape[0]).sum()),
        })  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=[name for name in TABLES["models"].names if name != "comparison_id"])
