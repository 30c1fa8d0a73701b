"""The transformer of a run, whether its weights lie in the store or are only named there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage import Artifact


def open_transformer(artifact: Artifact, device: str = "cpu") -> Any:
    """The transformer bridge of a ``transformer`` or ``pretrained`` artifact, in evaluation mode; imports torch.

    Raises:
        HubError: a public model that cannot be opened from where the run had it, or is not the one that the run read.
    """
    if artifact.has("pretrained"):
        from results.public.hub import load_pretrained

        spec = artifact.json("pretrained")
        pinned = {name: spec[name] for name in ("revision", "untrained_seed", "digest", "dtype") if name in spec}
        model = load_pretrained(spec["name"], device=device, **pinned)
        if spec.get("shuffle_seed") is not None:
            from universality.transformers.native import shuffle_weights

            shuffle_weights(model, spec["shuffle_seed"])
        return model
    from universality.transformers.native import restored

    return restored(artifact.json("config"), artifact.tensors("weights"), device=device)
