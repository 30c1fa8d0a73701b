"""Plans: order, keys, and the numbers that guide the schedule."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.engine import Estimate, Node, Plan, bottom_levels, critical_path, step
from pipelines.engine.plan import makespan
from pipelines.engine.step import _STEPS, find_step
from universality.errors import InputError


def _free(sizes, params):
    return Estimate()


@step("plan-test", version=1, cost=_free)
def _nothing(ctx):
    pass


@step("plan-test-rows", version=1, cost=_free, tables=["rows", "sums"])
def _rows(ctx):
    pass


@step("plan-test-more-rows", version=1, cost=_free, tables=["rows"])
def _more_rows(ctx):
    pass


def node(node_id, *inputs, seconds=1.0, **changes):
    named = {f"in{place}": source for place, source in enumerate(inputs)}
    values = {"params": {"id": node_id}, "inputs": named, "estimate": Estimate(seconds=seconds)}
    return Node(node_id, "plan-test", **(values | changes))


DIAMOND = [node("a"), node("b", "a", seconds=5), node("c", "a"), node("d", "b", "c")]


def test_given_order_stays_where_it_is_legal():
    assert [n.id for n in Plan(DIAMOND)] == ["a", "b", "c", "d"]
    assert [n.id for n in Plan([DIAMOND[0], DIAMOND[2], DIAMOND[1], DIAMOND[3]])] == ["a", "c", "b", "d"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_every_order_of_nodes_gives_inputs_first_and_equal_keys(order):
    plan = Plan([DIAMOND[place] for place in order])
    seen = set()
    for each in plan:
        assert set(each.inputs.values()) <= seen
        seen.add(each.id)
    assert plan.keys() == Plan(DIAMOND).keys()
    assert plan.digest() == Plan(DIAMOND).digest()


def test_circle_is_named():
    with pytest.raises(InputError, match=r"circle among \['a', 'b'\]"):
        Plan([node("a", "b"), node("b", "a"), node("c")])


def test_unknown_input_and_repeated_id_are_refused():
    with pytest.raises(InputError, match="input 'in0' of node 'b' must be a node of the plan; got a"):
        Plan([node("b", "a")])
    with pytest.raises(InputError, match="'a' twice"):
        Plan([node("a"), node("a")])


@pytest.mark.parametrize("changes", [{"threads": 0}, {"device": "tpu"}])
def test_illegal_node_is_refused(changes):
    with pytest.raises(InputError):
        node("a", **changes)


def test_key_depends_on_ancestry_only():
    base = Plan(DIAMOND).keys()
    execution = [node("a", threads=2, device="cuda", seconds=99), *DIAMOND[1:]]
    assert Plan(execution).keys() == base

    renamed = Plan([node("z", params={"id": "a"}), node("b", "z", seconds=5), node("c", "z"), DIAMOND[3]]).keys()
    assert (renamed["z"], renamed["d"]) == (base["a"], base["d"])

    changed = Plan([node("a", params={"id": "a", "x": 1}), *DIAMOND[1:]]).keys()
    assert all(changed[name] != base[name] for name in base)

    only_b = Plan([DIAMOND[0], node("b", "a", params={"x": 1}), *DIAMOND[2:]]).keys()
    assert {name for name in base if only_b[name] != base[name]} == {"b", "d"}


def test_raised_version_changes_the_key(monkeypatch):
    before = Plan(DIAMOND).keys()
    monkeypatch.setitem(_STEPS, "plan-test", replace(find_step("plan-test"), version=2))
    after = Plan(DIAMOND).keys()
    assert all(after[name] != before[name] for name in before)


def test_node_survives_json():
    original = node("b", "a", threads=3, device="cuda")
    assert Node.from_dict(original.to_dict()) == original


def test_step_names_are_unique_and_versions_positive():
    with pytest.raises(InputError, match="must be unique"):

        @step("plan-test", version=1, cost=_free)
        def _other(ctx):
            pass

    for bad in (0, True, "1"):
        with pytest.raises(InputError, match="version"):
            step("bad", version=bad, cost=_free)


def test_a_step_without_a_cost_cannot_be_registered():
    with pytest.raises(TypeError, match="cost"):
        step("unpriced", version=1)  # pyright: ignore[reportCallIssue]


def test_a_table_has_one_step_in_a_run():
    one, again = (Node(name, "plan-test-rows", {"id": name}) for name in "ab")
    assert len(Plan([one, again]).keys()) == 2
    with pytest.raises(InputError, match="table 'rows' must be one; got two: 'plan-test-rows' and 'plan-test-more"):
        Plan([one, Node("c", "plan-test-more-rows")]).keys()


def test_unknown_step_lists_the_known_ones():
    with pytest.raises(InputError, match="plan-test"):
        find_step("no-such-step", module="pipelines.engine.step")


def test_critical_path_of_the_diamond():
    plan = Plan(DIAMOND)
    assert bottom_levels(plan) == {"a": 7.0, "b": 6.0, "c": 2.0, "d": 1.0}
    assert critical_path(plan) == ["a", "b", "d"]
    assert plan.results() == ["d"]
    assert critical_path(Plan([])) == []


@st.composite
def plans(draw):
    count = draw(st.integers(1, 9))
    nodes = []
    for place in range(count):
        sources = draw(st.lists(st.integers(0, max(place - 1, 0)), unique=True, max_size=3)) if place else []
        seconds = draw(st.integers(0, 20))
        nodes.append(node(f"n{place}", *(f"n{source}" for source in sources), seconds=float(seconds)))
    return Plan(nodes)


@given(plans(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_makespan_lies_between_its_bounds(plan, workers):
    def cost(each):
        return each.estimate.seconds

    work = sum(cost(each) for each in plan)
    path = sum(cost(plan[name]) for name in critical_path(plan, cost))
    span = makespan(plan, cost, workers)
    assert max(path, work / workers) - 1e-9 <= span <= work + 1e-9
    assert span <= work / workers + path + 1e-9  # Graham's bound for list schedules
    assert makespan(plan, cost, 1) == pytest.approx(work)


def test_wide_steps_take_their_threads():
    plan = Plan([node("a", threads=2), node("b", threads=2), node("c", threads=1)])
    assert makespan(plan, lambda each: 1.0, workers=2) == 3.0
    assert makespan(plan, lambda each: 1.0, workers=4) == 2.0
    assert makespan(plan, lambda each: 1.0, workers=5) == 1.0


def test_steps_of_a_gpu_take_slots_of_their_own():
    plan = Plan([*(node(f"g{n}", device="cuda") for n in range(4)), node("c")])
    for slots, span in ((1, 4.0), (2, 2.0), (4, 1.0)):
        assert makespan(plan, lambda each: 1.0, workers=1, gpu_slots=slots) == span
