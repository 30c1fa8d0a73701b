"""One search for every screen: features by name, cluster, domain, label, and by the text that they peak on."""

from __future__ import annotations

import re

import pandas as pd

from results.explained import explanations_of
from results.feature_lists import find_feature
from results.ids import PAIR_ID, feature_id, feature_ids, plain_id
from results.label_frames import labelled_features
from results.named_things import features_named
from results.remembering import remembered
from results.stored_comparison import StoredComparison
from results.words import called
from universality.errors import InputError

_CLUSTER = re.compile(r"cluster\s*(\d{1,9})", re.IGNORECASE)


def features_matching(stored: StoredComparison, search: str) -> pd.Index:
    """The features ("m0:12") that a search text finds, each once; see :func:`found_by`."""
    return pd.Index(list(dict.fromkeys(name for names in found_by(stored, search).values() for name in names)))


def found_by(stored: StoredComparison, search: str) -> dict[str, list[str]]:
    """Features that a search text finds, by what it is to them; what finds none is left out.

    ``m0:12`` or ``m0/12`` finds one feature, ``m0:12-m1:7`` both sides of a pair, ``cluster 12`` the members of a
    cluster, and a number that latent of every model. Any other text finds the features that are strongest in a domain
    of that name, those that tell a label of that name best in their model (table ``probes``), those whose label by rule
    or whose words by a language model have it as a word, those that people have named so or noted it of, and those
    whose strongest contexts peak within a few tokens of it; in double quotes the last alone.
    """
    text = search.strip()
    found = _found_by(stored, text)
    if not text or text[0] == '"' or _named(stored, text):
        return found
    words, own = _of_words(stored, text), features_named(stored, text.casefold())
    added = {"words of a language model": words, "named or noted so by people": own}
    return {**found, **{what: names for what, names in added.items() if names}}


@remembered(32)
def _found_by(stored: StoredComparison, text: str) -> dict[str, list[str]]:
    if len(text) > 2 and text[0] == text[-1] == '"':
        found = {f"peak beside {text}": _peaking_near(stored, text[1:-1])}
    elif not (found := _named(stored, text)):
        found = {**_of_domain(stored, text), **_of_probe(stored, text), **_of_label(stored, text)}
        found[f'peak beside "{text}"'] = _peaking_near(stored, text)
    return {what: names for what, names in found.items() if names}


def _of_words(stored: StoredComparison, text: str) -> list[str]:
    """Features in whose words by a language model a text is a word; of compared models, as all that is found."""
    try:
        explanations = explanations_of(stored)
    except InputError:  # pages of features say it
        return []
    known = [one for some in explanations.values() for one in some if one.kind == "matched"]
    return list(dict.fromkeys(one.id for one in known if _is_name(text, str(one.explanation))))


def _named(stored: StoredComparison, text: str) -> dict[str, list[str]]:
    """What a feature, pair, cluster or number names; empty for any other text."""
    features, plain = stored.table("features"), plain_id(text)
    sides = PAIR_ID.match(plain)
    names = [feature_id(sides[f"model_{s}"], int(sides[f"latent_{s}"])) for s in "ab"] if sides else [plain]
    if all(find_feature(stored, name) is not None for name in names):
        return {"by name": names}
    if text.isdecimal() and len(text) < 10:
        return {f"latent {int(text)}": feature_ids(features[features["latent"] == int(text)]).tolist()}
    if number := _CLUSTER.fullmatch(text):
        members = features[(features["cluster"] == int(number[1])).fillna(False).to_numpy(bool)]
        return {f"cluster {int(number[1])}": feature_ids(members).tolist()}
    return {}


def _of_domain(stored: StoredComparison, text: str) -> dict[str, list[str]]:
    features = stored.table("features")
    if "top_domain" not in features:
        return {}
    of = features[features["top_domain"].notna()]
    return {
        f"domain {domain}": feature_ids(of[(of["top_domain"] == domain).to_numpy()]).tolist()
        for domain in of["top_domain"].unique()
        if _is_name(text, str(domain))
    }


def _of_label(stored: StoredComparison, text: str) -> dict[str, list[str]]:
    names, worded = _labels(stored)
    return (
        {f'label "{text}"': names[worded.str.contains(f" {_plain(text)} ", regex=False)].tolist()}
        if _plain(text)
        else {}
    )


@remembered()
def _labels(stored: StoredComparison) -> tuple[pd.Index, pd.Series]:
    """Ids of features with a label, and its words."""
    labels = labelled_features(stored)["label"].astype(str)
    return labels.index, pd.Series([f" {_plain(label)} " for label in labels], dtype="str")


def _of_probe(stored: StoredComparison, text: str) -> dict[str, list[str]]:
    probes = stored.optional("probes")
    if probes is None:
        return {}
    probes = probes[(probes["kind"] == "matched").to_numpy()].drop_duplicates(["label", "model_a"])
    return {
        f"best at {called(str(label))}": feature_ids(of, "a").tolist()
        for label, of in probes.groupby("label", sort=False)
        if _is_name(text, str(label))
    }


def _is_name(text: str, name: str) -> bool:
    """Whether a text is a name or a whole word of it, whatever its case and its joints."""
    return bool(_plain(text)) and f" {_plain(text)} " in f" {_plain(name)} "


def _plain(text: str) -> str:
    """Words of a text without case and joints."""
    return re.sub(r"[\W_]+", " ", text).strip().casefold()


@remembered(32)
def _peaking_near(stored: StoredComparison, text: str) -> list[str]:
    near, top = stored.text.rows_near(text), stored.top_rows()
    return feature_ids(top.loc[near[top["row"].to_numpy()], ["model", "latent"]].drop_duplicates()).tolist()
