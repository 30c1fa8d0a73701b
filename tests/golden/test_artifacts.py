"""The bytes that the shipped steps make, held against recorded ones.

Code is never hashed into artifact keys, so a step that makes other bytes for equal params and inputs must say so with
a new version: else a store would go on serving what the old code made. ``artifacts.json`` holds, per node of recipe
``tiny`` and of a few small variants, the step's version, the artifact's key, a digest of its bytes for every
environment (packages and processor) that it was recorded in, and count, mean and spread of all its numbers. In such an
environment digests must be equal; elsewhere floats round differently and trainings part ways, so there the numbers must
be alike.

When this fails and results may change: raise the ``version`` of the steps it names. Then, or where a recipe has moved
on purpose, ``python tests/golden/test_artifacts.py --update``: what has the bytes that it had here keeps the digests of
other environments.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import llvmlite.binding
import numpy as np
import pandas as pd
import pytest
import torch

import pipelines.steps  # noqa: F401
from pipelines.engine import Plan, SerialExecutor, registered_steps, run_plan
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from storage import Artifact, Store, open_store

GOLDEN = Path(__file__).with_name("artifacts.json")
UPDATE = "then: python tests/golden/test_artifacts.py --update"
_GROUP = (
    "{{kind: native, n_untrained: 0, model_seeds: [{seed}], tokenizer: {{kind: train, vocab_size: {size}}}, "
    "architecture: {{n_layers: 1, d_model: 32, n_heads: 2, d_mlp: 64, act_fn: relu}}, training: {{tokens: 60000}}}}"
)
#: Parts of recipes that tiny has not, by name: what is set, and the nodes that show it.
VARIANTS = {
    "tiny": ([], None),
    "shuffled": (["models.floor=shuffled"], ["transformer/u0"]),
    "positions": (["training_rows={first_position: 3, special_tokens: true}"], ["activations/m0/sae_a"]),
    "live": (
        ["activation_source=live", "training_rows={max_norm: 1.5, first_position: 2}", "activation_tokens=6000"],
        ["sae/main/m1r"],
    ),
    "unseen": (
        ["mixes={no-dna: {without: [dna]}}", "models.data=[null, no-dna]", "models.n_untrained=0", "effects=null",
         "comparisons.0.replicates=false", "comparisons.0.neurons=false"],
        ["unseen_domains/main"],
    ),
    "sweep": (
        ["sweeps=[{id: s, hook_point: blocks.0.mlp.hook_post, sae: {d_sae: 64, tokens: 6000, batch_rows: 128}, "
         "vary: {k: [4, 8]}, n_seeds: 2}]"],
        ["sweep/s"],
    ),
    "study": (
        ["studies=[{id: s, hook_point: blocks.0.mlp.hook_post, sae: {d_sae: 64, k: 4, tokens: 6000, batch_rows: 128}, "
         "sae_seeds: [0, 1], floor: false}]"],
        ["study/s"],
    ),
    "layers": (
        ["studies=[{id: l, hook_points: [blocks.0.hook_resid_post, blocks.0.mlp.hook_post], sae_seeds: [0, 1], "
         "sae: {d_sae: 64, k: 4, tokens: 6000, batch_rows: 128}, floor: false, models: [m0, m1]}]"],
        ["study/l"],
    ),
    "checkpoints": (
        ["models.checkpoints=[0, 0.5]", "studies=[{id: c, hook_point: blocks.0.mlp.hook_post, models: [m0c1, m1c1], "
         "sae: {d_sae: 64, k: 4, tokens: 6000, batch_rows: 128}, floor: false}]"],
        ["study/c"],
    ),
    "splitting": (
        ["studies=[{id: s, hook_point: blocks.0.mlp.hook_post, sae: {k: 4, tokens: 6000, batch_rows: 128}, "
         "sae_seeds: [0, 1, 2], vary: {d_sae: [32, 64]}, floor: false}]"],
        ["split_agreement/s/m0-m1"],
    ),
    "rerun": (
        ["comparisons=[{id: z, hook_point: blocks.0.attn.hook_z, replicates: false, neurons: false, "
         "sae: {d_sae: 64, k: 4, tokens: 6000, batch_rows: 128}}]", "models.n_untrained=0",
         "effects={rows: 1500, rerun_rows: 100, per_latent: 6, latents: 24, horizon: 4}"],
        ["effects/z/m0-m1"],
    ),
    "tokenizers": (
        [f"models=[{', '.join(_GROUP.format(seed=seed, size=size) for seed, size in ((0, 512), (1, 400)))}]"],
        ["matching/main/m0-m1", "tokenizer"],
    ),
    "same_index": (["comparisons.0.same_index=true"], ["same_index/main/m0-m1"]),
}  # fmt: skip
#: Steps of files from elsewhere, which tests/unit/pipelines/test_hub_*.py and test_pretrained_run.py hold.
FROM_ELSEWHERE = {"pretrained", "loaded_sae", "readouts"}
#: Steps that look at a few chosen features, and places on a map, whose axes mean nothing: numbers need not be alike.
OF_CHOSEN = {"steering_clusters", "steering", "layout"}
#: Packages whose version may move bytes.
PACKAGES = (
    "networkx", "numba", "numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch",
    "transformer-lens", "umap-learn",
)  # fmt: skip


def environment() -> dict[str, object]:
    """What decides how floats round and how files are written."""
    return {
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "machine": platform.machine(),
        "cpu": llvmlite.binding.get_host_cpu_name(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def environment_id() -> str:
    """A short name of this environment."""
    return hashlib.blake2b(json.dumps(environment(), sort_keys=True).encode(), digest_size=4).hexdigest()


def golden_plans() -> dict[str, Plan]:
    """Tiny, and of every variant its nodes with all that they are made from."""
    plans = {}
    for name, (overrides, targets) in VARIANTS.items():
        plan = build_plan(load_recipe("tiny", overrides))
        needed = set(targets or [node.id for node in plan])
        for node in reversed(plan.nodes):
            if node.id in needed:
                needed.update(node.inputs.values())
        plans[name] = Plan(node for node in plan if node.id in needed)
    return plans


def planned() -> dict[str, dict]:
    """Step, version, key and input keys of every node, each key once."""
    records: dict[str, dict] = {}
    by_key: dict[str, str] = {}
    for name, plan in golden_plans().items():
        keys = plan.keys()
        for node in plan:
            place = node.id if name == "tiny" else f"{name}: {node.id}"
            if by_key.setdefault(keys[node.id], place) == place:
                inputs = sorted({by_key[keys[source]] for source in node.inputs.values()})
                version = registered_steps()[node.step].version
                records[place] = {
                    "step": node.step,
                    "version": version,
                    "key": keys[node.id],
                    "inputs": inputs,
                }
    return records


def compute(url: str) -> Store:
    """A store with the artifacts of all plans."""
    store = open_store(url)
    for name, plan in golden_plans().items():
        nodes = {node.id: {"step": node.step, "key": plan.keys()[node.id]} for node in plan}
        run = store.create_run(f"golden-{name}", recipe_name="tiny", recipe={}, nodes=nodes)
        outcome = run_plan(plan, store, run, executor=SerialExecutor())
        assert outcome.status == "done", outcome.errors
    return store


def made(store: Store) -> dict[str, dict]:
    """:func:`planned`, with digest and numbers of every artifact."""
    records = planned()
    for record in records.values():
        artifact = store.get(record["key"])
        files = sorted((path, file["digest"]) for path, file in artifact.manifest["files"].items())
        record["digest"] = hashlib.blake2b(json.dumps(files).encode(), digest_size=12).hexdigest()
        record["numbers"] = numbers(artifact)
    return records


def numbers(artifact: Artifact) -> dict[str, list[float]]:
    """Count, mean and standard deviation by the name of an entry; of text the count, and how many differ."""
    entries: dict[str, object] = {}
    for name in artifact.names("arrays"):
        entries[f"array {name}"] = np.asarray(artifact.array(name))
    for name in artifact.names("tensors"):
        entries |= {f"tensor {name}.{part}": values for part, values in artifact.tensors(name).items()}
    for name in artifact.names("sparse"):
        entries[f"sparse {name}"] = artifact.csr(name).data
    for name in artifact.names("json"):
        entries |= {f"json {name}{path}": [value] for path, value in _leaves(artifact.json(name))}
    for name in artifact.names("tables"):
        entries |= {f"table {name}.{column}": values for column, values in artifact.table(name).items()}
    return {name: _numbers(values) for name, values in entries.items()}


def _leaves(value, path: str = ""):
    """The numbers of a JSON value by their path; nodes and edges of a graph have none."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key not in ("nodes", "edges"):
                yield from _leaves(child, f"{path}.{key}")
    elif isinstance(value, list):
        for place, child in enumerate(value):
            yield from _leaves(child, f"{path}.{place}")
    elif isinstance(value, float | int):
        yield path, value


