"""What small checkpoints of tests have in common."""

from tokenizers import Tokenizer, models, pre_tokenizers

D_VOCAB = 37


def save_tokenizer(folder):
    from transformers import PreTrainedTokenizerFast

    words = {"<|endoftext|>": 0} | {f"w{i}": i for i in range(1, D_VOCAB)}
    core = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    PreTrainedTokenizerFast(tokenizer_object=core, **special).save_pretrained(folder)
