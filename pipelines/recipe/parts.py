"""What a recipe is made of: the transformers, comparisons, and which rows and contexts count."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipelines.tokens.tokenizer_config import HubTokenizer, TokenizerConfig
from universality.config import Frozen
from universality.sae.sae_config import SAETrainingConfig
from universality.transformers.transformer_config import TrainingConfig, TransformerConfig

Floor = Annotated[
    Literal["random", "shuffled"],
    Field(
        description="what the untrained models u0, u1, … are: fresh random weights, or the weights of m0, m1, … with "
        "the entries of every tensor in another order"
    ),
]


Untrained = Annotated[
    int | None,
    Field(
        ge=0,
        le=100,
        description="transformers of the (first) model's shape with random weights, for the floor: 0, or at least 2; "
        "by default as many as there are models, and 0 where a comparison says of no dictionary how it is trained",
    ),
]


OwnTokenizer = Annotated[
    TokenizerConfig | None,
    Field(
        # Unsaid it stands nowhere: recipes of earlier runs read as they were written.
        exclude_if=lambda tokenizer: tokenizer is None,
        description="tokenizer of these models, where models are a list: groups whose tokenizers differ are compared "
        "on the bytes at which all of them end a token. Default the recipe's; of pretrained models in a list their own",
    ),
]


class NativeModels(Frozen):
    """Transformers trained here, one per model seed."""

    kind: Literal["native"] = "native"
    architecture: TransformerConfig = Field(description="shape of every transformer; d_vocab is the tokenizer's")
    training: TrainingConfig = Field(description="how every transformer is trained")
    model_seeds: tuple[int, ...] = Field(
        min_length=1, description="one transformer per seed; a seed stands for its initialisation"
    )
    data_seeds: tuple[int, ...] | None = Field(
        None, description="order of the training data per model; default: one per model, from its model seed"
    )
    data: tuple[str | None, ...] | None = Field(
        None,
        exclude_if=lambda data: data is None,
        description="mix that each model is trained on, one per model seed, null for the whole corpus; default all "
        "models on all of it. Dictionaries are always trained on the whole corpus",
    )
    changes: tuple[dict[str, Any], ...] | None = Field(
        None,
        exclude_if=lambda changes: changes is None,
        description="settings in which each model differs from architecture and training (d_model, tokens, …), one "
        "entry per model seed, {} for none; the untrained model of the same number has the same shape",
    )
    checkpoints: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (),
        exclude_if=lambda checkpoints: not checkpoints,
        max_length=50,
        description="fractions of the training tokens at which the weights are kept, rising, 0 for the initial ones: "
        "models m0c0, m0c1, … for studies; 1 is the trained model itself",
    )
    tokenizer: OwnTokenizer = None
    n_untrained: Untrained = None

    floor: Floor = "random"

    @model_validator(mode="after")
    def _consistent(self) -> NativeModels:
        if any(b <= a for a, b in pairwise(self.checkpoints)):
            raise ValueError(f"checkpoints must rise; got {list(self.checkpoints)}")
        n = len(self.model_seeds)
        for name, entries in (("data", self.data), ("changes", self.changes)):
            if entries is not None and len(entries) != n:
                raise ValueError(f"{name} must have one entry per model seed ({n}); got {len(entries)}")
        shapes, trainings = TransformerConfig.model_fields, TrainingConfig.model_fields
        for name in self.changed:
            if (name in shapes) == (name in trainings) or name in ("d_vocab", "n_ctx"):
                legal = ", ".join([*shapes, *trainings])
                raise ValueError(f"changes must be settings of architecture or of training ({legal}); got {name!r}")
        for index in range(n):
            self.of(index)
        described = [
            (seed, (self.data or [None] * n)[i], tuple(self.setting(i, name) for name in self.changed))
            for i, seed in enumerate(self.model_seeds)
        ]
        if len(set(described)) != n:
            raise ValueError(
                "model_seeds must differ where data and changes are the same: a model compared with itself agrees "
                "perfectly"
            )
        if self.data_seeds is not None and len(self.data_seeds) != len(self.model_seeds):
            raise ValueError("data_seeds must have one entry per model seed")
        if self.n_untrained == 1:
            raise ValueError("n_untrained must be 0 or at least 2: the floor is a comparison of two")
        return self

    @property
    def changed(self) -> list[str]:
        """Names of the settings in which models differ, in the order in which they are named."""
        return list(dict.fromkeys(name for change in self.changes or () for name in change))

    def of(self, index: int) -> tuple[TransformerConfig, TrainingConfig]:
        """Shape and training of a model; of the base where the number is beyond the models (of untrained ones)."""
        own = (self.changes or ())[index : index + 1]
        changes = own[0] if own else {}

        def changed(base: Frozen) -> dict[str, Any]:
            return base.model_dump() | {k: v for k, v in changes.items() if k in type(base).model_fields}

        return TransformerConfig(**changed(self.architecture)), TrainingConfig(**changed(self.training))

    @property
    def kept(self) -> list[float]:
        """Fractions of checkpoints before the end, each a model of its own."""
        return [fraction for fraction in self.checkpoints if fraction < 1]

    def setting(self, index: int, name: str) -> Any:
        """The value of a setting of architecture or training for a model."""
        return getattr(next(part for part in self.of(index) if name in type(part).model_fields), name)


class PretrainedModel(Frozen):
    """One model from the hub or a local folder."""

    name: str = Field(description="hub id or folder made by save_pretrained")
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        # Unsaid it stands nowhere: keys of earlier runs stay.
        exclude_if=lambda dtype: dtype == "float32",
        description="numbers in which the model is held and computed, whatever its weights were saved in: float32, or "
        "bfloat16 (8 bits), which takes half the memory. What is read from it is float32 in either case",
    )

    @property
    def said(self) -> str:
        """Where it comes from, in a word."""
        revision = "" if self.revision is None else f"@{self.revision}"
        return self.name + revision + (" in bfloat16" if self.dtype == "bfloat16" else "")


class PretrainedModels(Frozen):
    """Transformers trained elsewhere, one per seed of a public family or any local folders."""

    kind: Literal["pretrained"]
    models: tuple[PretrainedModel, ...] = Field(min_length=1, description="the models, in order m0, m1, …")
    tokenizer: OwnTokenizer = None
    n_untrained: Untrained = None

    floor: Floor = "random"

    @model_validator(mode="after")
    def _consistent(self) -> PretrainedModels:
        named = [(m.name, m.revision) for m in self.models]
        if len(set(named)) != len(named):
            raise ValueError("models must differ: a model compared with itself agrees perfectly")
        if self.n_untrained == 1:
            raise ValueError("n_untrained must be 0 or at least 2: the floor is a comparison of two")
        return self


ModelGroup = Annotated[NativeModels | PretrainedModels, Field(discriminator="kind")]
#: One group, or a list of groups that differ in shape, training, origin or tokenizer.
Models = Annotated[
    Annotated[ModelGroup, Tag("group")] | Annotated[tuple[ModelGroup, ...], Tag("groups"), Field(min_length=1)],
    Discriminator(lambda given: "groups" if isinstance(given, (list, tuple)) else "group"),
]


def size_of(group: NativeModels | PretrainedModels) -> int:
    """How many trained models a group has."""
    return len(group.model_seeds if isinstance(group, NativeModels) else group.models)


def own_tokenizer(group: NativeModels | PretrainedModels) -> TokenizerConfig | None:
    """The tokenizer that a group of a list says, or that its pretrained models bring along; None of any other."""
    if group.tokenizer is not None or isinstance(group, NativeModels):
        return group.tokenizer
    return HubTokenizer(name=group.models[0].name, revision=group.models[0].revision)


class LoadedSAE(Frozen):
    """A dictionary that was trained elsewhere."""

    model: str = Field(
        pattern=r"^(m\d+(s\d+)?|u\d+)r?$",
        description="which dictionary of the comparison it is: m0, m1, … for the one of a model; m0s3 for that of SAE "
        "seed 3 where sae_seeds are named; m0r, m0s3r for their replicates; u0 and u0r for those of an untrained model",
    )
    path: str | None = Field(
        None,
        description="folder (or one file) of one dictionary, ours or of a public format that docs/DICTIONARIES.md "
        "lists; or hub",
    )
    hub: str | None = Field(
        None,
        pattern=r"^[\w.-]+/[\w.-]+$",
        description="repository owner/name of the Hugging Face hub that holds the dictionary, in place of path",
    )
    subfolder: str | None = Field(
        None, min_length=1, description="folder or file of the dictionary inside the hub repository; default its root"
    )
    revision: str | None = Field(
        None,
        description="branch, tag or commit of the hub repository; default main. What counts is the commit it means "
        "when the run is planned",
    )
    part: int | None = Field(
        None, ge=0, description="of a crosscoder, which of its models (or places) the dictionary is, from 0"
    )

    @model_validator(mode="after")
    def _one_place(self) -> LoadedSAE:
        if (self.path is None) == (self.hub is None):
            got = "both" if self.path else "neither"
            raise ValueError(f"the dictionary of {self.model} must have either path or hub; got {got}")
        if self.hub is None and (self.subfolder or self.revision):
            raise ValueError(f"subfolder and revision of {self.model} belong to hub; path needs neither")
        return self


class ComparisonConfig(Frozen):
    """Dictionaries at one hook point, compared over the same rows: one per model, or one per model and SAE seed."""

    id: str = Field("main", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="stands in every table")
    hook_point: str = Field(description="where the dictionaries read, for example blocks.0.mlp.hook_post")
    hook_points: dict[Annotated[str, Field(pattern=r"^m\d+$")], str] | None = Field(
        None,
        exclude_if=lambda places: places is None,
        description="where single models are read, by id, in place of hook_point; an untrained model is read where the "
        "trained one of its shape is",
    )
    sae: SAETrainingConfig | None = Field(
        None, description="how a dictionary is trained for every model that `saes` does not name"
    )
    saes: tuple[LoadedSAE, ...] = Field((), description="dictionaries from elsewhere, beside trained ones")
    replicates: Literal[True, False, "untrained"] = Field(
        True,
        description="train a second dictionary per compared one, other seed, disjoint half of documents: the ceiling; "
        "untrained: of untrained models alone, the floor of sae_seeds by their weights",
    )
    neurons: bool = Field(
        True, description="compare the raw activation basis of different models too: the neuron baseline"
    )
    same_index: bool = Field(
        False,
        exclude_if=lambda asked: not asked,
        description="set latents of equal number beside each other, and beside their partners: the control of one "
        "dictionary on two models, or of dictionaries that were trained on from one start",
    )
    sae_seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        # Unsaid it stands nowhere: recipes of earlier runs read as they were written.
        exclude_if=lambda seeds: seeds is None,
        description="seeds of the compared dictionaries of every model, which are then called m0s0, m0s1, …; with two "
        "seeds one model is enough. Default: one dictionary per model, called after it",
    )

    @model_validator(mode="after")
    def _seeds_differ(self) -> ComparisonConfig:
        seeds = self.sae_seeds or ()
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"sae_seeds must differ: a dictionary agrees perfectly with itself; got {list(seeds)}")
        return self

    def place_of(self, model: str) -> str:
        """The hook point at which a trained model is read."""
        return (self.hook_points or {}).get(model, self.hook_point)

    @property
    def loaded(self) -> dict[str, LoadedSAE]:
        """Dictionaries from elsewhere, by id."""
        return {entry.model: entry for entry in self.saes}


class TrainingRowsConfig(Frozen):
    """Which rows dictionaries are trained on; evaluation rows are always all but special tokens and first positions."""

    first_position: int = Field(
        1,
        ge=0,
        description="first position of a context that counts in training; position 0 is the separator, an attention "
        "sink of outlier norm, and counts only with special_tokens",
    )
    special_tokens: bool = Field(
        False, description="whether positions that hold a special token (separators) count in training"
    )
    max_norm: float | None = Field(
        None,
        ge=1,
        description="leave rows out of training whose norm exceeds this multiple of the median norm; default none",
    )

    @property
    def positions(self) -> dict[str, Any]:
        """What is said of positions beyond the defaults, for params: empty where nothing is."""
        said = {"first_position": self.first_position, "special_tokens": self.special_tokens}
        usual = {"first_position": 1, "special_tokens": False}
        return {} if said == usual else {"positions": said}


class EvidenceConfig(Frozen):
    """How many contexts are kept per latent."""

    n_top: int = Field(10, ge=1, description="contexts with the highest activation")
    n_per_quantile: int = Field(2, ge=0, description="contexts per tenth of the activation range")
    n_random: int = Field(5, ge=0, description="contexts drawn from all firing rows")
    n_logits: int = Field(10, ge=0, description="tokens raised and lowered most, each")
