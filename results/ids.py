"""Ids of features and of pairs, as screens, addresses and reports write them: ``m0:12`` and ``m0:12-m1:7``."""

import re

import pandas as pd

#: The terminal and graph files write ``m0/12``.
_FEATURE = r"(?P<model{side}>[^:\s]+?)[:/](?P<latent{side}>\d+)"
#: Groups ``model`` and ``latent``.
FEATURE_ID = re.compile(f"^{_FEATURE.format(side='')}$")
#: Groups ``model_a``, ``latent_a``, ``model_b`` and ``latent_b``.
PAIR_ID = re.compile(f"^{_FEATURE.format(side='_a')}-{_FEATURE.format(side='_b')}$")


def feature_id(model: str, latent: int) -> str:
    """The id of one feature."""
    return f"{model}:{int(latent)}"


def plain_id(text: str) -> str:
    """An id of a feature or of a pair as screens write it, whichever way it was printed; any other text as it is."""
    if match := PAIR_ID.match(text):
        return "-".join(feature_id(match[f"model_{side}"], int(match[f"latent_{side}"])) for side in "ab")
    match = FEATURE_ID.match(text)
    return feature_id(match["model"], int(match["latent"])) if match else text


def feature_ids(frame: pd.DataFrame, side: str = "") -> pd.Series:
    """Ids of the features in the columns model and latent, or in those of side "a" or "b" of a frame of pairs."""
    suffix = f"_{side}" if side else ""
    return frame[f"model{suffix}"].astype(str) + ":" + frame[f"latent{suffix}"].astype(str)


def pair_ids(pairs: pd.DataFrame) -> pd.Series:
    """Ids of the pairs of a frame with the columns model_a, latent_a, model_b and latent_b."""
    return feature_ids(pairs, "a") + "-" + feature_ids(pairs, "b")
