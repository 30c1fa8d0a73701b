"""What a reader should keep in mind about a run: one list and one book of thresholds for screen, terminal and report.

Sentences are Markdown with named amounts in braces, so that a report can put a macro where a screen puts the number.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Literal, NamedTuple

import pandas as pd

from results.headline import overall_values
from results.progress import READY
from results.remembering import remembered
from results.stored_comparison import StoredComparison, step_warnings
from results.words import called
from storage.errors import ArtifactMissing
from universality.compare.marks import flagged_pairs

#: Fewer models say little about models at large; below it "universal" is a strong word.
FEW_MODELS = 5
#: Score rows below which the best of unrelated candidates is high for rare latents: its 95th percentile is r = 0.44
#: for a latent that fires 10 times in 100,000 rows, and 0.08 for one that fires 100 times in a million.
FEW_SCORE_ROWS = 1_000_000
#: Sources of the score half below which intervals that resample them are too narrow: percentile intervals of 95 % cover
#: 94 % of planted truths with 20 sources, 89 % with 10 and 82 % with 5 (tests/unit/universality/test_intervals.py),
#: since a resample of n has n - 1 degrees of freedom (Davison & Hinkley 1997, chapter 2).
FEW_SCORE_SOURCES = 20
#: Sources of the score half below which an interval says next to nothing, and shifts hardly part what belongs together.
HARDLY_ANY_SOURCES = 5
#: Sources behind a domain below which its figures are examples: one text decides them.
FEW_DOMAIN_SOURCES = 5
#: Share of the edges whose level is untested, or that fewer than five sources make, above which it is told.
MANY_EDGES = 0.1
#: Share of a dictionary's latents that cannot be compared above which classes speak of a part of it.
MANY_NOT_ALIVE = 0.1
#: Unexplained variance, and recovered cross-entropy, beyond which a dictionary stands poorly for its activations; and
#: beyond which it says little about the model at all.
POOR_FVU, USELESS_FVU = 0.3, 0.5
POOR_CE_RECOVERED, USELESS_CE_RECOVERED = 0.9, 0.5
#: Share of the raw median r below which the token-conditional one says that tokens explain most.
TOKENS_EXPLAIN = 0.5

#: Title and sentence by id.
_WORDS = {
    name: (said["title"], " ".join(said["sentence"].split()))
    for name, said in tomllib.loads((files("results") / "cautions.toml").read_text(encoding="utf-8")).items()
}


Kind = Literal["count", "real", "percent", "names"]


class Amount(NamedTuple):
    """A number, or names, in a sentence.

    Attributes:
        kind: ``percent`` takes a share in 0..1; ``names`` takes ids.
        value: what is shown.
        digits: after the point, of ``real`` and ``percent``.
    """

    kind: Kind
    value: float | Sequence[str]
    digits: int = 0

    @property
    def text(self) -> str:
        """As a screen shows it."""
        if not isinstance(self.value, (int, float)):
            return ", ".join(f"`{name}`" for name in self.value)
        if self.kind == "count":
            return f"{self.value:,.0f}"
        return f"{100 * self.value if self.kind == 'percent' else self.value:.{self.digits}f}"


class Caution(NamedTuple):
    """Something to keep in mind.

    Attributes:
        id: stable name, for example ``few_models``.
        title: a few words.
        sentence: Markdown with amounts as ``{name}``.
        amounts: by name; ``value`` is the number found, ``threshold`` what it was held against.
        severe: whether it can turn a result around; the others blur it.
        comparison: id of the comparison that it is about; None for the whole run.
    """

    id: str
    title: str
    sentence: str
    amounts: Mapping[str, Amount]
    severe: bool = False
    comparison: str | None = None

    def number(self, name: str) -> float | None:
        """One of its numbers, ``value`` or ``threshold``; None where it has none."""
        amount = self.amounts.get(name)
        return amount.value if amount and isinstance(amount.value, (int, float)) else None

    @property
    def markdown(self) -> str:
        """The sentence with its amounts filled in."""
        return re.sub(r"\{(\w+)\}", lambda mark: self.amounts[mark[1]].text, self.sentence)

    @property
    def plain(self) -> str:
        """The same without marks, for a terminal."""
        return re.sub(r"[*$`]|\\(?=tau)", "", self.markdown)


@remembered()
def stored_cautions(stored: StoredComparison) -> list[Caution]:
    """What to keep in mind about a comparison and the run that it belongs to, severe ones first."""
    names = ("models", "headline", "indices", "pairs", "domains", "documents")
    tables = {name: stored.optional(name) for name in names}
    tables = {name: table for name, table in tables.items() if table is not None}
    nodes = stored.record.get("nodes") or {}
    of_run = run_cautions(
        n_models=_n_transformers(tables["models"]) if "models" in tables else None,
        n_score_rows=_n_score_rows(stored),
        n_score_sources=stored.n_score_sources,
        documents=stored.optional("documents"),
        unfinished=[name for name, node in nodes.items() if node.get("status") not in READY],
        warned=[warning["node"] for warning in step_warnings(stored.run)],
    )
    cautions = [*of_run, *comparison_cautions(tables, stored.settings.get("tau"))]
    return sorted(cautions, key=lambda caution: not caution.severe)


def _n_score_rows(stored: StoredComparison) -> int | None:
    try:
        return int(stored.score_rows.sum())
    except ArtifactMissing:
        return None


def _n_transformers(models: pd.DataFrame) -> int:
    """Compared transformers: several dictionaries of one model are one."""
    primary = models[models["role"] == "primary"]
    return len(primary["model_seed"].fillna(primary["model"]).unique())


def run_cautions(
    *,
    n_models: int | None = None,
    n_score_rows: int | None = None,
    n_score_sources: int | None = None,
    documents: pd.DataFrame | None = None,
    unfinished: Sequence[str] = (),
    warned: Sequence[str] = (),
) -> Iterator[Caution]:
    """What to keep in mind about a whole run.

    Args:
        n_models: how many models are compared.
        n_score_rows: rows that correlations are computed on.
        n_score_sources: files, chapters, catalogues that these come from.
        documents: table ``documents``.
        unfinished: steps without a result.
        warned: the step of every warning, once per warning.
    """
    if unfinished:
        yield _caution("unfinished", "count", len(unfinished), severe=True)
    if n_models is not None and n_models < FEW_MODELS:
        yield _caution("few_models", "count", n_models, FEW_MODELS)
    if n_score_rows is not None and n_score_rows < FEW_SCORE_ROWS:
        yield _caution("few_score_rows", "count", n_score_rows, FEW_SCORE_ROWS)
    if n_score_sources is not None and n_score_sources < FEW_SCORE_SOURCES:
        severe = n_score_sources < HARDLY_ANY_SOURCES
        yield _caution("few_score_sources", "count", n_score_sources, FEW_SCORE_SOURCES, severe=severe)
    if documents is not None and documents["domain"].nunique() == 1:
        yield _caution("one_domain", "count", 1)
    if warned:
        yield _caution("warnings", "count", len(warned), steps=sorted(set(warned))[:5])


def comparison_cautions(
    tables: Mapping[str, pd.DataFrame], tau: float | None, comparison: str | None = None
) -> list[Caution]:
    """What to keep in mind about one comparison.

    Args:
        tables: its tables by name, and the run's ``documents``; what is read off a table that is not there is not
            looked for.
        tau: its threshold on held-out r; None where it is not known.
        comparison: its id, for the cautions.
    """
    rules = [_of_dictionaries(tables.get("models")), _of_starts(tables), _of_levels(tables.get("pairs"))]
    rules.append(_of_domains(tables.get("domains"), tables.get("documents")))
    if "headline" in tables:
        r = overall_values(tables["headline"])
        rules = [_of_controls(r), *rules, _of_headline(r, tau)]
    return [caution._replace(comparison=comparison) for rule in rules for caution in rule]


def _caution(
    name: str,
    kind: Kind,
    value: float,
    threshold: float | None = None,
    *,
    digits: tuple[int, int] = (0, 0),
    severe: bool = False,
    **ids: Sequence[str],
) -> Caution:
    """A caution of :data:`_WORDS`; ``digits`` of its value and its threshold, ``ids`` that the sentence names."""
    amounts = {"value": Amount(kind, value, digits[0])}
    if threshold is not None:
        amounts["threshold"] = Amount(kind, threshold, digits[1])
    amounts |= {key: Amount("names", names) for key, names in ids.items()}
    return Caution(name, *_WORDS[name], amounts, severe)


def _of_controls(r: Mapping[str, float]) -> Iterator[Caution]:
    for quantity, name in (("untrained", "no_floor"), ("ceiling", "no_ceiling"), ("neurons", "no_neurons")):
        if quantity not in r:
            yield _caution(name, "count", 0)


def _of_dictionaries(models: pd.DataFrame | None) -> Iterator[Caution]:
    if models is None or "d_sae" not in models:
        return
    primary = models[models["role"] == "primary"]
    not_alive = float((1 - primary["n_alive"] / primary["d_sae"]).max())
    if not_alive > MANY_NOT_ALIVE:
        yield _caution("not_alive", "percent", not_alive, MANY_NOT_ALIVE, digits=(1, 0))
    fvu = float(primary["fvu"].max())
    if fvu > POOR_FVU:
        yield _caution("poor_fvu", "real", fvu, POOR_FVU, digits=(2, 1), severe=fvu > USELESS_FVU)
    recovered = float(primary["ce_recovered"].min()) if "ce_recovered" in primary else math.nan
    if recovered < POOR_CE_RECOVERED:
        severe = recovered < USELESS_CE_RECOVERED
        yield _caution("poor_ce_recovered", "percent", recovered, POOR_CE_RECOVERED, digits=(1, 0), severe=severe)


def _of_starts(tables: Mapping[str, pd.DataFrame]) -> Iterator[Caution]:
    """Dictionaries that agree because they started alike: by their record, and by what was measured."""
    if "sae_seed" in tables.get("models", ()):
        primary = tables["models"].query("role == 'primary'")
        shared = primary["sae_seed"].notna() & primary["sae_seed"].duplicated(keep=False)
        if shared.any():
            models = primary.loc[shared, "model"].astype(str).tolist()
            yield _caution("same_sae_seed", "count", len(models), severe=True, models=models)
    pairs = flagged_pairs(tables["indices"]) if "indices" in tables else []
    if pairs:
        yield _caution("shared_init", "count", len(pairs), severe=True, pairs=pairs)


def few_sources(domains: pd.DataFrame) -> pd.Series:
    """(n,) bool, rows of domains whose text comes from too few sources for their figures to be more than examples.

    Args:
        domains: with ``n_sources``; without it (runs of older versions) no row is.
    """
    if "n_sources" not in domains:
        return pd.Series(False, index=domains.index)
    return (domains["n_sources"] < FEW_DOMAIN_SOURCES).fillna(False).astype(bool)


def _of_domains(domains: pd.DataFrame | None, documents: pd.DataFrame | None) -> Iterator[Caution]:
    if domains is None or domains.empty:
        return
    measured = domains["domain"].astype(str)
    few = sorted(set(measured[few_sources(domains)]))
    if few:
        yield _caution(
            "few_sources_domains", "count", len(few), FEW_DOMAIN_SOURCES, domains=[called(name) for name in few]
        )
    missing = sorted(set() if documents is None else set(documents["domain"].astype(str)) - set(measured))
    if missing:
        yield _caution("unmeasured_domains", "count", len(missing), domains=[called(name) for name in missing])


def _of_levels(pairs: pd.DataFrame | None) -> Iterator[Caution]:
    """Of edges: those whose level cannot be told, and those that few sources make."""
    if pairs is None or not (pairs["edge"].any()):
        return
    edges = pairs[pairs["edge"]]
    untested = float((edges["level"] == "untested").mean())
    if untested > MANY_EDGES:
        yield _caution("untested_levels", "percent", untested, MANY_EDGES, severe=untested == 1)
    few = float(edges["few_sources"].mean())
    if few > MANY_EDGES:
        yield _caution("few_sources_edges", "percent", few, MANY_EDGES)


def _of_headline(r: Mapping[str, float], tau: float | None) -> Iterator[Caution]:
    if tau is not None and r.get("ceiling", math.inf) < tau:
        yield _caution("low_ceiling", "real", r["ceiling"], tau, digits=(2, 2))
    if r.get("untrained", -math.inf) > r.get("null_p95", math.inf):
        yield _caution("high_floor", "real", r["untrained"], r["null_p95"], digits=(2, 2))
    if r.get("token_conditional", math.inf) < TOKENS_EXPLAIN * r.get("features", -math.inf):
        share = r["token_conditional"] / r["features"] if r["features"] else 0.0
        yield _caution("tokens_explain", "percent", share, TOKENS_EXPLAIN)
    if tau is not None and r.get("null_p95", -math.inf) >= tau:
        yield _caution("high_chance", "real", r["null_p95"], tau, digits=(2, 2), severe=True)
