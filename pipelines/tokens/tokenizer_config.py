"""Which tokenizer, and how tokens become contexts. Every field is documented: the schema is the manual."""

from typing import Annotated, Literal

from pydantic import Field

from universality.config import Frozen

#: Number of the segment that stands where a context begins and between documents, in runs of several tokenizers.
SEPARATOR = 0


class TrainedTokenizer(Frozen):
    """A byte-level BPE trained on the training part of the corpus."""

    kind: Literal["train"] = "train"
    vocab_size: int = Field(
        default=2_048, ge=257, le=1_000_000, description="Tokens, the 256 bytes and the separator included."
    )
    max_train_bytes: int | None = Field(
        default=None,
        gt=0,
        description="Training text to learn from at most, spread evenly; 2,000 bytes a token if not set.",
    )
    learn_from: tuple[Literal["sae_a", "sae_b"], ...] | None = Field(
        default=None,
        min_length=1,
        exclude_if=lambda parts: parts is None,
        description="Halves of the training documents to learn from; both if not set. Tokenizers of other halves "
        "differ as those of two makers do.",
    )
    min_frequency: int = Field(default=2, ge=1, description="How often a pair must occur to be merged.")
    max_token_length: int = Field(
        default=16,
        ge=2,
        description="Longest token in bytes; keeps rulers of dashes and whole DNA lines out.",
    )


class TokenizerFile(Frozen):
    """A `tokenizer.json` of the `tokenizers` library."""

    kind: Literal["file"] = "file"
    path: str = Field(description="Path of a tokenizer.json.")
    bos_token: str | None = Field(
        default=None, description="Token to start contexts with; the tokenizer's own bos (else eos) token if not set."
    )


class HubTokenizer(Frozen):
    """A tokenizer of the Hugging Face hub, or a local folder that holds one."""

    kind: Literal["hub"] = "hub"
    name: str = Field(description="Hub id (owner/name) or a local folder.")
    revision: str | None = Field(default=None, description="Git revision; set it to be reproducible.")
    bos_token: str | None = Field(
        default=None, description="Token to start contexts with; the tokenizer's own bos (else eos) token if not set."
    )


TokenizerConfig = Annotated[TrainedTokenizer | TokenizerFile | HubTokenizer, Field(discriminator="kind")]


class TokensConfig(Frozen):
    """How documents become contexts and evaluation rows."""

    n_ctx: int = Field(default=128, ge=2, le=32_767, description="Tokens a context, the leading separator included.")
    fit_tokens: int = Field(default=100_000, gt=0, description="Evaluation rows on which pairs are chosen, about.")
    score_tokens: int = Field(default=100_000, gt=0, description="Evaluation rows on which pairs are scored, about.")
    balance: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Domains' shares of the rows, as in the split: 0 as in the corpus, 1 all equal.",
    )
    min_sources: int = Field(
        default=5, ge=1, description="Documents of different sources of every domain, as in the split."
    )
    validation_tokens: int = Field(default=50_000, gt=0, description="Tokens for held-out losses, at most.")
    train_tokens: int | None = Field(
        default=None,
        gt=0,
        description="Tokens of training contexts: documents are cycled, shuffled anew each time, up to this "
        "many. Each document once (times its repeats) if not set.",
    )
    sae_tokens: int | None = Field(
        default=None, gt=0, description="The same for each half of the SAE-training documents."
    )
    data_seed: int = Field(default=0, ge=0, description="Which shuffles of the training documents are packed.")
