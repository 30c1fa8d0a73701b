"""Reading activations out of a bridge, and what they do to its predictions."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.exceptions import StopAtLayerException

from universality.errors import InputError, refusal
from universality.transformers import twin as twins

USABLE = "Take a residual, attention-output, hook_z or MLP hook point."
#: Contexts and tokens whose shapes tell rows of tokens from attention between them: no usual number of heads.
_FEW = (2, 7)


def harvest(
    model: TransformerBridge,
    contexts: np.ndarray,
    hook_points: Sequence[str],
    *,
    batch_contexts: int = 32,
    device: str | torch.device | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Run the model over ``contexts`` and yield the activations at some hook points.

    A forward pass ends at the last hook point that was asked for: later blocks and the unembedding
    never run. Models of ``boot_native`` are read through their hookless twin where it has the site.

    Args:
        model: any bridge.
        contexts: int ``(n_contexts, n_ctx)`` token ids.
        hook_points: names such as ``"blocks.0.mlp.hook_post"``.
        batch_contexts: contexts per forward pass.
        device: where the tokens go; default where the model lies.

    Yields:
        In the order of the contexts, ``{hook_point: float32 (batch, n_ctx, d_in)}``; head axes are
        flattened, heads first.

    Raises:
        InputError: a hook point that the model does not have, or that does not fire, or whose
            activations have no position axis; the message names the nearest ones.
    """
    names = list(dict.fromkeys(hook_points))
    check_hook_points(model, names)
    device = device or next(iter(model.parameters())).device
    read = _reader(model, names)
    for start in range(0, len(contexts), batch_contexts):
        tokens = torch.from_numpy(np.asarray(contexts[start : start + batch_contexts], dtype=np.int64)).to(device)
        values = read(tokens)
        yield {name: _as_rows(model, name, values.get(name), tokens).float().cpu().numpy() for name in names}


def check_hook_points(model: TransformerBridge, names: Sequence[str]) -> None:
    """Refuse names that are no hook points of ``model``, with the nearest ones that can be read.

    Neurons of experts too: a bridge has what goes into and out of all experts under the names of neurons.
    """
    points = model.hook_dict
    for name in names:
        if name not in points:
            raise _refused(model, name, "one of its hook points", "an unknown name")
        layer, _, site = name.partition(".mlp.")
        if site in ("hook_pre", "hook_post") and points[name] in (
            points.get(f"{layer}.mlp.hook_in"), points.get(f"{layer}.mlp.hook_out")
        ):  # fmt: skip
            constraint, got = "one of neurons that all tokens share", "a layer of experts, without neurons of its own"
            raise refusal(f"hook_point {name!r}", "this model", constraint, got, f"Take {layer}.hook_mlp_out.")


def hook_widths(model: TransformerBridge) -> dict[str, int]:
    """Width ``d_in`` of every hook point that :func:`harvest` can read, found by running a few tokens."""
    tokens = torch.zeros(_FEW, dtype=torch.int64, device=next(iter(model.parameters())).device)
    widths: dict[str, int] = {}

    def keep(name: str):
        def hook(value: object, hook: object) -> None:
            if isinstance(value, torch.Tensor) and _is_rows(value, tokens):
                widths[name] = value.flatten(2).shape[-1]

        return hook

    with ExitStack() as stack, torch.no_grad():
        for name in model.hook_dict:
            with suppress(ValueError, InputError):  # switched off, or of experts
                check_hook_points(model, [name])
                stack.enter_context(model.hooks(fwd_hooks=[(name, keep(name))]))
        model.forward(tokens, return_type=None)
    return widths


def _refused(model: TransformerBridge, name: str, constraint: str, got: str) -> InputError:
    near = difflib.get_close_matches(name, hook_widths(model), n=3, cutoff=0.4)
    remedy = f"Did you mean {' or '.join(near)}?" if near else USABLE
    return refusal(f"hook_point {name!r}", "this model", constraint, got, remedy)


def check_editable(model: TransformerBridge, hook_point: str) -> None:
    """Refuse a hook point that ``model`` does not have, or whose edit would not be what it looks like."""
    check_hook_points(model, [hook_point])
    if hook_point.endswith("hook_resid_mid"):
        # TransformerLens edits what the MLP reads there, not the stream itself.
        remedy = "Take hook_attn_out or hook_resid_post."
        raise refusal("hook_point", hook_point, "one whose edit reaches the stream", "not", remedy)


def hook_dimension(model: TransformerBridge, hook_point: str) -> int:
    """Width ``d_in`` of the activations at a hook point, found by running two tokens."""
    check_hook_points(model, [hook_point])
    tokens = torch.zeros((1, 2), dtype=torch.int64, device=next(iter(model.parameters())).device)
    value = _reader(model, [hook_point])(tokens).get(hook_point)
    return int(_as_rows(model, hook_point, value, tokens).shape[-1])


