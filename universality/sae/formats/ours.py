"""Our own format: ``sae.json`` (the canonical form's choices) and ``sae.safetensors`` (its tensors)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import read_json, read_safetensors

VERSION = 1


def save_sae(sae: SparseAutoencoder, path: str | Path) -> None:
    """Write a dictionary into a folder that :func:`load_sae` reads; inverse to the bit.

    Args:
        sae: any dictionary.
        path: folder, made where it does not exist; files of the same name are replaced.
    """
    from safetensors.numpy import save_file

    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    config, tensors = sae.to_tensors()
    save_file(
        {name: np.array(value, order="C") for name, value in tensors.items()}, folder / "sae.safetensors"
    )
    text = json.dumps({"format": "universality", "version": VERSION, **config}, indent=2, sort_keys=True)
    (folder / "sae.json").write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> SparseAutoencoder:
    """Read what :func:`save_sae` wrote."""
    tensors = {name: value.numpy() for name, value in read_safetensors(folder / "sae.safetensors").items()}
    return SparseAutoencoder.from_tensors(read_json(folder / "sae.json"), tensors)
