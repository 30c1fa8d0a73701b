"""What every node of a plan is made with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pipelines.engine.plan import Node
from pipelines.engine.step import find_step
from pipelines.estimates import USUAL, Sizes
from pipelines.hub_dictionaries import sae_files
from pipelines.loaded_dictionaries import Looked, look
from pipelines.plan.heads import most_bytes
from pipelines.recipe import ComparisonConfig, NativeModels, Recipe
from pipelines.tokens.identity import identity
from pipelines.tokens.tokenizer_config import TokenizerConfig
from results.public.ahead import config_ahead
from results.public.shapes import shape_of
from results.stored_comparison import TOKENIZER, TOKENS, aligned_node, tokenizer_node, tokens_node
from universality.transformers.hook_points import Shape

#: Contexts per forward pass when activations are read.
BATCH_CONTEXTS = 32


@dataclass(frozen=True)
class Layout:
    """A recipe on a device: what every node of its run is made with.

    Attributes:
        recipe: the recipe.
        device: ``"cpu"`` or ``"cuda"``.
        pinned: whether files and hubs are asked what they hold now, which then is in the params that read them.
    """

    recipe: Recipe
    device: str
    pinned: bool = True

    @property
    def trained(self) -> list[str]:
        """Ids of the trained transformers."""
        return self.recipe.model_ids

    @property
    def untrained(self) -> list[str]:
        """Ids of the untrained transformers."""
        return self.recipe.untrained_ids

    @cached_property
    def _held(self) -> dict[str, str]:
        """What each tokenizer that is said holds, as far as it is known and matters."""
        said = self.recipe.tokenizers
        asked = self.pinned and len(said) > 1
        # Frozen configs are hashable, which their type does not say.
        return {str(config): identity(config) if asked else str(config) for config in said}  # pyright: ignore[reportArgumentType]

    @cached_property
    def tokenizers(self) -> dict[str, TokenizerConfig]:
        """The tokenizers of the models by what they hold, in the order of the models: of equal ones the first."""
        found: dict[str, TokenizerConfig] = {}
        for config in self.recipe.tokenizers:
            found.setdefault(self._held[str(config)], config)
        return found

    @property
    def aligned(self) -> bool:
        """Whether tokenizers differ, so that rows are bytes at which all of them end a token."""
        return len(self.tokenizers) > 1

    def tokenizer(self, model: str) -> str:
        """The node of a transformer's tokenizer."""
        return tokenizer_node(self._number(model)) if self.aligned else TOKENIZER

    def tokens(self, model: str) -> str:
        """The node of the text that a transformer and its dictionaries are trained on."""
        return tokens_node(self._number(model)) if self.aligned else TOKENS

    def text(self, model: str) -> dict[str, str]:
        """Inputs of a step that trains a transformer, or reads what a dictionary of it is trained on."""
        return {"tokens": self.tokens(model), "tokenizer": self.tokenizer(model)}

    def read(self, model: str) -> dict[str, str]:
        """Inputs of a step that reads the evaluation contexts of a transformer, in its own tokens."""
        if not self.aligned:
            return {"tokens": TOKENS, "tokenizer": TOKENIZER}
        return {"tokens": aligned_node(self._number(model)), "tokenizer": self.tokenizer(model)}

    def place(self, comparison: ComparisonConfig, model: str) -> str:
        """The hook point at which a comparison reads a transformer."""
        return comparison.place_of(self.recipe.like(model))

    def one_readout(self, comparison: ComparisonConfig) -> bool:
        """Whether what features do to predictions can be set beside each other: one vocabulary, one place."""
        return not self.aligned and not comparison.hook_points

    def read_by(self, pair: Sequence[str]) -> str:
        """The node of the rows of two transformers, with the tokens that agreement is conditioned on: those of both."""
        a, b = (self.read(model)["tokens"] for model in pair)
        return a if a == b else TOKENS

    @property
    def shared(self) -> dict[str, str]:
        """What a step reads beside its own tokens to know the rows that models share; nothing where they are one."""
        return {"rows": TOKENS} if self.aligned else {}

    def _number(self, model: str) -> int:
        return list(self.tokenizers).index(self._held[str(self.recipe.tokenizer_of(model))])

    @property
    def compute(self) -> dict[str, Any]:
        """What changes the bytes of a gradient besides the recipe's science."""
        return {"device": self.device, "threads": self.recipe.threads}

    @property
    def fused(self) -> dict[str, Any]:
        """What a dictionary's training adds: rounding differs where its optimiser is compiled."""
        return {"compile": True} if self.recipe.compile and self.device != "cpu" else {}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Widths of every transformer; those of one from elsewhere are unknown where nothing is asked."""
        return {model: self._shape(model) for model in [*self.trained, *self.recipe.checkpoint_ids, *self.untrained]}

    def _shape(self, model: str) -> Shape:
        models, index = self.recipe.member(model)
        if isinstance(models, NativeModels):
            return models.of(index)[0].widths
        named = models.models[index if model in self.trained else 0]
        return shape_of(config_ahead(named.name, named.revision) if self.pinned else {})

    @cached_property
    def looked(self) -> dict[tuple[str, str], Looked]:
        """Dictionaries of folders, by comparison and name; none where nothing is asked."""
        return {
            (comparison.id, name): look(entry.path, entry.part, tuple(sae_files(entry.path).values()))
            for comparison in self.recipe.comparisons
            for name, entry in comparison.loaded.items()
            if self.pinned and entry.path is not None
        }

    def latents_of(self, comparison: ComparisonConfig, dictionary: str) -> int | None:
        """How many latents a dictionary has; None of one from elsewhere that was not looked at."""
        if dictionary in comparison.loaded:
            looked = self.looked.get((comparison.id, dictionary))
            return None if looked is None else looked.d_sae
        return None if comparison.sae is None else comparison.sae.d_sae

    @cached_property
    def sizes(self) -> Sizes:
        """What the cost rules of steps read."""
        text_bytes = most_bytes(self.recipe.corpus) if self.pinned else None
        return Sizes(self.recipe, self.shapes, self.looked.values(), text_bytes)

    def training_node(
        self, node_id: str, step: str, params: dict[str, Any], inputs: dict[str, str], *, holds: bool = True
    ) -> Node:
        """A node whose bytes depend on device and threads; ``holds`` says whether it computes there itself."""
        compute = {"threads": self.recipe.threads, "device": self.device if holds else "cpu"}
        return self._priced(node_id, step, {**params, **self.compute}, inputs, **compute)

    def node(self, node_id: str, step: str, params: dict[str, Any], inputs: dict[str, str]) -> Node:
        """A node of the CPU."""
        return self._priced(node_id, step, params, inputs)

    def _priced(self, node_id: str, step: str, params: dict[str, Any], inputs: dict[str, str], **compute: Any) -> Node:
        estimate = find_step(step).cost(self.sizes, params)
        if compute.get("device", "cpu") == "cpu":
            estimate = replace(estimate, seconds=USUAL * estimate.seconds)
        return Node(node_id, step, params, inputs, estimate=estimate, **compute)


def as_json(config: Any) -> Any:
    """A config as JSON values."""
    return config.model_dump(mode="json")