def _reader(model: TransformerBridge, names: list[str]) -> Callable[[torch.Tensor], dict[str, torch.Tensor]]:
    """What maps tokens to the raw values at the hook points."""
    twin = twins.twin_of(model)
    sites = {} if twin is None else {name: twins.site_of(twin, name) for name in names}
    of_twin = {name: site for name, site in sites.items() if site is not None}
    if twin is not None and len(of_twin) == len(names):
        return lambda tokens: twins.capture(twin, tokens, of_twin)
    return lambda tokens: _capture(model, tokens, names)


def _capture(model: TransformerBridge, tokens: torch.Tensor, names: list[str]) -> dict[str, torch.Tensor]:
    """Values at hook points through the bridge itself; those that never fire are absent."""
    captured: dict[str, torch.Tensor] = {}

    def keep(name: str):
        def hook(value: torch.Tensor, hook: object) -> None:
            captured[name] = value.detach()
            if len(captured) == len(names):
                # The bridge's forward treats this as "layer reached" and cleans up after itself.
                raise StopAtLayerException(value)

        return hook

    with torch.no_grad(), hooked(model, [(name, keep(name)) for name in names]):
        model.forward(tokens, return_type=None)
    return captured


@contextmanager
def hooked(model: TransformerBridge, hooks: list[tuple[str, Callable]]) -> Iterator[None]:
    """The model with hooks, in their order; a hook that is switched off is refused."""
    with ExitStack() as stack:
        try:
            stack.enter_context(model.hooks(fwd_hooks=hooks))
        except ValueError as error:  # TransformerLens's word for a hook that is switched off
            names = ", ".join(name for name, _ in hooks)
            raise _refused(model, names, "one that fires", str(error)) from error
        yield


def _is_rows(value: torch.Tensor, tokens: torch.Tensor) -> bool:
    return value.shape[:2] == tokens.shape and value.ndim in (3, 4)


def _as_rows(model: TransformerBridge, name: str, value: torch.Tensor | None, tokens: torch.Tensor) -> torch.Tensor:
    """Flatten ``(batch, n_ctx, …)`` to ``(batch, n_ctx, d_in)`` or say why that cannot be."""
    if value is None or not _is_rows(value, tokens):
        got = "a hook that does not fire" if value is None else f"shape {tuple(value.shape)}"
        raise _refused(model, name, "one whose activations are (batch, n_ctx, d_in)", got)
    return value.flatten(2)


def logit_weights(model: TransformerBridge, hook_point: str) -> np.ndarray:
    """The linear map from activations at a hook point to the logits, along the direct path.

    ``mlp.hook_post: W_out @ W_U``, ``attn.hook_z: W_O @ W_U``, whatever is added to the residual
    stream: ``W_U``. Where a block normalises what it adds (Gemma 2, OLMo 2), by the weights of that
    norm; its scale, later blocks and the last normalisation (its centring, scale and weights) are
    ignored, so columns rank tokens rather than give logits.

    Returns:
        float32 ``(d_in, d_vocab)``.

    Raises:
        InputError: no linear map leads from there to the logits (queries, patterns, pre-activations).

    Source: Elhage et al. 2021 ("A Mathematical Framework"), direct path; Bricken et al. 2023.
    """
    check_hook_points(model, [hook_point])
    unembedding = model.W_U.detach().float()
    layer, _, site = hook_point.removeprefix("blocks.").partition(".")
    if not hook_point.startswith("blocks."):
        direct = {"hook_embed", "hook_pos_embed", "embed.hook_out", "pos_embed.hook_out"}
        after = {"ln_final.hook_out", "unembed.hook_in", "ln_final.hook_in"}
        mapped = unembedding if hook_point in direct | after else None
    else:
        block, part = model.blocks[int(layer)], site.partition(".")[0]
        added = _normed(block, {"attn": "ln1_post", "mlp": "ln2_post"}.get(part), unembedding)
        stream = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_in", "hook_out")
        parts = ("hook_mlp_out", "mlp.hook_out", "hook_attn_out", "attn.hook_out", "mlp.out.hook_out")
        if site in ("mlp.hook_post", "mlp.out.hook_in"):
            mapped = _product(getattr(block.mlp, "W_out", None), added)
        elif site in ("attn.hook_z", "attn.o.hook_in"):
            mapped = _product(getattr(block.attn, "W_O", None), added)
        else:
            mapped = added if site in stream + parts else None
    if mapped is None:
        legal = "one with a linear path to the logits"
        remedy = "Take hook_mlp_out, hook_attn_out or a residual hook point; mlp.hook_post of layers without experts."
        raise refusal(f"hook_point {hook_point!r}", "logit weights", legal, "one without", remedy)
    return mapped.cpu().numpy()


def _normed(block: torch.nn.Module, name: str | None, unembedding: torch.Tensor) -> torch.Tensor:
    """``unembedding`` behind the weights of the norm of that name, where the block has one.

    Norms multiply by their weights or by one more: what they make of a row of mean 0 and square 1 tells.
    """
    norm = getattr(block, name, None) if name else None
    if norm is None:
        return unembedding
    weight = norm.original_component.weight
    signs = torch.ones_like(weight)
    signs[1::2] = -1
    with torch.no_grad():
        factor = (norm.original_component(signs) - norm.original_component(-signs)) * signs / 2
    return factor.float()[:, None] * unembedding


