"""Every trained architecture as a plain dense dictionary under autograd: the papers' formulas, torch's Adam.

Nothing is shared with the code under test.
"""

import numpy as np
import torch

LEAST = {"gated": ("r_mag", "b_mag"), "jumprelu": ("log_threshold",)}


def dense(name, w, x, own, weight=1.0):
    """Activations and loss of a batch; thresholds by their stated gradients. ``weight`` is the penalty's warm-up."""
    seen = x if name == "relu" else x - w["b_dec"]
    pre = seen @ w["W_enc_rows"].T + w["b_enc"]
    n = len(x)
    if name in ("topk", "batch_topk", "matryoshka"):
        return _top(name, w, x, pre, own)
    if name in ("relu", "relu_2023"):
        acts = pre.clamp_min(0)
        norms = w["W_dec"].pow(2).sum(1).sqrt() if name == "relu" else 1.0
        penalty = own["l1_coefficient"] * weight * (acts * norms).sum()
        return acts, (_error(w, x, acts) + penalty) / n
    if name == "gated":
        acts = (pre > 0) * ((pre - w["b_enc"]) * w["r_mag"].exp() + w["b_mag"]).clamp_min(0)
        frozen = {key: value.detach() for key, value in w.items()}
        by_gate = _error(frozen, x, pre.clamp_min(0))
        penalty = own["l1_coefficient"] * weight * pre.clamp_min(0).sum()
        return acts, (_error(w, x, acts) + penalty + by_gate) / n
    threshold, bandwidth = w["log_threshold"].exp(), own["bandwidth"]
    fires = (pre > threshold).to(pre)
    near = ((pre - threshold).abs() < bandwidth / 2).to(pre).detach() / bandwidth
    # A term of value 0 whose derivative is the straight-through one.
    moving = -near * (threshold - threshold.detach())
    acts = pre * fires + threshold.detach() * moving
    penalty = ((fires + moving).sum() / n / own["target_l0"] - 1).pow(2)
    return acts, _error(w, x, acts) / n + weight * penalty


def _top(name, w, x, pre, own):
    if name == "topk":
        cut = pre.detach().sort(dim=1).values[:, -own["k"]][:, None]
    else:
        cut = pre.detach().flatten().sort().values[-own["k"] * len(x)]
    acts = pre * (pre >= cut) * (pre > 0)
    sizes = own["matryoshka_prefixes"] if name == "matryoshka" else (len(w["W_dec"]),)
    spread = (x - x.mean(0)).pow(2).sum()
    errors = [_error({**w, "W_dec": w["W_dec"][:p]}, x, acts[:, :p]) / spread for p in sizes]
    return acts, sum(errors) / len(errors)


def _error(w, x, acts):
    return (x - w["b_dec"] - acts @ w["W_dec"]).pow(2).sum()


def train_dense(name, rows, own, *, d_sae, lr, steps, batch, seed):
    """Train on rows (n, d_in); returns fvu, l0 and the decoder's unit rows (d_sae, d_in)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(rows) * _scale(name, rows)
    w = _start(name, x, own, d_sae, generator)
    betas = (0.0, 0.999) if name in ("gated", "jumprelu") else (0.9, 0.999)
    adam = torch.optim.Adam(list(w.values()), lr=lr, betas=betas, eps=1e-8)
    warm, lowest = own.get("sparsity_warmup", 0.05) * steps, []
    for step in range(steps):
        adam.param_groups[0]["lr"] = lr * min(1.0, (step + 1) / (0.05 * steps), (steps - step) / (0.2 * steps))
        at = x[torch.randint(0, len(x), (batch,), generator=generator)]
        acts, loss = dense(name, w, at, own, weight=min(1.0, (step + 1) / warm))
        adam.zero_grad()
        loss.backward()
        if name == "relu":
            torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        adam.step()
        lowest.append(float(acts.detach()[acts > 0].min()) if bool((acts > 0).any()) else 0.0)
        if name != "relu":
            with torch.no_grad():
                w["W_dec"] /= w["W_dec"].norm(dim=1, keepdim=True)
    return _quality(name, w, x, own, np.mean(lowest[-100:]))


def _scale(name, rows):
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    if name in ("gated", "jumprelu"):
        return float(1 / np.sqrt((norms**2).mean()))
    return float(np.sqrt(rows.shape[1]) / norms.mean())


def _start(name, x, own, d_sae, generator):
    directions = torch.randn(d_sae, x.shape[1], generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    size = 0.1 if name == "relu" else 1.0
    centre = torch.zeros(x.shape[1]) if name == "relu" else x.mean(0)
    held = {"W_enc_rows": size * directions, "W_dec": size * directions}
    held |= {"b_enc": torch.zeros(d_sae), "b_dec": centre}
    held |= {extra: torch.zeros(d_sae) for extra in LEAST.get(name, ())}
    if name == "jumprelu":
        held["log_threshold"] += float(np.log(own["bandwidth"]))
    return {key: value.clone().requires_grad_() for key, value in held.items()}


def _quality(name, w, x, own, threshold):
    with torch.no_grad():
        if name in ("batch_topk", "matryoshka"):
            pre = (x - w["b_dec"]) @ w["W_enc_rows"].T + w["b_enc"]
            acts = pre * (pre > threshold)
        else:
            acts, _ = dense(name, w, x, own)
        fvu = float(_error(w, x, acts) / (x - x.mean(0)).pow(2).sum())
        unit = w["W_dec"] / w["W_dec"].norm(dim=1, keepdim=True)
    return fvu, float((acts > 0).sum()) / len(x), unit.numpy()