def _numbers(values) -> list[float]:
    values = pd.Series(np.ravel(values)).dropna()
    if values.dtype.kind not in "biuf":
        return [len(values), values.astype(str).nunique(), 0.0]
    finite = values.to_numpy(np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return [0, 0.0, 0.0]
    return [len(finite), *(float(f"{x:.6g}") for x in (finite.mean(), finite.std()))]


def complaint(golden: dict[str, dict], now: dict[str, dict], moved: list[str]) -> str | None:
    """What to say of nodes that moved: the first of each chain, since what follows moves with it; None for none."""
    first = [place for place in moved if not set(now[place]["inputs"]) & set(moved)]
    silent = [place for place in first if now[place]["version"] == golden[place]["version"]]
    if silent:
        steps = ", ".join(sorted({now[place]["step"] for place in silent}))
        return (
            f"Step {steps} makes other results than recorded ({', '.join(silent)}), and its version is the same: "
            "stores would go on serving the old ones. If results may change, raise its version in pipelines/steps; "
            f"{UPDATE}"
        )
    return f"Versions were raised ({', '.join(first)}); {UPDATE}" if first else None


def unlike(golden: dict[str, dict], now: dict[str, dict]) -> dict[str, list[str]]:
    """By node, the entries whose numbers differ by more than another processor's rounding can make of a training.

    A node whose inputs have other bytes already may differ four times as much: trainings that part ways find other
    latents, and these other pairs.
    """
    other = {place for place in now if not _same_bytes(golden[place], now[place])}
    slack = {place: 4.0 if other & set(record.get("inputs", ())) else 1.0 for place, record in now.items()}
    return {
        place: names
        for place, record in now.items()
        if record.get("step") not in OF_CHOSEN
        and not _same_bytes(golden[place], record)
        and (names := _unlike(golden[place]["numbers"], record["numbers"], slack[place]))
    }


def _same_bytes(golden: dict, now: dict) -> bool:
    """Whether an artifact has the bytes that some environment recorded."""
    return now.get("digest") in golden.get("digests", {}).values()


def _unlike(golden: dict[str, list[float]], now: dict[str, list[float]], slack: float) -> list[str]:
    missing = sorted(set(golden) ^ set(now))
    if slack > 1:  # a count by level or class has no name where it is 0
        missing = [name for name in missing if not name.startswith("json ")]
    return missing + [name for name in now if name in golden and not _alike(golden[name], now[name], slack)]


def _alike(golden: list[float], now: list[float], slack: float) -> bool:
    (count, mean, spread), (count_now, mean_now, spread_now) = golden, now
    if abs(count_now - count) > slack * (0.1 * count + 3):
        return False
    few = 3 / max(count, 1) ** 0.5  # means of few values differ more
    if slack == 1:
        near = abs(mean_now - mean) <= (0.1 + few) * (spread + 0.1 * abs(mean)) + 1e-6
        return near and spread_now <= (1.5 + few) * spread + 1e-6 and spread <= (1.5 + few) * spread_now + 1e-6
    # Other pairs of other latents: what is of another order of magnitude is another quantity.
    widest, size = max(spread, spread_now), max(abs(mean), abs(mean_now))
    return abs(mean_now - mean) <= (0.5 + few) * widest + 0.9 * size + 3 * (spread == spread_now == 0) + 1e-6


@pytest.fixture(scope="module")
def now(tmp_path_factory) -> dict[str, dict]:
    from tiny_run import tiny_store

    folder = tmp_path_factory.mktemp("golden") / "store"
    shutil.copytree(tiny_store() / "artifacts", folder / "artifacts")
    return made(compute(str(folder)))


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text())