def _product(weights: torch.Tensor | None, unembedding: torch.Tensor) -> torch.Tensor | None:
    """Output weights (…, d_model) times (d_model, d_vocab); None where a layer has none of its own: experts, say."""
    if weights is None or weights.shape[-1] != unembedding.shape[0]:
        return None
    return weights.detach().float().reshape(-1, unembedding.shape[0]) @ unembedding


class SplicedLosses(NamedTuple):
    """What splicing in a reconstruction costs, in nats per predicted token.

    Attributes:
        ce_clean: cross-entropy of the model as it is.
        ce_spliced: the same with the reconstruction in place of the activation.
        ce_zero: the same with zeros in its place.
        kl_spliced: Kullback–Leibler divergence of the spliced predictions from the clean ones, at least 0.
        kl_zero: the same of the predictions with zeros.
    """

    ce_clean: float
    ce_spliced: float
    ce_zero: float
    kl_spliced: float
    kl_zero: float

    @property
    def ce_recovered(self) -> float:
        """Share of the loss that zeros cost and the reconstruction wins back; 0 where they cost nothing."""
        if self.ce_zero <= self.ce_clean:
            return 0.0
        return (self.ce_zero - self.ce_spliced) / (self.ce_zero - self.ce_clean)

    @property
    def kl_recovered(self) -> float:
        """``1 - kl_spliced / kl_zero``: unlike the loss, it cannot be won back by other right guesses."""
        return 1.0 - self.kl_spliced / self.kl_zero if self.kl_zero > 0 else 0.0


def spliced_losses(
    model: TransformerBridge,
    contexts: np.ndarray,
    hook_point: str,
    reconstruct: Callable[[torch.Tensor], torch.Tensor],
    *,
    replaced: np.ndarray | None = None,
    batch_contexts: int = 16,
) -> SplicedLosses:
    """What the model predicts as it is, with reconstructed activations, and with zeros instead.

    Args:
        model: any bridge.
        contexts: int ``(n_contexts, n_ctx)`` token ids.
        hook_point: where activations are replaced.
        reconstruct: maps float32 ``(n, d_in)`` to the same shape, for example ``sae.reconstruct``.
        replaced: bool ``(n_contexts, n_ctx)``, the positions to replace; default all but the first of
            a context, which is no row of any dictionary.
        batch_contexts: contexts per forward pass.

    Returns:
        Cross-entropies and divergences, means over all predicted tokens.

    Raises:
        InputError: no contexts, or a hook point that is unknown, does not fire or cannot be edited.

    Source: the splicing of Bricken et al. 2023 and Gao et al. 2024.
    """
    check_editable(model, hook_point)
    if len(contexts) == 0:
        raise refusal("number", "contexts", "at least 1", 0, "Pass some evaluation contexts.")
    device = next(iter(model.parameters())).device
    if replaced is None:
        replaced = np.ones(np.shape(contexts), dtype=bool)
        replaced[:, 0] = False
    totals = np.zeros(5)
    for start in range(0, len(contexts), batch_contexts):
        here = slice(start, start + batch_contexts)
        tokens = torch.from_numpy(np.asarray(contexts[here], dtype=np.int64)).to(device)
        rows = torch.from_numpy(np.flatnonzero(replaced[here])).to(device)
        clean = None
        for i, change in enumerate((None, reconstruct, torch.zeros_like)):
            hooks = [] if change is None else [(hook_point, splice(change, rows))]
            with torch.no_grad(), hooked(model, hooks):
                logits = model.forward(tokens, return_type="logits")[:, :-1].flatten(0, 1)
                predicted = functional.log_softmax(logits.float(), dim=-1)
                totals[i] += float(functional.nll_loss(predicted, tokens[:, 1:].flatten())) * len(tokens)
                if clean is None:
                    clean = predicted
                else:
                    away = functional.kl_div(predicted, clean, log_target=True, reduction="batchmean")
                    totals[i + 2] += float(away) * len(tokens)
    return SplicedLosses(*(float(total) for total in totals / len(contexts)))


def splice(change: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> Callable[..., torch.Tensor]:
    """A hook that replaces some rows of a batch's activations.

    Args:
        change: maps float32 ``(n, d_in)`` to the same shape, on any device.
        rows: int64 ``(n,)``, numbers of rows as contexts and positions are counted through.

    Returns:
        A hook of values ``(batch, n_ctx, …)``; the changed values are a copy of their kind and on their device.
    """

    def hook(value: torch.Tensor, hook: object) -> torch.Tensor:
        flat = value.flatten(0, 1)
        chosen = flat.index_select(0, rows)
        changed = change(chosen.flatten(1).float()).reshape(chosen.shape).to(value)
        return flat.index_copy(0, rows, changed).view_as(value)

    return hook
