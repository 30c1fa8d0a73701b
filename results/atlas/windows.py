"""Contexts of latents for the atlas: numbers of shown texts, and activations where there are any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from results.atlas.shards import ByLatent, Numbers, plain
from results.evaluation_text import EvaluationText
from results.firing import Firing
from results.token_text import text_lines

#: Contexts of a latent: where it is strongest, and one of each of these tenths of its activation range, from 0.
TOP, TENTHS = 4, (7, 3)
#: Tokens before and after the framed one, fewer than the dashboard shows: contexts are most of an atlas.
BEFORE, AFTER = 16, 8
#: Significant digits of activations.
DIGITS = 3


def chosen_contexts(contexts: pd.DataFrame) -> ByLatent:
    """Row and note of the contexts shown of every latent: 0 for a strongest one, else the tenth, 1 to 10.

    Args:
        contexts: the table ``contexts`` of a model.
    """
    top = contexts[(contexts["kind"] == "top").to_numpy() & (contexts["rank"] < TOP).to_numpy()].sort_values("rank")
    parts = [top.assign(note=0)]
    quantiles = contexts[(contexts["kind"] == "quantile").to_numpy()]
    for tenth in TENTHS:
        of = quantiles[(quantiles["group"] == tenth).to_numpy()].sort_values("rank")
        parts.append(of.drop_duplicates("latent").assign(note=tenth + 1))
    chosen = pd.concat(parts, ignore_index=True).drop_duplicates(["latent", "row"])
    return ByLatent(chosen["latent"], chosen["row"].tolist(), chosen["note"].tolist())


class Windows:
    """Cuts contexts out of the evaluation text; each context is put into words once, when it is first needed.

    Attributes:
        texts: every text that is shown, by number.
    """

    def __init__(self, text: EvaluationText) -> None:
        self.text, self.texts = text, Numbers()
        self._ids = np.full(text.contexts.shape, -1, dtype=np.int32)

    def window(self, row: int, note: int, firing: Firing) -> list[Any]:
        """A context, as JSON: note, place of the framed token, numbers of the lines that run right to left, domain (-1:
        none), numbers of the tokens' texts, and place and activation of those on which the latent fires, in turn."""
        context, position = int(self.text.row_context[row]), int(self.text.row_position[row])
        start, stop = max(position - BEFORE, 0), min(position + AFTER + 1, self.text.n_ctx)
        ids = self._of_context(context)[start:stop].tolist()
        values = firing.at(self.text.row_of[context, start:stop])
        fired = [x for place in np.flatnonzero(values).tolist() for x in (place, plain(values[place], DIGITS))]
        domain = int(self.text.row_domain[row])
        known = domain if 0 <= domain < len(self.text.domains) and self.text.domains[domain] else -1
        lines = text_lines([self.texts.names[i] for i in ids])
        return [note, position - start, [n for n, (right, _) in enumerate(lines) if right], known, ids, fired]

    def token_at(self, row: int) -> int:
        """Number of the text of a row's token."""
        return int(self._of_context(int(self.text.row_context[row]))[self.text.row_position[row]])

    def _of_context(self, context: int) -> np.ndarray:
        ids = self._ids[context]
        if ids[0] < 0:
            ids[:] = [self.texts(shown) for shown in self.text.strings(np.asarray(self.text.contexts[context]))]
        return ids
