"""Small folders of what people bring: models, dictionaries, text and activations, where the shipped examples look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from universality.planted import PlantConfig, plant

ANIMALS, PLACES = ("cat", "dog", "owl", "fox"), ("mat", "road", "tree")
WORLD = PlantConfig(  # pyright: ignore[reportCallIssue]
    n_models=2, n_rows=12_000, n_documents=150, n_domains=3, d_vocab=200, n_universal=25, n_shared=0, n_specific=15,
    n_unstable=2, n_decodable=2, n_split=1, n_domain=2, n_token=3, n_position=1, min_rate=0.01, n_untrained=2,
)  # fmt: skip


def write_models(root: Path, hook_points: int = 2) -> None:
    """``models/a`` and ``models/b`` with their tokenizer, ``saes/a`` and ``saes/b``, and ``texts`` of two labels."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from pipelines.tokens.tokenizer import train_tokenizer
    from pipelines.tokens.tokenizer_config import TrainedTokenizer
    from universality.sae import SparseAutoencoder, save_sae
    from universality.sae.activations import TopK
    from universality.transformers.tokenizer import load_tokenizer

    texts = {
        "stories": [f"The {a} number {n} sat on the {p}, then it went home." for n in range(400) for a in ANIMALS
                    for p in PLACES],
        "code": [f"def {a}_{p}_{n}(x):\n    return x + {n}" for n in range(400) for a in ANIMALS for p in PLACES],
    }  # fmt: skip
    for label, lines in texts.items():
        (root / "texts" / label).mkdir(parents=True)
        for start in range(0, len(lines), 120):
            place = root / "texts" / label / f"{start // 120:02}.txt"
            place.write_text("\n".join(lines[start : start + 120]), encoding="utf-8")
    raw = train_tokenizer([line for lines in texts.values() for line in lines], TrainedTokenizer(vocab_size=400))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=load_tokenizer(raw), bos_token="<|endoftext|>")
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=hook_points, n_head=2)
        GPT2LMHeadModel(config).save_pretrained(root / "models" / name)
        tokenizer.save_pretrained(root / "models" / name)
        weights = torch.nn.functional.normalize(torch.randn(32, 64), dim=0)
        sae = SparseAutoencoder(weights, torch.zeros(64), weights.T.contiguous(), torch.zeros(32), TopK(4))
        save_sae(sae, root / "saes" / name)


def write_activations(root: Path) -> None:
    """Planted activations of two models, untrained ones and a replicate, and what is known of their rows."""
    world = plant(WORLD, root_seed=3)
    (root / "activations").mkdir()
    (root / "rows").mkdir()
    matrices = {**world.acts, **world.untrained, "m0r": world.replicates["m0"]}
    for name, acts in matrices.items():
        sp.save_npz(root / "activations" / f"{name}.npz", sp.csr_array(acts))
    rows = {
        "documents": world.documents,
        "sources": world.documents // 3,
        "domains": np.array([f"domain {code}" for code in world.domains]),
        "tokens": world.tokens,
        "positions": world.positions,
    }
    for name, values in rows.items():
        np.save(root / "rows" / f"{name}.npy", values)
