"""Details of every latent for its page, in files of a few dozen; and which texts it peaks on, for the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from results.atlas.lists import PAIR_NUMBERS, Codes
from results.atlas.shards import SHARD, ByLatent, plain, plain_column, text_column
from results.atlas.windows import Windows, chosen_contexts
from results.ids import feature_id
from results.label_frames import labelled_features
from results.pair_lists import listed_pairs
from results.schema import TABLES
from results.stored_comparison import StoredComparison, dictionary_node
from results.tokenizers import own_text
from results.words import flags

#: Tokens that a latent makes likelier, domains of its activation, and parts of its label's rule that are shown.
PROMOTED, DOMAINS, PARTS = 8, 6, 8


class Details:
    """Reads what is known of the latents of one model; its tables of evidence are held one model at a time."""

    def __init__(self, stored: StoredComparison, model: str, codes: Codes, windows: Windows) -> None:
        self.stored, self.model, self.windows = stored, model, windows
        features = stored.table("features")
        self.features = features[(features["model"] == model).to_numpy()].sort_values("latent")
        self.promotes = labelled_features(stored)["promotes"].to_dict()
        self.contexts = chosen_contexts(self._evidence("contexts"))
        #: Lists on a latent's page, by their name there.
        self.lists = {
            "promoted": self._promoted(),
            "domains": self._domains(codes),
            "verdicts": self._verdicts(codes),
            "parts": self._parts(),
        }
        self.sides = [_pairs_of(stored, model, side, codes) for side in "ab"]

    def shards(self) -> Iterator[tuple[int, dict[str, Any], dict[str, Counter[int]]]]:
        """Number of a file, what it holds by latent, and on which texts each of its features peaks."""
        for number, rows in self.features.groupby(self.features["latent"] // SHARD):
            details, peaks = {}, {}
            for row in rows.to_dict("records"):
                latent = int(row["latent"])
                details[str(latent)], peaks[feature_id(self.model, latent)] = self._of(latent, row)
            yield int(number), details, peaks  # pyright: ignore[reportArgumentType]

    def _of(self, latent: int, row: dict[Any, Any]) -> tuple[dict[str, Any], Counter[int]]:
        firing, chosen = self.stored.firing(self.model, latent), self.contexts.of(latent)
        promotes = self.promotes.get(feature_id(self.model, latent))
        found = {
            **{name: plain(row.get(name), 3) for name in ("firing_rate", "best_r", "group_probability", "n_models")},
            "max": plain(firing.maximum, 4),
            "flags": flags(row.get("flags")),
            "promotes": promotes if isinstance(promotes, str) else None,
            "contexts": [self.windows.window(row, note, firing) for row, note in chosen],
            **{name: rows.of(latent) for name, rows in self.lists.items()},
            "pairs": [pair for side in self.sides for pair in side.of(latent)],
        }
        # What is empty is left out: of a dead latent hardly anything is known.
        kept = {key: value for key, value in found.items() if value is not None and value != []}
        return kept, Counter(self.windows.token_at(row) for row, note in chosen if note == 0)

    def _evidence(self, name: str) -> pd.DataFrame:
        artifact = self.stored.run.artifact(dictionary_node("evidence", self.stored.comparison, self.model))
        if not artifact.has(name):  # some hook points have no direct way to the logits
            return pd.DataFrame(columns=TABLES[name].names)
        table = pq.read_table(artifact.table_file(name))
        return table.to_pandas(categories=[name for name in ("kind", "side", "domain") if name in table.column_names])

    def _promoted(self) -> ByLatent:
        rows = self._evidence("logits")
        rows = rows[(rows["side"] == "top").to_numpy() & (rows["rank"] < PROMOTED).to_numpy()].sort_values("rank")
        text, texts = own_text(self.stored, self.model), self.windows.texts
        return ByLatent(rows["latent"], [texts(text.token(token)) for token in rows["token"].tolist()])

    def _domains(self, codes: Codes) -> ByLatent:
        rows = self._evidence("latent_domains").query("share > 0").sort_values("share", ascending=False, kind="stable")
        rows = rows[(rows.groupby("latent").cumcount() < DOMAINS).to_numpy()]
        shares, auroc = plain_column(rows, "share", 2), plain_column(rows, "auroc", 3)
        return ByLatent(rows["latent"], codes.column(rows, "domain"), shares, auroc)

    def _verdicts(self, codes: Codes) -> ByLatent:
        """Model, verdict, the number it rests on, and the latents that it is about."""
        rows = self._own("verdicts")
        model, verdict = codes.column(rows, "other_model", "model"), codes.column(rows, "verdict")
        numbers, about = plain_column(rows, "statistic", 2), text_column(rows, "about")
        return ByLatent(rows["latent"], model, verdict, numbers, about)

    def _parts(self) -> ByLatent:
        rows = self._own("label_parts")
        rows = rows[(rows["rank"] < PARTS).to_numpy()].sort_values("rank") if len(rows) else rows
        return ByLatent(rows["latent"], text_column(rows, "part"))

    def _own(self, name: str) -> pd.DataFrame:
        """Rows of the model in a table; none where the run has no such table."""
        table = self.stored.optional(name)
        return pd.DataFrame({"latent": []}) if table is None else table[(table["model"] == self.model).to_numpy()]


def _pairs_of(stored: StoredComparison, model: str, side: str, codes: Codes) -> ByLatent:
    """Pairs of which a model is one side: that side, model and latent of the other, level, edge, effect, numbers."""
    other, pairs = "ab".replace(side, ""), listed_pairs(stored)
    rows = pairs[(pairs[f"model_{side}"] == model).to_numpy()]
    return ByLatent(
        rows[f"latent_{side}"],
        [side] * len(rows), codes.column(rows, f"model_{other}", "model"), rows[f"latent_{other}"].tolist(),
        codes.column(rows, "level"), rows["edge"].astype(int).tolist() if "edge" in rows else [None] * len(rows),
        codes.column(rows, "effect_class", "effect"),
        *(plain_column(rows, name, digits) for name, digits in PAIR_NUMBERS.items()),
    )  # fmt: skip
