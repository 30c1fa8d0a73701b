"""The engine: steps, plans, executors and runs. Knows nothing of transformers or dictionaries.

>>> from pipelines.engine import Node, Plan, run_plan, step            # doctest: +SKIP
>>> outcome = run_plan(plan, store, run, executor=SerialExecutor())    # doctest: +SKIP
"""

from pipelines.engine.executor import SerialExecutor
from pipelines.engine.plan import Node, Plan, bottom_levels, critical_path
from pipelines.engine.runner import RunOutcome, run_plan
from pipelines.engine.step import Estimate, Step, StepContext, find_step, registered_steps, step

# The Dask executor is imported where it is used (pipelines.engine.cluster): a run that finds everything
# in the store must not pay for starting Dask.
__all__ = [
    "Estimate", "Node", "Plan", "RunOutcome", "SerialExecutor", "Step", "StepContext", "bottom_levels",
    "critical_path", "find_step", "registered_steps", "run_plan", "step",
]  # fmt: skip
