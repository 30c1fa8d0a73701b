"""Steps: named, versioned functions that turn input artifacts into one output artifact.

A step is ordinary code with a decorator. Its ``version`` is part of every artifact key that it makes;
code itself is never hashed, so a change that moves results must raise the version. The decorator also says
what the step costs, which :class:`Estimate` guides order and packing, and which tables of a run are its own.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage import Artifact, ArtifactWriter, Checkpoint
from universality.errors import refusal

#: The package whose import registers the shipped steps.
SHIPPED_STEPS = "pipelines.steps"

ReportProgress = Callable[[float, float, Mapping[str, Any]], None]


@dataclass(frozen=True)
class StepContext:
    """All that a step may touch: what it reads, where it writes, and how it tells its progress.

    Attributes:
        node_id: the node of the plan being computed, for example ``"sae/main/m0"``.
        params: the config slice of the node; part of the artifact key.
        inputs: the input artifacts by local name, opened and complete.
        out: the writer of the output artifact; its manifest is written when the step returns.
        checkpoint: arrays saved here survive a killed process and are cleared when the output is complete.
        threads: the number of threads that the step may use; torch, numba and BLAS are set to it already.
        device: ``"cpu"`` or ``"cuda"`` (the one device that this process sees).
    """

    node_id: str
    params: dict[str, Any]
    inputs: dict[str, Artifact]
    out: ArtifactWriter
    checkpoint: Checkpoint
    threads: int = 1
    device: str = "cpu"
    _report: ReportProgress = field(default=lambda done, total, facts: None, repr=False)

    def progress(self, done: float, total: float, **facts: Any) -> None:
        """Tell how far the step is; cheap, so call it from every iteration.

        Args:
            done: work finished so far, in any unit, ``0 <= done <= total``.
            total: all the work, in the same unit.
            facts: small JSON values worth showing, for example ``loss=3.2``.
        """
        self._report(done, total, facts)


@dataclass(frozen=True)
class Estimate:
    """What a node is expected to cost; guides order and packing, never results.

    Attributes:
        seconds: wall time on the node's own threads and device.
        bytes: size of the output artifact.
        memory: peak resident memory of the process in bytes.
        passes: forward passes of a model for single ablations, at most.
    """

    seconds: float = 0.0
    bytes: int = 0
    memory: int = 0
    passes: int = 0


StepFunction = Callable[[StepContext], None]
#: A step's cost: from the sizes of what is planned (whatever the planner passes on) and the params of a node.
CostRule = Callable[[Any, Mapping[str, Any]], Estimate]


@dataclass(frozen=True)
class Step:
    """A registered step.

    Attributes:
        name: unique over the program.
        version: part of the key of every artifact of the step.
        function: computes one artifact.
        cost: expected cost of one node, asked when a run is planned.
        tables: names of the run tables whose rows the step writes; no other step of the run may write them.
        together: computes several nodes side by side, each to the bytes that ``function`` gives; None if it cannot.
        is_result: people read it as it is, also where another step reads it.
    """

    name: str
    version: int
    function: StepFunction
    cost: CostRule
    tables: tuple[str, ...] = ()
    together: Callable[[Sequence[StepContext]], None] | None = None
    is_result: bool = False

    @property
    def module(self) -> str:
        """The module whose import registers this step in another process."""
        return self.function.__module__


_STEPS: dict[str, Step] = {}


def step(
    name: str,
    version: int,
    *,
    cost: CostRule,
    tables: Sequence[str] = (),
    together: Callable[[Sequence[StepContext]], None] | None = None,
    is_result: bool = False,
) -> Callable[[StepFunction], StepFunction]:
    """Register a function as the step ``name``.

    Args:
        name: unique over the program.
        version: 1, 2, …; raise it when the step's results change for equal params and inputs.
        cost: ``cost(sizes, params)``; must not import what is heavy, because planning calls it.
        tables: the run tables that the step writes. A run joins the rows of all its nodes' tables of one name, so
            a table has one step: writing another one, or planning two steps that share one, is an error.
        together: see :class:`Step`; called for nodes with one ``Node.beside``.
        is_result: see :class:`Step`.

    Returns:
        A decorator that registers its function and returns it unchanged.

    Raises:
        InputError: the version is below 1, or another function holds the name.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise refusal("version", f"step {name!r}", "an integer of at least 1", version, "Start at 1.")

    def register(function: StepFunction) -> StepFunction:
        namesake = _STEPS.get(name)
        if namesake is not None and _place(namesake.function) != _place(function):
            taken = f"{name!r}, the name of {_place(namesake.function)}"
            raise refusal("name", f"step {_place(function)}", "unique", taken, "Rename one of them.")
        _STEPS[name] = Step(name, version, function, cost, tuple(tables), together, is_result)
        return function

    return register


def find_step(name: str, module: str | None = None) -> Step:
    """The step of that name, importing its module first where it is not registered yet.

    Args:
        name: as given to :func:`step`.
        module: the module that registers it; default the shipped steps.

    Raises:
        InputError: no such step.
    """
    if name not in _STEPS:
        importlib.import_module(module or SHIPPED_STEPS)
    if name not in _STEPS:
        remedy = "Import the module that registers it, or correct the name."
        raise refusal("step", "the plan", f"one of {sorted(_STEPS)}", name, remedy)
    return _STEPS[name]


def registered_steps() -> dict[str, Step]:
    """Every step registered so far, by name."""
    return dict(_STEPS)


def _place(function: StepFunction) -> str:
    return f"{function.__module__}.{function.__qualname__}"
