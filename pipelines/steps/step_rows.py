"""The rows that a dictionary is trained on (which, from where, how well its batches mix them) and compared on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.engine.step import StepContext
from pipelines.steps.model_steps import part_contexts, positions_that_count
from results.public.opening import open_transformer
from storage import Artifact
from universality.sae.sae_config import SAETrainingConfig

if TYPE_CHECKING:
    from universality.rows import Rows

#: Share of rows left out for their norm above which the run warns.
MANY_OUTLIERS = 0.01


class TrainingSource(NamedTuple):
    """Rows, what is worth knowing of them, and what is wrong with them."""

    rows: Any
    facts: dict[str, Any]
    warnings: list[str]


def training_source(ctx: StepContext) -> TrainingSource:
    """The rows of a ``sae`` node: its stored activations, or computed from its transformer as they are read."""
    p = ctx.params
    rows = live_rows(ctx) if "live" in p else ctx.inputs["activations"].array(p["hook_point"])
    if p.get("max_norm") is None:
        return TrainingSource(rows, {"training_rows": len(rows)}, [])
    from universality.sae.outliers import InlierRows

    inliers = InlierRows(rows, p["max_norm"])
    facts = {
        "training_rows": len(inliers),
        "rows_left_out": inliers.n_left_out,
        "median_norm": inliers.median_norm,
    }
    share = inliers.n_left_out / len(rows)
    message = f"{share:.1%} of the rows have more than {p['max_norm']:g} times the median norm and were left out."
    warnings = [f"{message} Look at their tokens, or raise max_norm."] if share > MANY_OUTLIERS else []
    return TrainingSource(inliers, facts, warnings)


def live_rows(ctx: StepContext) -> Any:
    """The rows that the step ``activations`` would have stored for this dictionary."""
    from universality.transformers.live import LiveRows

    p = ctx.params["live"]
    keep = positions_that_count(ctx.inputs["tokenizer"], p.get("positions"))
    return LiveRows(
        open_transformer(ctx.inputs["transformer"], ctx.device),
        part_contexts(ctx.inputs["tokens"], p["part"], p["max_tokens"]),
        ctx.params["hook_point"],
        lambda contexts: keep(0, contexts),
        batch_contexts=p["batch_contexts"],
    )


def mixing_of(rows: Any, config: SAETrainingConfig, sae_seed: int) -> tuple[dict[str, float], list[str]]:
    """How well the batches of a training are mixed, and a warning where they are not."""
    from universality.sae.mixing import POORLY_MIXED, measure_mixing
    from universality.sae.stream import training_stream

    mixing = measure_mixing(training_stream(rows, config, sae_seed), config.batch_rows, config.n_steps)
    facts = {f"mixing_{name}": value for name, value in mixing._asdict().items()}
    if mixing.chunks >= POORLY_MIXED:
        return facts, []
    message = f"Batches are poorly mixed: they touch {mixing.chunks:.0%} of the chunks of text that chance would."
    whole = math.ceil(4 * len(rows) * int(rows.shape[1]) / 1_000_000)
    remedy = f"Raise buffer_mb (now {config.buffer_mb}; {whole} hold all rows), or lower batch_rows."
    return facts, [f"{message} {remedy}"]


#: Rows of the last ``tokens`` artifact, by its key: hundreds of pairs of one run read the same, and what a comparison
#: prepares of rows is kept with them.
_LAST: dict[str, Rows] = {}


def shared_rows(tokens: Artifact) -> Rows:
    """The evaluation rows of a ``tokens`` artifact; of the same artifact the same object, in this process."""
    if tokens.key not in _LAST:
        _LAST.clear()
        _LAST[tokens.key] = _rows(tokens)
    return _LAST[tokens.key]


def _rows(tokens: Artifact) -> Rows:
    from universality.rows import Rows

    # With several tokenizers, what is read at a row is all the tokens that end there. Segments, which name what lies
    # since the row before, are many more: a mean over few rows takes too little off.
    read = "row_tokens" if "row_tokens" in tokens.names("arrays") else "row_token"
    return Rows(
        documents=tokens.array("row_document"),
        sources=tokens.array("row_source"),
        fit=tokens.array("row_fit"),
        domains=tokens.array("row_domain"),
        domain_names=tuple(tokens.json("domains")),
        tokens=tokens.array(read),
        positions=tokens.array("row_position"),
        next_tokens=tokens.array("row_next_token"),
        # Rows leave the first position out, so a context without separators is one row shorter than n_ctx.
        n_ctx=int(tokens.array("eval_contexts").shape[1]) - 1,
    )
