"""Our own format: ``sae.json`` (the canonical form's choices) and ``sae.safetensors`` (its tensors)."""

import json
from pathlib import Path

import numpy as np

from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import read_json, read_safetensors

VERSION = 1


def write(sae: SparseAutoencoder, folder: Path) -> None:
    """Write any dictionary; :func:`read` is the inverse to the bit."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config, tensors = sae.to_tensors()
    save_file({name: np.array(value, order="C") for name, value in tensors.items()}, folder / "sae.safetensors")
    text = json.dumps({"format": "universality", "version": VERSION, **config}, indent=2, sort_keys=True)
    (folder / "sae.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> SparseAutoencoder:
    """Read what :func:`write` wrote."""
    tensors = {name: value.numpy() for name, value in read_safetensors(folder / "sae.safetensors").items()}
    return SparseAutoencoder.from_tensors(read_json(folder / "sae.json"), tensors)
