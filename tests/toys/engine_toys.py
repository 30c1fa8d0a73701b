"""Small steps and plans that behave like the real ones: they compute, train, warn, fail and die.

Imported by tests and, in other processes, by name: their folder is put on ``sys.path`` or PYTHONPATH.
"""

import logging
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.engine import Estimate, Node, Plan, step


def free(sizes, params):
    """Cost of every toy; plans of toys state their own estimates."""
    return Estimate()


def pause():
    """As long as the environment says: what is slow in one call may be fast in the next, with equal keys."""
    time.sleep(float(os.environ.get("TOY_PAUSE", "0")))


@step("toy-draw", version=1, cost=free, tables=["draws"])
def draw(ctx):
    pause()
    ctx.out.array("x", np.random.default_rng(ctx.params["seed"]).normal(size=ctx.params["n"]))
    ctx.out.table("draws", pd.DataFrame({"node": [ctx.node_id], "n": [ctx.params["n"]]}))


@step("toy-sum", version=1, cost=free)
def add(ctx):
    total = sum(np.asarray(artifact.array("x")) for artifact in ctx.inputs.values())
    ctx.out.array("x", total)
    ctx.progress(1, 1, mean=total.mean())


@step("toy-train", version=1, cost=free)
def train(ctx):
    """Each value depends on all before it, so a wrong resume shows in the bytes."""
    state = np.array(ctx.inputs["start"].array("x"))
    first, saved = 0, ctx.checkpoint.load()
    if saved is not None:
        state, first = np.array(saved[0]["state"]), saved[1]["done"]
    ctx.out.facts(resumed_at=first)
    for done in range(first, ctx.params["steps"]):
        state = np.sin(1.7 * state + done)
        pause()
        ctx.progress(done + 1, ctx.params["steps"], loss=state[0])
        if done % 5 == 4:
            ctx.checkpoint.save({"state": state}, {"done": done + 1})
    ctx.out.array("x", state)


@step("toy-loud", version=1, cost=free)
def loud(ctx):
    """Print, as libraries do."""
    sys.stdout.write("Changing model dtype to torch.float32\n")
    ctx.out.json("none", {})


@step("toy-fail", version=1, cost=free)
def fail(ctx):
    ctx.out.array("half", np.zeros(3))
    raise ValueError(ctx.params["message"])


@step("toy-warn", version=1, cost=free)
def warn(ctx):
    logging.getLogger("toy").warning("logged %d", 7)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("shown", UserWarning, stacklevel=1)
    ctx.out.json("none", {})


@step("toy-report", version=1, cost=free)
def report(ctx):
    """Tell what the process looks like."""
    threads = [ctx.threads]
    if ctx.params.get("libraries"):
        import numba
        import torch

        threads += [numba.get_num_threads(), torch.get_num_threads()]
    ctx.out.json(
        "process",
        {
            "threads": threads,
            "omp": os.environ["OMP_NUM_THREADS"],
            "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "device": ctx.device,
            "pid": os.getpid(),
        },
    )


def sides(contexts):
    if any(ctx.params.get("alone") for ctx in contexts) and len(contexts) > 1:
        raise RuntimeError("not with others")
    for ctx in contexts:
        ctx.out.array("x", np.random.default_rng(ctx.params["seed"]).normal(size=3))
        ctx.out.facts(together=[other.node_id for other in contexts])
        ctx.progress(1, 1)


@step("toy-side", version=1, cost=free, together=sides)
def side(ctx):
    sides([ctx])


@step("toy-meet", version=1, cost=free)
def meet(ctx):
    """Wait until as many steps as are expected run at the same time, each in a process of its own."""
    place = Path(ctx.params["place"])
    (place / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(list(place.iterdir())) < ctx.params["expected"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(list(place.iterdir()))} came")
        time.sleep(0.05)
    ctx.out.json("devices", os.environ.get("CUDA_VISIBLE_DEVICES"))


@step("toy-die", version=1, cost=free)
def die(ctx):
    """Take the process down, as the kernel does for lack of memory, until the file has enough letters."""
    path = Path(ctx.params["deaths"])
    died = len(path.read_text()) if path.exists() else 0
    if died < ctx.params["times"]:
        path.write_text("x" * (died + 1))
        os._exit(9)
    ctx.out.array("x", np.ones(2))


def wide_plan():
    """Four chains of draw and train that join in a sum; some twins, one wide node."""
    nodes = []
    for chain in range(4):
        nodes.append(Node(f"draw/{chain}", "toy-draw", {"seed": chain, "n": 50}))
        nodes.append(
            Node(
                f"train/{chain}",
                "toy-train",
                {"steps": 10},
                {"start": f"draw/{chain}"},
                threads=1 + chain // 3,
                estimate=Estimate(seconds=1.0 + chain),
            )
        )
    nodes.append(Node("draw/twin", "toy-draw", {"seed": 0, "n": 50}))
    nodes.append(Node("sum", "toy-sum", {}, {f"in{chain}": f"train/{chain}" for chain in range(4)}))
    nodes.append(Node("sum/twin", "toy-sum", {}, {"a": "draw/0", "b": "draw/twin"}))
    return Plan(nodes)


def failing_plan():
    """``bad`` fails; ``after`` and ``last`` need it; ``good`` does not."""
    return Plan(
        [
            Node("start", "toy-draw", {"seed": 1, "n": 4}),
            Node("bad", "toy-fail", {"message": "no [luck] today"}, {"x": "start"}),
            Node("after", "toy-sum", {}, {"a": "bad", "b": "start"}),
            Node("good", "toy-sum", {}, {"a": "start"}),
            Node("last", "toy-sum", {}, {"a": "after", "b": "good"}),
        ]
    )


def digests(store, plan):
    """Digest of every payload file of a plan's artifacts, by node and file."""
    return {
        (node_id, path): entry["digest"]
        for node_id, key in plan.keys().items()
        for path, entry in store.get(key).manifest["files"].items()
    }


def make_run(store, plan, name="toy", recipe="toy"):
    """The run of that name, made on first use."""
    from storage import RunMissing

    try:
        return store.run(name)
    except RunMissing:
        keys = plan.keys()
        nodes = {node.id: {"step": node.step, "key": keys[node.id]} for node in plan}
        return store.create_run(name, recipe_name=recipe, recipe={}, nodes=nodes)


@step("toy-results", version=1, cost=free, tables=["headline", "features"])
def results(ctx):
    """The tables of a finished comparison, small."""
    comparison = ctx.params["comparison"]
    headline = pd.DataFrame(
        [("features", "overall", 0.58, 0.55, 0.61, 120), ("features", "m0-m1", 0.61, None, None, 40)],
        columns=["quantity", "pair", "value", "low", "high", "n"],
    )
    features = pd.DataFrame(
        [
            ("m0", 0, "alive", "universal", "context"),
            ("m1", 0, "alive", "universal", "token"),
            ("m1", 1, "dead", None, None),
        ],
        columns=["model", "latent", "status", "class", "level"],
    )
    for name, table in (("headline", headline), ("features", features)):
        table.insert(0, "comparison_id", comparison)
        ctx.out.table(name, table)


def results_plan(*comparisons):
    """A plan whose run has results to show."""
    draw_node = Node("draw", "toy-draw", {"seed": 1, "n": 3}, estimate=Estimate(2.0, 100, 10**6))
    return Plan(
        [draw_node]
        + [
            Node(
                f"comparison/{name}",
                "toy-results",
                {"comparison": name},
                {"x": "draw"},
                estimate=Estimate(3.0, 200, 10**7),
            )
            for name in comparisons
        ]
    )
