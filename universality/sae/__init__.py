"""Sparse autoencoders: the contract, training, evaluation, reading and writing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universality.sae.base import SparseAutoencoder
    from universality.sae.formats import load_sae, save_sae

_HOMES = {
    "SparseAutoencoder": "universality.sae.base",
    "load_sae": "universality.sae.formats",
    "save_sae": "universality.sae.formats",
}
__all__ = ["SparseAutoencoder", "load_sae", "save_sae"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
