"""What small checkpoints of tests have in common."""

from typing import NamedTuple

from tokenizers import Tokenizer, models, pre_tokenizers

D_VOCAB = 37
N_CTX = 32


def save_tokenizer(folder):
    from transformers import PreTrainedTokenizerFast

    words = {"<|endoftext|>": 0} | {f"w{i}": i for i in range(1, D_VOCAB)}
    core = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    PreTrainedTokenizerFast(tokenizer_object=core, **special).save_pretrained(folder)


class Family(NamedTuple):
    """A published architecture: its config, and where transformers' own model does what hook points are named after.

    Names of modules are inside a layer; ``mid`` is what reads the stream between attention and MLP, ``post`` the norms
    of what attention and MLP add.
    """

    kind: str
    config: dict
    layers: str = "model.layers"
    o: str = "self_attn.o_proj"
    down: str = "mlp.down_proj"
    mid: str | None = "post_attention_layernorm"
    post: tuple[str, str] | None = None


#: No two widths are equal: d_model 24, d_mlp 44, heads 4 x 6 or 4 x 10, keys and values of half as many heads.
_PLAIN = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 44,
    "max_position_embeddings": N_CTX,
}  # fmt: skip
_COMMON = {**_PLAIN, "num_key_value_heads": 2}
_WIDE = {**_COMMON, "head_dim": 10}
_CAPS = {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 7}
FAMILIES = {
    "gpt2": Family(
        "GPT2LMHeadModel", {"n_layer": 2, "n_embd": 24, "n_head": 4, "n_inner": 44, "n_positions": N_CTX},
        "transformer.h", "attn.c_proj", "mlp.c_proj", "ln_2",
    ),
    "neox": Family(
        "GPTNeoXForCausalLM", {**_PLAIN, "rotary_pct": 0.5}, "gpt_neox.layers", "attention.dense",
        "mlp.dense_4h_to_h", None,
    ),
    "llama": Family("LlamaForCausalLM", _COMMON),
    "mistral": Family("MistralForCausalLM", {**_WIDE, "sliding_window": 5}),
    "qwen2": Family("Qwen2ForCausalLM", {**_COMMON, "tie_word_embeddings": True}),
    "qwen3": Family("Qwen3ForCausalLM", {**_WIDE, "tie_word_embeddings": True}),
    "gemma2": Family(
        "Gemma2ForCausalLM", {**_WIDE, "sliding_window": 5, **_CAPS}, mid="pre_feedforward_layernorm",
        post=("post_attention_layernorm", "post_feedforward_layernorm"),
    ),
    "gemma3": Family(
        "Gemma3ForCausalLM", {**_WIDE, "sliding_window": 5, "query_pre_attn_scalar": 7},
        mid="pre_feedforward_layernorm", post=("post_attention_layernorm", "post_feedforward_layernorm"),
    ),
}  # fmt: skip
EXPERTS = {
    "mixtral": Family("MixtralForCausalLM", {**_COMMON, "num_local_experts": 3}),
    "qwen3_moe": Family("Qwen3MoeForCausalLM", {**_WIDE, "num_experts": 3, "num_experts_per_tok": 2}),
}


def save_model(folder, family, seed=0, dtype=None, **changes):
    """A model of random weights (norms, biases and all) with a tokenizer, and transformers' own for comparison."""
    import torch
    import transformers

    of = {**FAMILIES, **EXPERTS}[family]
    model_class = getattr(transformers, of.kind)
    ids = {"vocab_size": D_VOCAB, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(model_class.config_class(**{**of.config, **ids, **changes}, attn_implementation="eager"))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.eval().to(dtype).save_pretrained(folder)
    save_tokenizer(folder)
    return model
