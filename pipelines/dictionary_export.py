"""The dictionaries of a run as folders that other people load: which there are, what is known of each, and writing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.dictionary_card import card
from pipelines.hub_dictionaries import sae_source
from results.stored_comparison import latents_node, sweep_node
from universality.errors import InputError, refusal

if TYPE_CHECKING:
    from storage import Artifact, Run

ExportFormat = Literal["saelens", "ours"]
WRITERS: dict[ExportFormat, str] = {"saelens": "saelens", "ours": "universality"}


@dataclass(frozen=True)
class RunDictionary:
    """A dictionary of a run.

    Attributes:
        owner: id of its comparison, study or sweep.
        name: its id there; of a sweep's point its number and seed, ``3-seed0``.
        node: id of the node that made it.
        weights: name of its weights in that node's artifact.
    """

    owner: str
    name: str
    node: str
    weights: str = ""

    @property
    def folder(self) -> Path:
        """Where it is written, below the folder of the export."""
        return Path(self.owner) / self.name


@dataclass(frozen=True)
class Export:
    """What was written, folder by dictionary, and why the others were not."""

    written: dict[str, Path]
    skipped: dict[str, str]


def export_dictionaries(
    run: Run, out: Path, export_format: ExportFormat = "saelens", models: list[str] | None = None, licence: str = ""
) -> Export:
    """Write a folder for every dictionary that the run trained: its weights and a model card.

    Nothing is sent anywhere. Dictionaries from elsewhere are left out, for they are not the run's to publish.

    Args:
        run: what trained them.
        out: folder; ``out/<comparison>/<dictionary>`` must be empty or not there.
        export_format: ``saelens``, or ``ours``, which holds any.
        models: ids of dictionaries; None for all.
        licence: for the card, an identifier of the hub such as ``mit``; empty for none.

    Raises:
        InputError: no such dictionary, a folder that holds something, or none to write. Before anything is written.
    """
    found = list(_dictionaries(run))
    names = dict.fromkeys(each.name for each in found)
    unknown = sorted(set(models or ()) - set(names))
    if unknown or not found:
        legal = f"a dictionary of run {run.name}: {', '.join(names) or 'it has none'}"
        raise refusal("--model", "export-saes", legal, ", ".join(unknown) or "none", "Write it as `show` does.")
    chosen = [each for each in found if models is None or each.name in models]
    skipped = {each.node: why for each in chosen if (why := _why_not(run, each))}
    chosen = [each for each in chosen if each.node not in skipped]
    for each in chosen:
        folder = out / each.folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            remedy = "Give another --out, or remove that folder first."
            raise refusal("--out", "export-saes", "a folder without earlier exports", str(folder), remedy)
    written = {}
    for each in chosen:
        label = f"{each.owner}/{each.name}"
        try:
            written[label] = _write(run, each, out, export_format, licence)
        except InputError as error:  # a form that the format has no place for
            skipped[label] = str(error)
    return Export(written, skipped)


def _dictionaries(run: Run) -> Iterator[RunDictionary]:
    for node, fields in run.observed["nodes"].items():
        if fields["step"] in ("sae", "loaded_sae"):
            _, owner, name = node.split("/")
            yield RunDictionary(owner, name, node)
        elif fields["step"] == "sweep_sae" and fields["status"] == "done":
            _, sweep, point = node.split("/")
            for seed, status in enumerate(run.artifact(node).json("status")):
                if status == "ok":
                    yield RunDictionary(sweep, f"{point}-seed{seed}", node, str(seed))


def _why_not(run: Run, each: RunDictionary) -> str | None:
    fields = run.observed["nodes"][each.node]
    if fields["step"] == "loaded_sae":
        source = sae_source(run.artifact(each.node).manifest["params"]) if fields["status"] == "done" else "elsewhere"
        return f"it came from {source}: publish it from there, under its own licence"
    return None if fields["status"] == "done" else f"the run has not computed it (it is {fields['status']})"


def _write(run: Run, each: RunDictionary, out: Path, export_format: ExportFormat, licence: str) -> Path:
    """Beside its place first: what is there under its name is whole."""
    from universality.sae import SparseAutoencoder, save_sae

    artifact = run.artifact(each.node)
    config, tensors = artifact.json(f"sae_config{each.weights}"), artifact.tensors(f"sae{each.weights}")
    facts = _facts(run, each, artifact)
    dictionary = SparseAutoencoder.from_tensors(config, tensors)
    dictionary = replace(dictionary, metadata={**dictionary.metadata, **_metadata(facts, artifact)})
    folder = out / each.folder
    beside = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        save_sae(dictionary, beside, format=WRITERS[export_format])
        (beside / "README.md").write_text(card(facts, dictionary, export_format, licence), "utf-8")
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _facts(run: Run, each: RunDictionary, artifact: Artifact) -> dict[str, Any]:
    """What the card says: where it comes from, its model, and its quality where the run measured it."""
    nodes = run.observed["nodes"]
    is_sweep = bool(each.weights)
    point = each.node.rpartition("/")[2]
    measured = sweep_node("sweep_quality", each.owner, int(point)) if is_sweep else latents_node(each.owner, each.name)
    quality: Mapping[str, Any] = {}
    transformer = None
    if measured in nodes and nodes[measured]["status"] == "done":
        judged = run.artifact(measured)
        quality = judged.json("quality")[int(each.weights)] if is_sweep else judged.json("quality")
        transformer = run.store.get(judged.manifest["inputs"]["transformer"])
    return {
        "name": f"{each.owner}/{each.name}",
        "run": run.name,
        "recipe": run.record["recipe_name"],
        "n_ctx": run.record["recipe"].get("n_ctx"),
        "key": artifact.key,
        "version": artifact.manifest["facts"].get("made_with", {}).get("universality"),
        "params": artifact.manifest["params"],
        "training": artifact.manifest["facts"],
        "seed": each.weights or "/".join(map(str, artifact.manifest["params"].get("sae_seed", []))),
        "quality": quality,
        "pretrained": transformer.json("pretrained") if transformer and transformer.has("pretrained") else None,
        "native": _native(transformer),
    }


def _native(transformer: Artifact | None) -> dict[str, Any] | None:
    if transformer is None or transformer.has("pretrained"):
        return None
    config, training = transformer.json("config"), transformer.json("training")
    shape = {name: config.get(name) for name in ("n_layers", "d_model", "n_heads", "d_mlp", "d_vocab")}
    return {**shape, **training, "model_seed": transformer.manifest["params"].get("model_seed")}


def _metadata(facts: Mapping[str, Any], artifact: Artifact) -> dict[str, Any]:
    """What loaders find in the config: the model as published, contexts that start with the start token."""
    pretrained = facts["pretrained"]
    said = {
        "model": pretrained["name"] if pretrained else None,
        "hook_point": artifact.manifest["params"]["hook_point"],
        "context_size": facts["n_ctx"],
        "prepend_bos": True,
        "model_from_pretrained_kwargs": {},
        "l0": facts["quality"].get("l0"),
        "artifact": artifact.key,
    }
    return {name: value for name, value in said.items() if value is not None}
