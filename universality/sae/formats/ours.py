"""Our own format: ``sae.json`` (the canonical form's choices) and ``sae.safetensors`` (its tensors)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from universality.sae.base import SparseAutoencoder
from universality.sae.formats.files import check_sizes, read_json, read_safetensors

VERSION = 1


def write(sae: SparseAutoencoder, folder: Path) -> None:
    """Write any dictionary; :func:`read` is the inverse to the bit."""
    from safetensors.numpy import save_file

    config, tensors = sae.to_tensors()
    text = as_json({"format": "universality", "version": VERSION, **config}, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.array(value, order="C") for name, value in tensors.items()}, folder / "sae.safetensors")
    (folder / "sae.json").write_text(text, encoding="utf-8")


def as_json(config: dict[str, Any], **options: Any) -> str:
    """A config as JSON; numbers of numpy are numbers."""
    return json.dumps(config, indent=2, default=lambda value: value.item(), **options) + "\n"


def read(folder: Path) -> SparseAutoencoder:
    """Read what :func:`write` wrote.

    Raises:
        InputError: a later version, or what :func:`SparseAutoencoder.from_tensors` refuses.
    """
    config, tensors = read_json(folder / "sae.json"), read_safetensors(folder / "sae.safetensors")
    version = config.size("version")
    if version is not None and version > VERSION:
        raise config.refusal("version", f"at most {VERSION}: a later program wrote it", version)
    config.inner("metadata")
    sae = SparseAutoencoder.from_tensors(
        config.as_dict()
        | {"subtract_b_dec": config.flag("subtract_b_dec", True), "normalisation": config.text("normalisation", "none")}
        | ({"k": config.size("k")} if "k" in config else {}),
        {name: value.numpy() for name, value in tensors.every().items()},
    )
    return check_sizes(sae, config, {"d_in": sae.d_in, "d_sae": sae.d_sae})
