"""Steps that compare dictionaries over the shared evaluation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.engine.step import StepContext, step

if TYPE_CHECKING:
    from scipy import sparse

    from storage import Artifact
    from universality.compare.statistics import LatentStatistics
    from universality.rows import Rows


def shared_rows(tokens: Artifact) -> Rows:
    """The evaluation rows of a ``tokens`` artifact."""
    from universality.rows import Rows

    return Rows(
        documents=tokens.array("row_document"),
        fit=tokens.array("row_fit"),
        domains=tokens.array("row_domain"),
        domain_names=tuple(tokens.json("domains")),
        tokens=tokens.array("row_token"),
        positions=tokens.array("row_position"),
        # Rows leave the first position out, so a context without separators is one row shorter than n_ctx.
        n_ctx=int(tokens.array("eval_contexts").shape[1]) - 1,
    )


class Sides:
    """What the pairwise steps read: both dictionaries' latents over the same rows."""

    def __init__(self, ctx: StepContext):
        from universality.compare.config import CompareConfig

        _same_ancestry(ctx)
        self.config = CompareConfig(**ctx.params["compare"])
        self.rows = shared_rows(ctx.inputs["tokens"])
        self.a, self.b = (ctx.inputs[side].csr("acts") for side in "ab")
        self.pair: tuple[str, str] = tuple(ctx.params["ids"])
        self.root_seed: int = ctx.params["root_seed"]

    def statistics(self) -> tuple[LatentStatistics, LatentStatistics]:
        """Counts of both sides."""
        return self._of(self.a), self._of(self.b)

    def _of(self, acts: sparse.csr_matrix) -> LatentStatistics:
        from universality.compare.statistics import latent_statistics

        return latent_statistics(acts, self.rows, self.config.min_firings)


def _same_ancestry(ctx: StepContext) -> None:
    """Rows are comparable only if both sides were encoded over the very same tokens."""
    key = ctx.inputs["tokens"].key
    for side in "ab":
        if ctx.inputs[side].manifest["inputs"]["tokens"] != key:
            raise ValueError(f"Side {side} of {ctx.node_id} must be encoded over the run's tokens {key}.")


@step("similarity", version=1)
def similarity(ctx: StepContext) -> None:
    """Best candidates of both sides, on the fit rows."""
    from universality.compare.pairing import candidate_table, pair_similarity

    sides = Sides(ctx)
    found = pair_similarity(
        sides.a, sides.b, sides.rows, *sides.statistics(), sides.config, threads=ctx.threads
    )
    ctx.out.tensors("similarity", found.to_arrays())
    table = candidate_table(found, sides.pair)
    table.insert(0, "comparison_id", ctx.params["comparison_id"])
    ctx.out.table("candidates", table)


@step("null", version=1)
def null(ctx: StepContext) -> None:
    """Chance: every latent's maximum under shifts of whole documents, on the score rows."""
    from universality.compare.chance import pair_null

    sides = Sides(ctx)
    found = pair_null(
        sides.a,
        sides.b,
        sides.rows,
        *sides.statistics(),
        sides.config,
        pair=sides.pair,
        root_seed=sides.root_seed,
    )
    ctx.out.tensors("null", found.to_arrays())


@step("matching", version=1)
def matching(ctx: StepContext) -> None:
    """Assign on the fit rows, measure every assigned pair on the score rows."""
    from universality.compare.chance import PairNull
    from universality.compare.pairing import pair_matching
    from universality.correlation import TopSimilarity

    sides = Sides(ctx)
    found = pair_matching(
        sides.a,
        sides.b,
        sides.rows,
        *sides.statistics(),
        TopSimilarity.from_arrays(ctx.inputs["similarity"].tensors("similarity")),
        PairNull.from_arrays(ctx.inputs["null"].tensors("null")),
        sides.config,
        pair=sides.pair,
        root_seed=sides.root_seed,
        threads=ctx.threads,
    )
    # Not named "pairs": replicate and untrained pairs are no rows of the run's table of pairs.
    ctx.out.table("matched", found.to_tables()["pairs"])
    ctx.out.tensors("matching", found.to_arrays())
    ctx.out.facts(certificate=found.certificate, n_pairs=len(found.pairs))
