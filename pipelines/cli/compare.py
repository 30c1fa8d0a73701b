"""``universality compare``: the comparison on matrices that people bring themselves."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.cli.arrays import load_dense, load_matrix, load_rows
from pipelines.cli.summary import print_answer, print_summary
from pipelines.cli.terminal import console, print_json, say
from universality.errors import refusal
from universality.table_schemas import COMPARISON

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    import pandas as pd


#: Name of the run in the folder of the results, which is a store too.
RUN = "compared"


@dataclass(frozen=True)
class ComparisonFiles:
    """What people bring.

    Attributes:
        matrices: one file of activations for each model.
        names: names of the models, with commas between; None for the file names.
        block: rows that count as one document where no documents are given.
        rows: file by name of the row array: documents, sources, domains, tokens, positions, next_tokens; None for none.
        others: ``NAME=FILE`` texts of further dictionaries: replicate, untrained.
        dense: ``NAME=FILE`` texts of dense matrices: raw, untrained_raw, weights, logits.
    """

    matrices: list[Path]
    names: str | None
    block: int
    rows: dict[str, Path | None]
    others: dict[str, list[str]]
    dense: dict[str, list[str]]

    def load(self) -> dict[str, Any]:
        """The arguments of ``universality.compare.compare``, its settings aside.

        Raises:
            InputError: names that do not fit, or a file that is missing or not of the kind that is asked for.
        """
        names = model_names(self.matrices, self.names)
        acts = {name: load_matrix(path) for name, path in zip(names, self.matrices, strict=True)}
        rows = {name: load_rows(path, name) for name, path in self.rows.items() if path is not None}
        if "documents" not in rows:
            rows["documents"] = blocks(next(iter(acts.values())).shape[0], self.block)
            words = "rows in a row count as one document"
            say(f"No --documents: every {self.block} {words}.")
        if "sources" not in rows:
            words = "count as independent of each other in splits, chance and intervals"
            say(f"No --sources: documents {words}; give the file or chapter that each row comes from if they are not.")
        others = {kind: _loaded(texts, load_matrix) for kind, texts in self.others.items()}
        others["replicates"] = others.pop("replicate")
        return {
            "acts": acts,
            **rows,
            **others,
            **{k: _loaded(texts, load_dense) for k, texts in self.dense.items()},
        }


def _loaded(texts: list[str], load: Callable[[Path], Any]) -> dict[str, Any]:
    return {name: load(path) for name, path in named_files(texts)}


def compare_command(inputs: ComparisonFiles, out: Path, *, as_json: bool, **settings: Any) -> None:
    """Load matrices, compare them, write the tables, the graph and a run of the same, print the summary.

    Args:
        inputs: the files.
        out: folder for the results.
        as_json: print one JSON document instead of tables.
        settings: passed on to ``compare``; None stands for its default.
    """
    from storage import open_store

    claim_folder(out)
    store = open_store(str(out))
    store.claim()
    arguments = inputs.load() | {name: value for name, value in settings.items() if value is not None}
    from pipelines.cli.environment import environment
    from pipelines.cli.execute import tell_next
    from results.cautions import comparison_cautions, run_cautions
    from results.headline import summary_values
    from results.kept_comparison import keep_comparison
    from universality.compare import ScatteredDocuments, SharedInitialisation, compare

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", SharedInitialisation)  # the summary says it in its own place
        warnings.simplefilter("always", ScatteredDocuments)
        comparison = compare(**arguments)
    for warning in caught:
        say(f"Warning: {warning.message}")
    written = write_comparison(comparison, out)
    run = keep_comparison(comparison, store, RUN, environment=environment(), **arguments)
    if len(store.runs({})) == 1:
        store.gc()  # what an earlier comparison into this folder left
    say(f"{len(written)} files in {out}, and a run of the same.")
    if as_json:
        print_json(summary_values(comparison.headline, comparison.features))
    else:
        tables = {name: table for name in COMPARISON if (table := getattr(comparison, name)) is not None}
        n_sources, documents = what_was_read(arguments)
        cautions = [
            *run_cautions(n_score_sources=n_sources),
            *comparison_cautions({**tables, "documents": documents}, comparison.config.tau),
        ]
        out_stream, told = console(), {"main": cautions}
        print_summary(out_stream, tables, told)
        print_answer(out_stream, tables, told, comparison.config.tau, n_sources)
        tell_next(run, str(out))


def claim_folder(out: Path) -> None:
    """Make the folder of the results before anything is computed.

    Raises:
        InputError: it is a file, nothing can be written there, or files of other people have the names of results.
    """
    outputs = [f"{name}{end}" for name in COMPARISON for end in (".parquet", ".csv")]
    outputs += ["graph.graphml", "graph.json", "summary.json"]
    taken = [name for name in outputs if (out / name).exists()]
    if taken and not _is_earlier_result(out):
        got = f"{out}, with {', '.join(taken[:3])} that no comparison wrote"
        raise refusal("--out", "compare", "new, empty or an earlier result", got, "Give another --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise refusal("--out", "compare", "a folder that can be written", str(error), "Give another --out.") from None


def _is_earlier_result(out: Path) -> bool:
    try:
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(summary, dict) and {"headline", "counts"} <= summary.keys()


def what_was_read(arguments: dict[str, Any]) -> tuple[int, pd.DataFrame]:
    """How many sources the score rows of a comparison come from, and the domains of its text as a table."""
    import numpy as np
    import pandas as pd

    from universality.rows import split_documents

    documents, domains, sources = (arguments.get(name) for name in ("documents", "domains", "sources"))
    fit = split_documents(documents, arguments.get("root_seed", 0), domains, sources)
    groups = np.asarray(documents if sources is None else sources)
    named = [] if domains is None else np.unique(domains).astype(str)
    return np.unique(groups[~fit]).size, pd.DataFrame({"domain": named})


def blocks(n_rows: int, block: int) -> np.ndarray:
    """Documents of ``block`` consecutive rows each; the last may be shorter."""
    import numpy as np

    return np.arange(n_rows) // block


def named_files(texts: list[str]) -> list[tuple[str, Path]]:
    """``NAME=FILE`` texts taken apart.

    Raises:
        InputError: a text without a name or a file.
    """
    pairs = [text.partition("=")[::2] for text in texts]
    for text, (name, path) in zip(texts, pairs, strict=True):
        if not name or not path:
            raise refusal("option", "compare", "NAME=FILE", text, "Write for example m0r=m0r.npz.")
    return [(name, Path(path)) for name, path in pairs]


def model_names(files: list[Path], names: str | None) -> list[str]:
    """Names of the models: as given, or the file names without their ends.

    Raises:
        InputError: fewer than two models, names that repeat, or as many names as not.
    """
    model_ids = [name.strip() for name in names.split(",")] if names else [path.stem for path in files]
    if len(files) < 2:
        raise refusal("files", "compare", "at least two", len(files), "Give one file for each model.")
    if len(model_ids) != len(files) or len(set(model_ids)) != len(model_ids) or not all(model_ids):
        constraint = f"{len(files)} different ones"
        raise refusal("names", "compare", constraint, ", ".join(model_ids), "Give --names A,B,…")
    from universality.compare.inputs import check_name

    for name in model_ids:
        check_name(name, "compare")
    return model_ids


def write_comparison(comparison: Any, out: Path) -> list[Path]:
    """Write a comparison: tables as Parquet and CSV, graph as GraphML and JSON, figures, LaTeX, and the summary.

    Args:
        comparison: a result of ``universality.compare.compare``.
        out: folder; made when missing.

    Returns:
        The files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name in COMPARISON:
        written += _write_table(getattr(comparison, name), out / name)
    written += _write_graph(comparison.graph, out)
    from results.headline import summary_values

    summary = summary_values(comparison.headline, comparison.features)
    written.append(_write_json(summary, out / "summary.json"))
    # Last, so that a picture that cannot be drawn takes nothing with it.
    return written + _write_exhibits(comparison, out)


