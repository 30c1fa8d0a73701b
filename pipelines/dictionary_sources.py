"""A dictionary as people name it on the command line: a folder, a hub repository, or one of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from universality.errors import refusal

if TYPE_CHECKING:
    import numpy as np

    from results.stored_comparison import StoredComparison
    from storage import Run
    from universality.sae import SparseAutoencoder

HUB = "hub:"


@dataclass(frozen=True, eq=False)
class OpenedDictionary:
    """A dictionary, and what only a run knows of it.

    Attributes:
        name: as it was asked for.
        sae: the dictionary; metadata say its model and hook point where anything does.
        alive: (d_sae,) bool, latents that fire often enough to be compared in their run; None elsewhere.
        initial: (d_sae, d_in) decoder directions that its training started at; None where nobody knows.
    """

    name: str
    sae: SparseAutoencoder
    alive: np.ndarray | None = None
    initial: np.ndarray | None = None


def open_dictionary(name: str, store_url: str) -> OpenedDictionary:
    """Open a dictionary by its folder or file, ``hub:OWNER/NAME[/FOLDER][@REVISION]``, or ``RUN:DICTIONARY``.

    Args:
        name: what exists on this machine wins. ``#N`` behind it is part N of a crosscoder, from 0.
        store_url: the store that runs are looked for in.

    Raises:
        InputError: nothing of that name, or none of a known format; of a run, no such dictionary or several.
        HubError: see :func:`~pipelines.hub_dictionaries.fetch_sae`.
        RunMissing: no such run.
    """
    from universality.sae import load_sae

    place, part = name, None
    if not Path(name).expanduser().exists() and (match := re.fullmatch(r"(.+)#(\d+)", name)):
        place, part = match[1], int(match[2])
    if Path(place).expanduser().exists():
        return OpenedDictionary(name, load_sae(place, part))
    if place.startswith(HUB):
        return OpenedDictionary(name, load_sae(_fetched(place.removeprefix(HUB)), part))
    run_name, _, dictionary = place.rpartition(":")
    if run_name and dictionary and part is None:
        from pipelines.cli.runs import open_named

        return _of_run(name, open_named(run_name, store_url), dictionary)
    constraint = f"a folder or file with one dictionary, RUN:DICTIONARY of the store, or {HUB}OWNER/NAME/FOLDER"
    raise refusal("dictionary", "compare-saes", constraint, repr(name), "Check the path, or see: universality ls.")


def _fetched(place: str) -> Path:
    from pipelines.hub_dictionaries import fetch_sae, sae_commit

    path, _, revision = place.partition("@")
    owner, _, rest = path.partition("/")
    repo, _, folder = rest.partition("/")
    if not (owner and repo):
        raise refusal("dictionary", "compare-saes", f"{HUB}OWNER/NAME[/FOLDER][@REVISION]", place, "Write it so.")
    repo = f"{owner}/{repo}"
    return fetch_sae(repo, folder or None, sae_commit(repo, revision or None))


def _of_run(name: str, run: Run, dictionary: str) -> OpenedDictionary:
    from results.stored_comparison import StoredComparison, sae_node

    prefix = sae_node("", "").removesuffix("/")
    known = [node.removeprefix(prefix) for node in run.nodes(prefix)]
    fits = [one for one in known if one == dictionary or one.endswith(f"/{dictionary}")]
    if len(fits) != 1:
        legal, got = f"one of {', '.join(known[:20])}", f"{dictionary!r}, which is {', '.join(fits) or 'none of them'}"
        raise refusal("dictionary", f"run {run.name!r}", legal, got, "Write it as it stands there.")
    comparison, _, own = fits[0].partition("/")
    stored = StoredComparison(run, comparison)
    sae, params = stored.dictionary(own), run.artifact(sae_node(comparison, own)).manifest["params"]
    read = stored.transformer_artifact(own)
    # A model that a run trained has no name that means anything elsewhere: its weights are its name.
    model = read.json("pretrained")["name"] if read.has("pretrained") else f"the transformer {read.key[:12]}"
    said = {key: value for key, value in sae.metadata.items() if value}
    sae = replace(sae, metadata={"model": model, "hook_point": params["hook_point"], **said})
    return OpenedDictionary(name, sae, _alive(stored, own), _initial(params, sae))


def _alive(stored: StoredComparison, dictionary: str) -> np.ndarray:
    from results.stored_comparison import latents_node
    from universality.compare import CompareConfig, LatentStatistics

    counts = LatentStatistics.from_arrays(
        stored.run.artifact(latents_node(stored.comparison, dictionary)).tensors("statistics")
    )
    least = stored.settings.get("min_firings", CompareConfig.model_fields["min_firings"].default)
    return (counts.firings_fit >= least) & (counts.firings_score >= least)


def _initial(params: Mapping[str, Any], sae: SparseAutoencoder) -> np.ndarray | None:
    """What the training of this dictionary started at, drawn again from its seed."""
    import numpy as np

    from universality.sae.seed_group import initialised
    from universality.seeds import derive_seed

    if "sae_seed" not in params:
        return None
    seed = derive_seed(params["root_seed"], "sae", *params["sae_seed"])
    return initialised(np.zeros(sae.d_in, np.float32), sae.d_sae, seed)["W_dec"]
