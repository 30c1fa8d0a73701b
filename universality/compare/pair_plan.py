"""Which dictionaries a comparison has, and which of them are compared; light, as plans are made without numpy."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from universality.errors import InputError, must_be, require

Pair = tuple[str, str]

#: What all pairs of models together, and all pairs of untrained models together, are called in the tables.
ALL_MODELS, ALL_UNTRAINED = "overall", "untrained"


def pair_name(pair: Pair) -> str:
    """``"m0-m1"``."""
    return f"{pair[0]}-{pair[1]}"


@dataclass(frozen=True)
class PairPlan:
    """The dictionaries of a comparison by role, and its pairs in the order of the models as given.

    Attributes:
        models: ids of the models, each with its primary dictionary.
        replicate_of: id of each replicate (another dictionary of the same model) -> id of its model, trained or not.
        untrained: ids of the untrained models.
        transformer_of: what each model's dictionary reads, where several may read one transformer; by default every
            model is a transformer of its own.
    """

    models: tuple[str, ...]
    replicate_of: Mapping[str, str]
    untrained: tuple[str, ...]
    transformer_of: Mapping[str, Hashable] = field(default_factory=dict)

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """Every id: models, replicates, untrained models."""
        return (*self.models, *self.replicate_of, *self.untrained)

    @property
    def model_pairs(self) -> tuple[Pair, ...]:
        """All models with each other."""
        return tuple(combinations(self.models, 2))

    @property
    def same_transformer_pairs(self) -> tuple[Pair, ...]:
        """Of the models' pairs those whose dictionaries read one transformer: they share its basis."""
        of = self.transformer_of
        return tuple((a, b) for a, b in self.model_pairs if of.get(a, a) == of.get(b, b))

    @property
    def replicate_pairs(self) -> tuple[Pair, ...]:
        """Each model with each of its replicates; what they agree on is the ceiling of any comparison."""
        return self._with_replicates(self.models)

    @property
    def of_one_transformer(self) -> bool:
        """Whether all compared dictionaries read one transformer, as SAE seeds of one model do."""
        return bool(self.model_pairs) and self.same_transformer_pairs == self.model_pairs

    @property
    def untrained_pairs(self) -> tuple[Pair, ...]:
        """The floor: all untrained models with each other, or, as the compared ones are, dictionaries of one of them.

        Two dictionaries of one untrained transformer agree far better than those of two.
        """
        return (
            self._with_replicates(self.untrained) if self.of_one_transformer else tuple(combinations(self.untrained, 2))
        )

    @property
    def untrained_replicate_pairs(self) -> tuple[Pair, ...]:
        """Each untrained model with each of its replicates: the ceiling of the floor, unless they are the floor."""
        return () if self.of_one_transformer else self._with_replicates(self.untrained)

    @property
    def one_basis_pairs(self) -> tuple[Pair, ...]:
        """Dictionaries of one transformer, trained or not: the pairs that indices of weights mean something of."""
        return (*self.same_transformer_pairs, *self.replicate_pairs, *self._with_replicates(self.untrained))

    def _with_replicates(self, models: tuple[str, ...]) -> tuple[Pair, ...]:
        return tuple((model, replicate) for replicate, model in self.replicate_of.items() if model in models)

    @property
    def by_kind(self) -> dict[str, tuple[Pair, ...]]:
        """Pairs by the name of their kind in the tables ``headline`` and ``baselines``."""
        return {
            "features": self.model_pairs,
            "ceiling": self.replicate_pairs,
            "untrained": self.untrained_pairs,
            "untrained_ceiling": self.untrained_replicate_pairs,
        }

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each pair by its name in either direction, and of what stands for all pairs together."""
        named = {pair_name(p): kind for kind, pairs in self.by_kind.items() for a, b in pairs for p in ((a, b), (b, a))}
        return {ALL_MODELS: "features", ALL_UNTRAINED: "untrained", **named}

    @property
    def all(self) -> tuple[Pair, ...]:
        """Every pair that needs similarity, null and matching."""
        return tuple(pair for pairs in self.by_kind.values() for pair in pairs)


def check_equal_numbers(sizes: Mapping[str, int], where: str) -> None:
    """Refuse to compare latents by their number where dictionaries hold different numbers of them.

    Args:
        sizes: latents of every dictionary, by its id.
        where: what the error is about.

    Raises:
        InputError: not all alike.
    """
    got, remedy = ", ".join(f"{n} of {name}" for name, n in sizes.items()), "Leave same_index out."
    require(len(set(sizes.values())) < 2, "latents of dictionaries", where, "equally many for same_index", got, remedy)


def replicate_names(keys: Iterable[str], models: tuple[str, ...]) -> dict[str, Pair]:
    """What each replicate is called and which model, trained or not, it belongs to.

    A key is a model's id (its replicate is then called ``"<model>r"``) or a replicate's own id,
    ``"<model>r"`` or ``"<model>r<number>"``.

    Returns:
        ``{key: (replicate id, model id)}``.

    Raises:
        InputError: a key that names no model.
    """
    names = {}
    for key in keys:
        match = re.fullmatch(r"(.+)r\d*", str(key))
        if key in models:
            names[key] = (f"{key}r", key)
        elif match and match[1] in models:
            names[key] = (str(key), match[1])
        else:
            legal = ", ".join(f"{model}r" for model in models)
            remedy = "Name a replicate after its model."
            raise InputError(must_be("names", "replicates", f"among {legal}", key, remedy))
    return names
