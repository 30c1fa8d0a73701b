"""The design of a study: which dictionaries differ in what, and which differences of agreement say what a factor does.

Light: plans and recipes are checked without numpy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

#: Factors that every study may have; settings of dictionaries and of models come between and after.
SAE_SEED, HALF, MODEL, DATA, TOKENIZER = "sae_seed", "half", "model", "data", "tokenizer"
#: Where dictionaries read, in studies of several places: a setting of theirs, of which every pair of levels is asked.
HOOK_POINT = "hook_point"
#: How long models were trained where each was kept at several places of one training: in tokens, or in steps where they
#: are revisions of a public family.
CHECKPOINT, REVISION = "checkpoint", "revision"
#: Pairs of untrained models: what agrees before anything was learned.
UNTRAINED = "untrained"
#: Two dictionaries that differ in nothing are one: they share everything.
IDENTITY = ""
#: Of one model at two places of its training: what differs -> what they are called.
THEN = {f"{SAE_SEED} + {name}": name for name in (CHECKPOINT, REVISION)}


@dataclass(frozen=True)
class Cell:
    """One dictionary of a study.

    Attributes:
        id: its name in node ids and tables.
        transformer: id of the model whose activations it reads.
        levels: level of every factor, by its name: ``model`` (the seed), ``sae_seed``, ``half``, whatever else varies.
        setting: number of its settings among those of the study.
        untrained: whether its model is untrained.
    """

    id: str
    transformer: str
    levels: Mapping[str, str]
    setting: int = 0
    untrained: bool = False

    def point(self, factors: Collection[str]) -> str:
        """Its levels of some factors in words, for example "d_sae 512, k 8"."""
        return ", ".join(f"{name} {level}" for name, level in self.levels.items() if name in factors)


@dataclass(frozen=True)
class CellPair:
    """Two dictionaries of a study.

    Attributes:
        a, b: the dictionaries.
        relation: the factors that differ, "sae_seed + half" for example; or "untrained".
    """

    a: Cell
    b: Cell
    relation: str

    @property
    def name(self) -> str:
        """As in node ids."""
        return f"{self.a.id}-{self.b.id}"


@dataclass(frozen=True)
class Contrast:
    """What a factor does: agreement where it is the same, less agreement where it differs, all else alike.

    Attributes:
        name: of the factor, or "data at one initialisation", "model x data".
        terms: weight and relation; the mean agreement of the relation's pairs is weighted and summed.
    """

    name: str
    terms: tuple[tuple[float, str], ...]

    @property
    def relations(self) -> frozenset[str]:
        """Relations whose pairs it needs."""
        return frozenset(relation for _, relation in self.terms) - {IDENTITY}


class Design:
    """Cells, and what can be estimated from pairs of them.

    Args:
        cells: of the study, all different.
        of_models: names of factors that belong to models (data, width, …) rather than to dictionaries, in order.
        settings: names of varied settings of dictionaries, in order.

    Attributes:
        factors: names of those with two levels or more, in the order in which they are taken.
        contrasts: all that its pairs can estimate.
        pairs: of cells, those that a contrast or a curve reads.
    """

    def __init__(self, cells: Sequence[Cell], of_models: Sequence[str] = (), settings: Sequence[str] = ()) -> None:
        self.cells = tuple(cells)
        trained = [cell for cell in cells if not cell.untrained]
        named = (SAE_SEED, HALF, *settings, MODEL, *of_models)
        self.factors = tuple(name for name in named if len({cell.levels[name] for cell in trained}) > 1)
        self.of_models = tuple(name for name in of_models if name in self.factors)
        self.settings = tuple(name for name in settings if name in self.factors)
        #: Factors whose levels make the points of curves: agreement is averaged at each of them.
        self.curves = (*self.settings, *(name for name in self.of_models if name != DATA))
        #: In the order of the cells.
        self.points = tuple(dict.fromkeys(cell.point(self.curves) for cell in cells))
        all_pairs = [CellPair(a, b, self.relation(a, b)) for a, b in combinations(trained, 2)]
        self.contrasts = tuple(self._contrasts({pair.relation for pair in all_pairs}))
        # What no contrast reads, a curve may: cells that differ in nothing else than their seeds and halves.
        seeds = {self._named({SAE_SEED, *more}) for more in ((), (HALF,), (MODEL,), (HALF, MODEL))}
        wanted = seeds.union(*(one.relations for one in self.contrasts))
        floor = [CellPair(a, b, UNTRAINED) for a, b in combinations([c for c in cells if c.untrained], 2)]
        floor = [pair for pair in floor if pair.a.transformer != pair.b.transformer]
        if HOOK_POINT in self.factors:
            wanted |= {pair.relation for pair in all_pairs if self._of_matrix(pair.relation)}
            floor = [pair for pair in floor if pair.a.setting == pair.b.setting]
        else:
            floor = [pair for pair in floor if _shape_of(pair.a) == _shape_of(pair.b)]
        trained_pairs = [pair for pair in all_pairs if pair.relation in wanted or self._of_end(pair)]
        self.pairs = (*trained_pairs, *floor)

    @property
    def relations(self) -> tuple[str, ...]:
        """Relations of the pairs, from what shares most factors to what shares least; the untrained ones last."""
        order = {name: number for number, name in enumerate(self.factors)}

        def place(relation: str) -> tuple[bool, list[int]]:
            return relation == UNTRAINED, sorted((order.get(name, 0) for name in relation.split(" + ")), reverse=True)

        return tuple(sorted({pair.relation for pair in self.pairs}, key=place))

    def relation(self, a: Cell, b: Cell) -> str:
        """The factors in which two cells differ, joined by " + "; equal seeds of two models are no equal draws."""
        different = {name for name in self.factors if a.levels[name] != b.levels[name]}
        return self._named(different | ({SAE_SEED} if a.transformer != b.transformer else set()))

    def point(self, pair: CellPair) -> str:
        """Where on the curves a pair lies, in words; of a pair that spans two points both. "" where nothing varies."""
        points = {cell.point(self.curves) for cell in (pair.a, pair.b)}
        return " / ".join(point for point in self.points if point in points)

    def _of_end(self, pair: CellPair) -> bool:
        """Whether a pair is of one model at the end of its training and before."""
        place_in = THEN.get(pair.relation)
        if place_in is None:
            return False
        names = [name for name in (MODEL, *self.of_models) if name != place_in]

        def place(cell: Cell) -> list[str]:
            return [cell.levels[name] for name in names]

        ends = [int(c.levels[place_in]) for c in self.cells if not c.untrained and place(c) == place(pair.a)]
        return max(ends) in {int(cell.levels[place_in]) for cell in (pair.a, pair.b)}

    def _of_matrix(self, relation: str) -> bool:
        """Whether a matrix of hook points reads such pairs: another SAE seed, and of settings the hook point alone."""
        names = {*relation.split(" + ")}
        return SAE_SEED in names and names.isdisjoint({*self.settings} - {HOOK_POINT})

    def _named(self, factors: Collection[str]) -> str:
        order = (SAE_SEED, HALF, *self.settings, MODEL, *self.of_models)
        return " + ".join(name for name in order if name in factors)

    def _contrasts(self, there: set[str]) -> Iterator[Contrast]:
        """What pairs of the relations that are there can estimate."""
        if SAE_SEED in there:
            yield Contrast(SAE_SEED, ((1.0, IDENTITY), (-1.0, SAE_SEED)))
        for name in self.factors:
            alike = {SAE_SEED, MODEL} if name in self.of_models else {SAE_SEED}
            # Two models at unequal places of their trainings are not compared: these are points of curves.
            if name not in (SAE_SEED, CHECKPOINT, REVISION) and (terms := self._difference(alike, name, there)):
                yield Contrast(name, terms)
        # By how much more other data cost where the initialisation differs too.
        data, same = (self._difference(alike, DATA, there) for alike in ({SAE_SEED, MODEL}, {SAE_SEED}))
        if same and DATA in self.factors:
            yield Contrast(SAME_INIT, same)
            if data:
                yield Contrast(INTERACTION, (*data, *((-weight, relation) for weight, relation in same)))

    def _difference(self, alike: set[str], factor: str, there: set[str]) -> tuple[tuple[float, str], ...]:
        """Agreement at ``alike``, less agreement where ``factor`` differs too: within a half, and between halves."""
        backgrounds = [alike] if factor == HALF else [alike, alike | {HALF}]
        terms = [(self._named(names), self._named(names | {factor})) for names in backgrounds]
        terms = [pair for pair in terms if {*pair} <= there]
        return tuple(
            (weight / len(terms), relation)
            for pair in terms
            for weight, relation in zip((1.0, -1.0), pair, strict=True)
        )


def _shape_of(cell: Cell) -> dict[str, str]:
    """What an untrained cell has in common with those that it is a floor with: all but what it reads text by."""
    return {name: level for name, level in cell.levels.items() if name != TOKENIZER}


#: Other data for models of one initialisation; and what it costs beyond that where the initialisation differs.
SAME_INIT, INTERACTION = "data at one initialisation", "model x data"
