"""Quality at equal tokens: our trainer beside two public ones on the same rows, in the same batches.

``python tests/benchmarks/quality.py --peers PYTHON [--rows planted|FILE.npy] [--steps 300 1000] [--lr 0.003]`` prints a
Markdown table. PYTHON is the interpreter of an environment with ``eai-sparsify`` and ``dictionary-learning`` (and no
torchvision); without it only ours are run. The public trainers' own classes take the steps; the loop, the scale of the
rows and Adam's schedule (a linear rise over a twentieth of the steps, a linear fall over the last fifth; sparsify's own
falls from the rise on) are this file's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

Reconstruct = Callable[[torch.Tensor], torch.Tensor]
TEST_ROWS = 4000


class Rows:
    """Rows to train on, scaled to a mean norm of sqrt(d_in), and rows to judge on."""

    def __init__(self, folder: str, steps: int, batch: int):
        self.train = torch.from_numpy(np.load(f"{folder}/train.npy"))
        self.test = torch.from_numpy(np.load(f"{folder}/test.npy"))
        self.directions = Path(folder, "directions.npy")
        self.steps, self.batch = steps, batch
        self.scale = self.train.shape[1] ** 0.5 / float(self.train[:8192].norm(dim=1).mean())

    def batches(self) -> Iterator[torch.Tensor]:
        generator, at, order = torch.Generator().manual_seed(5), len(self.train), torch.empty(0, dtype=torch.long)
        for _ in range(self.steps):
            if at + self.batch > len(self.train):
                order, at = torch.randperm(len(self.train), generator=generator), 0
            yield self.scale * self.train[order[at : at + self.batch]]
            at += self.batch

    def judged(self, reconstruct: Reconstruct, decoder: torch.Tensor) -> dict[str, float]:
        """Held-out fvu, and where directions were planted the mean over them of the largest cosine to a decoder row."""
        with torch.no_grad():
            left = reconstruct(self.scale * self.test) / self.scale - self.test
        spread = (self.test - self.test.mean(0)).square().sum()
        out = {"fvu": float(left.square().sum() / spread)}
        if self.directions.exists():
            units = torch.nn.functional.normalize(decoder.detach().float(), dim=1)
            planted = torch.from_numpy(np.load(self.directions)).float()
            out["recovery"] = float((planted @ units.T).amax(1).mean())
        return out


def sparsify(rows: Rows, d_sae: int, k: int, lr: float) -> dict[str, float]:
    from sparsify.config import SparseCoderConfig
    from sparsify.sparse_coder import SparseCoder

    coder = SparseCoder(rows.train.shape[1], SparseCoderConfig(num_latents=d_sae, k=k), dtype=torch.float32)
    coder.b_dec.data = rows.scale * rows.train[:8192].mean(0)
    optimizer, rise = torch.optim.Adam(coder.parameters(), lr=lr), max(1, rows.steps // 20)
    for i, x in enumerate(rows.batches()):
        for group in optimizer.param_groups:
            group["lr"] = lr * min((i + 1) / rise, (rows.steps - i) / (rows.steps - rise))
        coder(x).fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimizer.step()
        optimizer.zero_grad()
        coder.set_decoder_norm_to_unit_norm()
    return rows.judged(lambda x: coder(x).sae_out.float(), coder.W_dec)


def dictionary_learning(rows: Rows, d_sae: int, k: int, lr: float) -> dict[str, float]:
    from dictionary_learning.trainers.top_k import TopKTrainer

    rise, fall = max(1, rows.steps // 20), int(0.8 * rows.steps)
    shape = {"activation_dim": rows.train.shape[1], "dict_size": d_sae, "k": k, "layer": 0, "lm_name": "rows"}
    schedule = {"steps": rows.steps, "warmup_steps": rise, "decay_start": fall, "lr": lr}
    trainer = TopKTrainer(**shape, **schedule, device="cpu", seed=1)
    for i, x in enumerate(rows.batches()):
        trainer.update(i, x)
    return rows.judged(trainer.ae, trainer.ae.decoder.weight.T)


def ours(rows: Rows, d_sae: int, k: int, lr: float, **settings: object) -> dict[str, float]:
    from universality.sae.sae_config import SAETrainingConfig
    from universality.sae.training import train_sae

    size = {"d_sae": d_sae, "k": k, "tokens": rows.steps * rows.batch, "batch_rows": rows.batch, "lr": lr}
    sae = train_sae(rows.train.numpy(), SAETrainingConfig(**size, **settings), sae_seed=1).sae
    return rows.judged(lambda x: rows.scale * sae.reconstruct(x / rows.scale), torch.as_tensor(sae.W_dec))


def papers(rows: Rows, d_sae: int, k: int, lr: float) -> dict[str, float]:
    return ours(rows, d_sae, k, lr, encoder_norm=1.0, loss="fvu")


TRAINERS = {"ours": ours, "ours, encoder_norm 1, loss fvu": papers}
PEERS = {"sparsify": sparsify, "dictionary_learning": dictionary_learning}


def prepare(folder: str, rows: str) -> None:
    """Rows in files, for every process."""
    if rows == "planted":
        sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
        from dense_topk import planted_directions, planted_rows

        every = planted_rows(204_000, 64, 384, 6, seed=3)
        np.save(f"{folder}/directions.npy", planted_directions(64, 384, seed=3))
    else:
        every = np.load(rows).astype(np.float32)
    np.save(f"{folder}/train.npy", every[:-TEST_ROWS])
    np.save(f"{folder}/test.npy", every[-TEST_ROWS:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers")
    parser.add_argument("--rows", default="planted")
    parser.add_argument("--steps", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--lr", type=float, nargs="+", default=[0.001, 0.003])
    for name, usual in (("batch", 256), ("d-sae", 512), ("k", 8)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--one", nargs=4, metavar=("FOLDER", "TRAINER", "STEPS", "LR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        folder, name, steps, lr = args.one
        torch.manual_seed(1)
        torch.set_flush_denormal(True)
        figures = {**TRAINERS, **PEERS}[name](Rows(folder, int(steps), args.batch), args.d_sae, args.k, float(lr))
        sys.stdout.write(json.dumps(figures))
        return
    names = [*TRAINERS, *(PEERS if args.peers else ())]
    sys.stdout.write("| steps | lr | trainer | held-out fvu | recovery | seconds |\n|---|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, args.rows)
        for steps, lr, name in ((s, r, n) for s in args.steps for r in args.lr for n in names):
            own = ["--one", folder, name, str(steps), str(lr), "--batch", str(args.batch)]
            python = args.peers if name in PEERS else sys.executable
            begun = time.perf_counter()
            done = subprocess.run(
                [python, __file__, *own, "--d-sae", str(args.d_sae), "--k", str(args.k)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "SPARSIFY_DISABLE_TRITON": "1"},
            )
            figures = json.loads(done.stdout.splitlines()[-1])
            recovery = f"{figures['recovery']:.3f}" if "recovery" in figures else "–"
            wall = time.perf_counter() - begun
            sys.stdout.write(f"| {steps:,} | {lr:g} | {name} | {figures['fvu']:.4f} | {recovery} | {wall:.0f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