def test_every_step_that_computes_is_recorded(golden):
    steps = {name for name, step in registered_steps().items() if step.module.startswith("pipelines.steps")}
    assert {record["step"] for record in golden["nodes"].values()} == steps - FROM_ELSEWHERE


def test_keys_are_those_recorded(golden):
    """No computing: params, inputs and versions of every node."""
    now = planned()
    assert list(now) == list(golden["nodes"]), f"nodes came or went; if they should, {UPDATE}"
    moved = [place for place in now if now[place]["key"] != golden["nodes"][place]["key"]]
    first = [place for place in moved if not set(now[place]["inputs"]) & set(moved)]
    assert not first, f"{first}: params, inputs or version moved, so every stored artifact would be made anew; {UPDATE}"


def test_equal_keys_have_equal_artifacts(golden, now):
    here, nodes = environment_id(), golden["nodes"]
    recorded = {place for place in now if here in nodes[place]["digests"]}
    moved = {place for place in recorded if now[place]["digest"] != nodes[place]["digests"][here]}
    moved |= unlike(nodes, now).keys() - recorded
    said = complaint(nodes, now, [place for place in now if place in moved])
    assert said is None, said


def test_a_chain_that_moved_is_told_by_its_first_step():
    one = {
        "a": {"step": "sae", "version": 1, "inputs": []},
        "b": {"step": "latents", "version": 2, "inputs": ["a"]},
    }
    raised = {**one, "a": {**one["a"], "version": 2}}
    assert complaint(one, one, []) is None
    assert str(complaint(one, one, ["a", "b"])).startswith("Step sae makes other results than recorded (a), and its")
    assert "raise its version" in str(complaint(one, one, ["b"]))
    assert str(complaint(one, raised, ["a", "b"])).startswith("Versions were raised (a)")


