"""From the last block to the logits: one normalisation and one product, so what a change does there needs no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge

from universality.transformers.harvest import check_hook_points, splice
from universality.transformers.hook_points import AFTER_MLP

#: Largest difference from the model's own logits, relative to their spread, with which a readout is believed.
_TOLERANCE = 1e-3
#: Contexts and tokens on which it is tried.
_TRIED = 2, 12


@dataclass(frozen=True, eq=False)
class Readout:
    """The way from a hook point of the last block to the logits, where it is linear but for one normalisation.

    ``logits = norm(stream) @ weights + bias``, ``norm(x) = (x - mean) / sqrt(mean((x - mean)²) + eps)``.

    Attributes:
        to_stream: float32 (d_in, d_model), what a change at the hook point adds to the last stream.
        weights: float32 (d_model, d_vocab), the unembedding with the normalisation's weights folded in.
        bias: float32 (d_vocab,), likewise.
        centres: whether the mean is taken off (LayerNorm; not RMS).
        normalises: whether the stream is divided by its root mean square.
        eps: added to the mean square.
        stream: hook point whose value is the last stream.

    Source: Elhage et al. 2021 ("A Mathematical Framework"), for the path; the exact change is ours.
    """

    to_stream: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    centres: bool
    normalises: bool
    eps: float
    stream: str

    def centred(self, x: np.ndarray) -> np.ndarray:
        """x (n, d_model) float32 without its mean, where the normalisation takes it off."""
        return x - x.mean(axis=1, keepdims=True) if self.centres else x

    def variance(self, centred: np.ndarray) -> np.ndarray:
        """(n,) float64 mean squares of centred rows with ``eps`` added; ones where nothing is normalised."""
        if not self.normalises:
            return np.ones(len(centred))
        return np.einsum("ij,ij->i", centred, centred, dtype=np.float64) / centred.shape[1] + self.eps

    def logits(self, stream: np.ndarray) -> np.ndarray:
        """(n, d_vocab) float32 logits of rows (n, d_model) of the last stream."""
        centred = self.centred(stream)
        scale = np.sqrt(self.variance(centred)).astype(np.float32)
        return centred @ self.weights / scale[:, None] + self.bias


def readout_of(model: TransformerBridge, hook_point: str) -> Readout | None:
    """The readout from a hook point, or None where the way to the logits is another.

    It is None before the last block, before its MLP, and for any model whose logits under a random change at the hook
    point are not those that the readout gives (soft caps, norms after the MLP, experts): this is tried, not looked up.
    So is whether a normalisation multiplies by its weights or, as Gemma's, by one more than these.

    Raises:
        InputError: a hook point that the model does not have.
    """
    check_hook_points(model, [hook_point])
    last = f"blocks.{model.cfg.n_layers - 1}."
    if not hook_point.startswith(last):
        return None
    to_stream = _to_stream(model, hook_point.removeprefix(last))
    if to_stream is None:
        return None
    kind = str(model.cfg.normalization_type or "")
    scale, shift = (getattr(model.ln_final, name, None) for name in ("weight", "bias"))
    unembedding = model.W_U.detach().double().cpu()
    bias = getattr(model, "b_U", None)
    bias = torch.zeros(unembedding.shape[1]).to(unembedding) if bias is None else bias.detach().double().cpu()
    if isinstance(shift, torch.Tensor):
        bias = bias + shift.detach().double().cpu() @ unembedding
    scale = scale.detach().double().cpu() if isinstance(scale, torch.Tensor) else torch.ones(()).double()
    rms = kind.startswith("RMS") or bool(getattr(model.cfg, "final_rms", False))
    for factors in (scale, 1 + scale):
        readout = Readout(
            to_stream=to_stream.detach().float().cpu().numpy(),
            weights=(factors[..., None] * unembedding).float().numpy(),
            bias=bias.float().numpy(),
            centres=bool(kind) and not rms,
            normalises=bool(kind),
            eps=float(getattr(model.cfg, "eps", 0.0)),
            stream=f"{last}hook_resid_post",
        )
        if _holds(model, readout, hook_point):
            return readout
    return None


def _to_stream(model: TransformerBridge, site: str) -> torch.Tensor | None:
    block = model.blocks[model.cfg.n_layers - 1]
    if site in ("mlp.hook_post", "mlp.out.hook_in"):
        weights = getattr(getattr(block, "mlp", None), "W_out", None)
        return weights if weights is not None and weights.ndim == 2 else None
    after = set(AFTER_MLP)
    if model.cfg.attn_only:
        if site in ("attn.hook_z", "attn.o.hook_in"):
            return block.attn.W_O.reshape(-1, model.cfg.d_model)
        after |= {"hook_attn_out", "attn.hook_out"}
    return torch.eye(model.cfg.d_model) if site in after else None


def _holds(model: TransformerBridge, readout: Readout, hook_point: str) -> bool:
    """Whether the model agrees, with a random change of every row at the hook point."""
    if readout.stream not in model.hook_dict:
        return False
    device = next(iter(model.parameters())).device
    generator = torch.Generator().manual_seed(0)
    shape = (_TRIED[0], min(_TRIED[1], model.cfg.n_ctx))
    tokens = torch.randint(model.cfg.d_vocab, shape, generator=generator).to(device)
    streams: list[torch.Tensor] = []

    def keep(value: torch.Tensor, hook: object) -> None:
        streams.append(value.detach().float().flatten(0, 1).cpu())

    with torch.no_grad(), model.hooks(fwd_hooks=[(readout.stream, keep)]):
        model.forward(tokens, return_type="logits")
    size = float(streams[0].norm(dim=1).mean())
    change = torch.randn((tokens.numel(), readout.to_stream.shape[0]), generator=generator)
    moved = change @ torch.from_numpy(readout.to_stream)
    change = change * (0.3 * size / float(moved.norm(dim=1).mean().clamp_min(1e-30)))
    everywhere = torch.arange(tokens.numel(), device=device)
    push = splice(lambda x: x + change.to(x), everywhere)
    with torch.no_grad(), model.hooks(fwd_hooks=[(hook_point, push)]):
        theirs = model.forward(tokens, return_type="logits").float().flatten(0, 1).cpu().numpy()
    ours = readout.logits((streams[0] + change @ torch.from_numpy(readout.to_stream)).numpy())
    spread = float(theirs.std())
    return bool(np.isfinite(theirs).all() and np.abs(ours - theirs).max() <= _TOLERANCE * spread)
