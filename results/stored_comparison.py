"""One comparison of one run, read from its store; and the ids of nodes, which no other file spells.

A node is one step applied to one subject. Plans name their nodes with the functions below, and whoever opens an
artifact of a run asks :class:`StoredComparison`, so that nobody else needs to know what a node is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from results.older_runs import as_of_now
from results.remembering import remembered
from storage.errors import ArtifactCorrupt, ArtifactMissing, TableMissing
from universality import arguments

if TYPE_CHECKING:
    from pathlib import Path

    import networkx as nx
    import pandas as pd
    import pyarrow as pa
    import scipy.sparse as sp

    from results.evaluation_text import EvaluationText
    from results.firing import Firing
    from storage import Artifact, Run
    from universality.sae import SparseAutoencoder

#: Rows up to which a table of a model's evidence is kept in memory (at 50 bytes each); longer ones are filtered.
MAX_ROWS_IN_MEMORY = 1_000_000
CORPUS, TOKENIZER, TOKENS = "corpus", "tokenizer", "tokens"


def transformer_node(model: str) -> str:
    """Weights of a transformer, trained, untrained or public."""
    return f"transformer/{model}"


def tokenizer_node(number: int) -> str:
    """One of several tokenizers; the run's own one spells what lies between the bytes that all of them share."""
    return f"{TOKENIZER}/t{number}"


def tokens_node(number: int) -> str:
    """The text under one of several tokenizers: what its models are trained on."""
    return f"{TOKENS}/t{number}"


def aligned_node(number: int) -> str:
    """The evaluation contexts under one of several tokenizers, and the token that ends at each shared row."""
    return f"aligned/t{number}"


def mix_node(mix: str) -> str:
    """Training contexts of a mix."""
    return f"mix/{mix}"


def activations_node(model: str, part: str) -> str:
    """What a transformer's hook points read on a part of the text: ``sae_a``, ``sae_b`` or ``eval``."""
    return f"activations/{model}/{part}"


def sae_node(comparison: str, dictionary: str) -> str:
    """A dictionary, trained or loaded."""
    return f"sae/{comparison}/{dictionary}"


def latents_node(comparison: str, dictionary: str) -> str:
    """Activations of a dictionary's latents on the evaluation rows."""
    return f"latents/{comparison}/{dictionary}"


def dictionary_node(step: str, comparison: str, dictionary: str) -> str:
    """What coordinates (other ones of what it reads), fingerprints (its latents ablated) or evidence (what people read
    of them) makes of a dictionary."""
    return f"{step}/{comparison}/{dictionary}"


def pair_node(step: str, comparison: str, pair: str = "") -> str:
    """What similarity, null, matching, spaces or effects makes of a pair "m0-m1"; else their prefix."""
    return f"{step}/{comparison}/{pair}"


def comparison_node(comparison: str, step: str = "comparison") -> str:
    """Tables and graph of a comparison, made from all its dictionaries and pairs; or what another step makes of it."""
    return f"{step}/{comparison}"


def sweep_node(step: str, sweep: str, point: int | None = None) -> str:
    """A step of a sweep (sweep_sae, sweep_quality) at one of its points; of ``sweep`` itself, its table."""
    return f"{step}/{sweep}" if point is None else f"{step}/{sweep}/{point}"


def input_name(what: str, subject: object) -> str:
    """The name under which a step that reads several artifacts of one kind finds that of a subject."""
    return f"{what}/{subject}"