@pytest.mark.parametrize(
    ("now", "alike"),
    [
        ([1000, 0.51, 0.2], True), ([1000, 0.58, 0.2], False), ([1000, 0.5, 0.4], False), ([1200, 0.5, 0.2], False),
        ([1050, 0.5, 0.21], True),
    ],
)  # fmt: skip
def test_elsewhere_numbers_must_be_alike(now, alike):
    golden = {"n": {"numbers": {"table t.x": [1000, 0.5, 0.2]}}}
    assert unlike(golden, {"n": {"numbers": {"table t.x": now}}}) == ({} if alike else {"n": ["table t.x"]})
    assert unlike(golden, {"n": {"numbers": {}}}) == {"n": ["table t.x"]}


def test_elsewhere_what_a_parted_training_leads_to_is_held_to_its_order_of_magnitude():
    golden = {"a": {"digests": {"here": "x"}, "numbers": {}}, "b": {"digests": {}, "numbers": {"t": [100, 0.5, 0.2]}}}
    for numbers, alike in (
        ([90, 0.7, 0.3], True),
        ([100, -0.5, 0.2], False),
        ([100, 8.0, 0.2], False),
        ([10, 0.5, 0.2], False),
    ):
        now = {"a": {"digest": "y", "numbers": {}}, "b": {"digest": "z", "numbers": {"t": numbers}, "inputs": ["a"]}}
        assert unlike(golden, now) == ({} if alike else {"b": ["t"]}), numbers


def updated(golden: dict, nodes: dict[str, dict], here: str) -> dict[str, dict]:
    """What is recorded: digests of other environments stay where the bytes are what they were here, or nobody knows."""
    for place, record in nodes.items():
        before, digest = golden["nodes"].get(place, {}), record.pop("digest")
        digests = before.get("digests", {}) if before.get("key") == record["key"] else {}
        record["digests"] = {**(digests if digests.get(here, digest) == digest else {}), here: digest}
    return nodes


def test_an_update_keeps_what_other_processors_make_of_the_same_step():
    golden = {"nodes": {"a": {"key": "k", "digests": {"here": "x", "there": "y"}}}}
    for key, digest, kept in (("k", "x", True), ("k", "z", False), ("l", "x", False)):
        (record,) = updated(golden, {"a": {"key": key, "digest": digest}}, "here").values()
        assert record["digests"] == {"here": digest, **({"there": "y"} if kept else {})}
    assert updated({"nodes": {}}, {"b": {"key": "k", "digest": "x"}}, "here")["b"]["digests"] == {"here": "x"}


if __name__ == "__main__" and "--update" in sys.argv:
    before = json.loads(GOLDEN.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        nodes = updated(before, made(compute(temporary)), environment_id())
    named = {digest for record in nodes.values() for digest in record["digests"]}
    known = {**before["environments"], environment_id(): environment()}
    environments = {name: known[name] for name in sorted(named)}
    lines = [f" {json.dumps(place)}: {json.dumps(record)}" for place, record in nodes.items()]
    head = f'{{"environments": {json.dumps(environments)},\n "nodes": {{\n'
    GOLDEN.write_text(head + ",\n".join(lines) + "\n}}\n")
    print(f"wrote {GOLDEN.name}: {len(nodes)} nodes")  # noqa: T201