def _write_table(table: pd.DataFrame, stem: Path) -> list[Path]:
    from results.export import csv_bytes, parquet_bytes

    parquet, csv = stem.with_suffix(".parquet"), stem.with_suffix(".csv")
    parquet.write_bytes(parquet_bytes(table))
    csv.write_bytes(csv_bytes(table))
    return [parquet, csv]


def _write_exhibits(comparison: Any, out: Path) -> list[Path]:
    """The figures and LaTeX tables of a report, as far as the inputs allow."""
    from pandas import DataFrame

    try:
        from pipelines.report.exhibit_writer import ExhibitWriter
    except Exception as error:  # a matplotlib that does not even load
        say(f"Not made: figures and LaTeX tables ({type(error).__name__}: {error}).")
        return []
    written: list[Path] = []

    def write(name: str, content: bytes | str) -> None:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        written.append(path)

    tables = {name: table for name in COMPARISON if len(table := getattr(comparison, name))}
    names = comparison.features["model"].drop_duplicates()
    tables["models"] = DataFrame({"model": names, "role": "primary"})
    exhibits = ExhibitWriter(write)
    exhibits.write_all(tables, {"main": comparison.config.tau}, frozenset(COMPARISON))
    for missing in exhibits.missing:
        say(f"Not made: {missing}.")
    return written


def _write_graph(graph: nx.Graph, out: Path) -> list[Path]:
    import networkx as nx

    from results.export import graphml, named_graph

    named, path = named_graph(graph), out / "graph.graphml"
    path.write_bytes(graphml(named))
    return [path, _write_json(nx.node_link_data(named, edges="edges"), out / "graph.json")]


def _write_json(document: Any, path: Path) -> Path:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