def vocabulary_of(tokenizer: Artifact, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The vocabulary of a tokenizer, the run's own or that of some of its models."""
    name = "vocabulary" if "vocabulary" in tokenizer.tables() else "model_vocabulary"
    return tokenizer.table(name, columns=columns)


def comparisons_of(record: Mapping[str, Any]) -> list[str]:
    """Comparison ids of a run, in the order of its recipe; ``["main"]`` for a record that names none.

    Args:
        record: ``run.record``. Runs of earlier versions name comparisons in their nodes only.
    """
    listed = [c.get("id") for c in (record.get("recipe") or {}).get("comparisons", []) if isinstance(c, Mapping)]
    nodes = [node.split("/") for node in record.get("nodes") or {}]
    # Dictionaries of studies have latents too.
    studies = {parts[1] for parts in nodes if len(parts) > 1 and parts[0] == "study"}
    in_nodes = [
        parts[1]
        for parts in nodes
        if len(parts) > 1 and parts[0] in ("comparison", "latents") and parts[1] not in studies
    ]
    return list(dict.fromkeys([str(c) for c in [*listed, *in_nodes] if c])) or ["main"]


def step_warnings(run: Run) -> list[dict[str, str]]:
    """``{"node", "warning"}`` of every warning that a finished step of a run left in its manifest."""
    warnings = []
    for node, fields in run.record["nodes"].items():
        if run.store.has(fields["key"]):
            texts = run.store.get(fields["key"]).manifest["facts"].get("warnings", [])
            listed = [texts] if isinstance(texts, str) else texts
            warnings += [{"node": node, "warning": str(text)} for text in listed]
    return warnings


def n_score_sources(run: Run) -> int | None:
    """Sources that the score rows of a run come from; None before there are rows, and in runs of older versions."""
    fields = (run.record.get("nodes") or {}).get(TOKENS)
    if fields is None or not run.store.has(fields["key"]):
        return None
    tokens = run.store.get(fields["key"])
    if "row_source" not in tokens.names("arrays"):
        return None
    score = ~_whole(tokens.array("row_fit")).astype(bool)
    return int(np.unique(_whole(tokens.array("row_source"))[score]).size)


class StoredComparison:
    """One comparison of one run: tables, settings, text, activations and models, each read when it is asked for.

    What was read is kept and shared, so nobody may write into it. The run may be unfinished: what no finished step has
    made yet raises a :class:`storage.StoreError` that says so.

    Attributes:
        run: the run; only read.
        comparison: id of the comparison.
        record: the run's record as the store bore it out when this was made.
        memory: values read so far, by the function that reads them.
    """

    def __init__(self, run: Run, comparison: str, record: Mapping[str, Any] | None = None) -> None:
        self.run, self.comparison = run, comparison
        self.record = run.observed if record is None else record
        self.memory: dict[Any, Any] = {}

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run.name

    @property
    @remembered()
    def settings(self) -> Mapping[str, Any]:
        """What the comparison was made with (tau, alpha, …); where that cannot be read, what the recipe says."""
        settings = (self.record.get("recipe") or {}).get("compare")
        said = settings if isinstance(settings, Mapping) else {}
        try:
            made = self.run.artifact(comparison_node(self.comparison)).manifest["params"].get("compare")
        except (ArtifactMissing, ArtifactCorrupt):  # its tables say so themselves
            made = None
        return {**said, **made} if isinstance(made, Mapping) else said

    @property
    def tau(self) -> float:
        """Threshold on held-out r above which a pair joins a cluster."""
        return float(self.settings.get("tau", 0.5))

    @property
    def alpha(self) -> float:
        """False-discovery rate below which a pair counts as more than chance."""
        return float(self.settings.get("alpha", 0.05))

    @property
    def status(self) -> str | None:
        """Status of the step that makes the tables of the comparison; None where the plan has none."""
        return (self.record.get("nodes") or {}).get(comparison_node(self.comparison), {}).get("status")

    @remembered(64)
    def table(self, name: str) -> pd.DataFrame:
        """Rows of the run's table that belong to this comparison, without the column ``comparison_id``.

        Raises:
            TableMissing: no finished step has made it yet.
            StoreError: a file of it is damaged or gone.
        """
        frame = as_of_now(name, self.run.table(name), self.record)
        if "comparison_id" not in frame.columns:
            return frame
        rows = frame[frame["comparison_id"] == self.comparison]
        return rows.drop(columns="comparison_id").reset_index(drop=True)

    def optional(self, name: str) -> pd.DataFrame | None:
        """Like :meth:`table`, None where the table does not exist; damage still raises."""
        try:
            return self.table(name)
        except TableMissing:
            return None

    def models(self, role: str = "primary") -> list[str]:
        """Dictionaries of a role (primary, replicate, untrained), in the order of the run."""
        models = self.table("models")
        return [str(model) for model in models.loc[models["role"] == role, "model"]]

    # -- text and activations -----------------------------------------------------------------------------

    @property
    @remembered()
    def text(self) -> EvaluationText:
        """The evaluation text and its rows."""
        from results.evaluation_text import EvaluationText

        tokens, tokenizer = self.run.artifact(TOKENS), self.run.artifact(TOKENIZER)
        rows = ("row_context", "row_position", "row_domain", "row_document")
        return EvaluationText.build(
            contexts=_whole(tokens.array("eval_contexts")),
            domains=tokens.json("domains"),
            vocabulary=vocabulary_of(tokenizer),
            **{name: _whole(tokens.array(name)) for name in rows},
        )

    @property
    @remembered()
    def score_rows(self) -> np.ndarray:
        """(n_rows,) bool, the evaluation rows of held-out numbers: those that nothing was matched on."""
        return ~_whole(self.run.artifact(TOKENS).array("row_fit")).astype(bool)

    @property
    @remembered()
    def n_score_sources(self) -> int | None:
        """Sources (files, chapters, catalogues) that score rows come from; None where the run does not say."""
        return n_score_sources(self.run)

    @remembered(64)
    def acts(self, model: str) -> sp.csc_array:
        """Activations of a model's latents on the evaluation rows, ``(n_rows, d_sae)`` by latent (memory-mapped)."""
        return self._latents(model).csc("acts")

    @remembered(64)
    def acts_by_row(self, model: str) -> sp.csr_array:
        """The matrix of :meth:`acts` by row."""
        return self._latents(model).csr("acts")

    def _latents(self, model: str) -> Artifact:
        return self.run.artifact(latents_node(self.comparison, model))

    @arguments.checked(model=arguments.text, latent=arguments.whole())
    def firing(self, model: str, latent: int) -> Firing:
        """Where a latent fires. Raises LatentMissing where the model has none of that number."""
        from results.firing import firing

        return firing(self.acts(model), latent)

    # -- evidence of single latents -----------------------------------------------------------------------

    @arguments.checked(name=arguments.text, model=arguments.text, latent=arguments.whole())
    def of_latent(self, name: str, model: str, latent: int) -> pd.DataFrame:
        """Rows of one latent in a table of its model's evidence (contexts, histograms, logits, latent_domains)."""
        return self._of_latent(name, model, latent)

    @remembered(256)
    def _of_latent(self, name: str, model: str, latent: int) -> pd.DataFrame:
        import pandas as pd
        import pyarrow.parquet as pq

        file = self._evidence_file(name, model)
        if pq.read_metadata(file).num_rows > MAX_ROWS_IN_MEMORY:
            return pd.read_parquet(file, filters=[("latent", "==", latent)])
        table, latents = self._evidence(name, model)
        return table.take(np.flatnonzero(latents == latent)).to_pandas()

    @remembered(12)
    def _evidence(self, name: str, model: str) -> tuple[pa.Table, np.ndarray]:
        """A whole table and its column ``latent``: stepping from latent to latent decodes it once."""
        import pyarrow.parquet as pq

        table = pq.read_table(self._evidence_file(name, model))
        return table, table["latent"].to_numpy()

    @remembered()
    def top_rows(self) -> pd.DataFrame:
        """Rows at which the latents' strongest contexts peak: model, latent, row; of models whose step has finished.

        Raises:
            TableMissing: no such step has finished.
        """
        import pandas as pd
        import pyarrow.parquet as pq

        prefix, nodes = dictionary_node("evidence", self.comparison, ""), self.run.observed["nodes"]
        models = [node.removeprefix(prefix) for node in self.run.nodes(prefix) if nodes[node].get("status") == "done"]
        if not models:
            raise TableMissing("No step that gathers contexts has finished.")
        only_top = {"columns": ["latent", "row"], "filters": [("kind", "==", "top")]}
        parts = [pq.read_table(self._evidence_file("contexts", model), **only_top) for model in models]
        frame = pd.concat([part.to_pandas() for part in parts], ignore_index=True)
        codes = np.repeat(np.arange(len(models)), [part.num_rows for part in parts])
        return frame.assign(model=pd.Categorical.from_codes(codes, pd.Index(models)))

    def _evidence_file(self, name: str, model: str) -> Path:
        return self.run.artifact(dictionary_node("evidence", self.comparison, model)).table_file(name)

    # -- graph and models ---------------------------------------------------------------------------------

    def graph(self) -> nx.Graph:
        """The graph of features: nodes ``(model, latent)``, edges the pairs that clusters are made of."""
        import networkx as nx

        stored = self.run.artifact(comparison_node(self.comparison)).json("graph")
        return nx.node_link_graph(stored, edges="edges")

    def has_graph(self) -> bool:
        """Whether the run stored its graph; the first versions did not."""
        return self.run.artifact(comparison_node(self.comparison)).has("graph")

    def dictionary(self, model: str) -> SparseAutoencoder:
        """The dictionary of a model; imports torch."""
        from universality.sae import SparseAutoencoder

        stored = self.run.artifact(sae_node(self.comparison, model))
        return SparseAutoencoder.from_tensors(stored.json("sae_config"), stored.tensors("sae"))

    def transformer(self, dictionary: str) -> Any:
        """The transformer that a dictionary reads, from the store or where the run had it; imports torch."""
        from results.public.opening import open_transformer

        return open_transformer(self.transformer_artifact(dictionary))

    def transformer_artifact(self, dictionary: str) -> Artifact:
        """The artifact of the transformer that a dictionary reads: its weights, or the name of a public model."""
        # A model with several dictionaries has another id than each of them.
        key = self._latents(dictionary).manifest["inputs"].get("transformer")
        return self.run.artifact(transformer_node(dictionary)) if key is None else self.run.store.get(key)

    def tokenizer(self) -> Any:
        """The run's tokenizer (of the package ``tokenizers``)."""
        from universality.transformers.tokenizer import load_tokenizer

        return load_tokenizer(self.run.artifact(TOKENIZER).bytes("tokenizer.json"))


def _whole(array: Any) -> np.ndarray:
    """A memory-mapped array as it is; a sharded one put together."""
    return array if isinstance(array, np.ndarray) else np.asarray(array[:])
