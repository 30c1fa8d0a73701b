"""Commands on a store whose runs were made by small steps: exit codes, streams, JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.cli import execute, planning, progress
from pipelines.cli.main import app
from pipelines.engine import Node, Plan, SerialExecutor, run_plan
from storage import RunMissing, open_store
from universality.errors import InputError

TOYS = str(Path(__file__).resolve().parents[1] / "toys")
if TOYS not in sys.path:
    sys.path.insert(0, TOYS)
import engine_toys as toys


class Recipe:
    """What commands need of a recipe."""

    def __init__(self, name="toy", **settings):
        self.recipe, self.settings = name, settings

    def resolved(self):
        return {"recipe": self.recipe, **self.settings}


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture
def call(url, monkeypatch):
    """Call the program: arguments -> (exit code, stdout, stderr), on this test's store."""
    monkeypatch.setenv("UNIVERSALITY_STORE", url)
    monkeypatch.delenv("COLUMNS", raising=False)
    runner = CliRunner()

    def call(*arguments):
        result = runner.invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


@pytest.fixture
def as_recipe(monkeypatch):
    """Let RECIPE stand for a given plan."""

    def use(plan, name="toy", resolved=None):
        found = (Recipe(name, **(resolved or {})), plan)
        monkeypatch.setattr(planning, "recipe_and_plan", lambda *arguments: found)

    return use


def test_run_prints_results_on_stdout_and_progress_on_stderr(call, as_recipe):
    plan = toys.results_plan("main")
    as_recipe(plan)
    code, out, err = call("run", "toy", "--serial")
    assert code == 0
    assert "Comparison main" in out
    assert "0.58" in out
    assert "[2/2] comparison/main" in err
    assert "2 steps computed" in err
    assert f"universality report toy-{plan.digest()}" in err
    assert "[2/2]" not in out

    code, out, err = call("run", "toy")  # Dask by default: not started, since there is nothing to do
    assert code == 0
    assert "nothing to compute, all 2 steps are in the store" in err
    assert "0.58" in out


def test_run_json_is_one_document(call, as_recipe):
    as_recipe(toys.results_plan("main"))
    code, out, err = call("run", "toy", "--serial", "--json", "--quiet", "--name", "mine")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["name"], document["status"], document["n_computed"]) == ("mine", "done", 2)
    assert document["headline"]["features"] == {"overall": 0.58, "m0-m1": 0.61}
    assert document["counts"]["class"] == {"universal": 2}


def test_run_json_is_one_document_whatever_steps_and_libraries_print(call, as_recipe, monkeypatch):
    as_recipe(Plan([*toys.results_plan("main"), Node("loud", "toy-loud", {})]))
    monkeypatch.setattr(
        execute, "choose_display", lambda *arguments: sys.stdout.write("chatter\n") and progress.Silent()
    )
    code, out, err = call("run", "toy", "--serial", "--json", "--quiet", "--name", "mine")
    assert json.loads(out)["n_computed"] == 3
    assert (code, err) == (0, "chatter\n")


def test_partial_and_failed_runs_have_their_exit_codes(call, as_recipe):
    as_recipe(toys.failing_plan())
    code, out, err = call("run", "toy", "--serial", "--quiet")
    assert code == 1
    assert err.count("ValueError: no [luck] today") == 1, "one failure is one line"
    assert "failed: bad: ValueError" in err
    assert "skipped: " not in err
    assert "2 done, 1 failed (bad), 2 skipped of 5 steps" in err
    assert "Traceback" not in err
    as_recipe(Plan([*toys.results_plan("main"), Node("bad", "toy-fail", {"message": "no"})]))
    code, out, err = call("run", "toy", "--serial", "-v")
    assert code == 3
    assert "0.58" in out, "results that exist are shown"
    assert "Traceback (most recent call last)" in err


def test_usage_errors_exit_2_with_one_paragraph(call, as_recipe):
    as_recipe(toys.results_plan("main"))
    for arguments in (
        ["run", "toy", "--serial", "--workers", "2"],
        ["run", "toy", "--scheduler", "tcp://x:1", "--workers", "2"],
        ["run", "toy", "--workers", "0"],
        ["run"],
        ["show", "no-such-run"],
        ["status", "--json", "--watch"],
        ["report", "x"],
        ["nonsense"],
    ):
        code, out, err = call(*arguments)
        assert code == 2, arguments
        assert out == ""
        assert err.strip()
        assert "Traceback" not in err


def test_a_name_belongs_to_one_recipe(call, as_recipe):
    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "mine")
    as_recipe(toys.results_plan("other"), name="another")
    code, _, err = call("run", "another", "--serial", "--name", "mine")
    assert code == 2
    assert "a run of recipe 'toy'" in err


def test_an_edited_recipe_goes_on_under_the_same_name(call, as_recipe, url):
    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "mine")
    as_recipe(toys.results_plan("main", "wide"))
    code, out, err = call("run", "toy", "--serial", "--name", "mine")
    assert code == 0
    assert "1 step computed, 2 reused" in err
    assert "Comparison wide" in out
    document = json.loads(call("show", "mine", "--json")[1])
    assert list(document["comparisons"]) == ["main", "wide"]


def test_a_name_with_results_is_not_used_for_other_settings(call, as_recipe, url):
    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "mine")
    before = open_store(url).run("mine").record
    main = toys.results_plan("main")
    other = Plan([Node("draw", "toy-draw", {"seed": 9, "n": 3}), *main.nodes[1:]])
    as_recipe(other)
    code, out, err = call("run", "toy", "--serial", "--name", "mine")
    assert (code, out) == (2, "")
    assert "'mine', which has results of others (seed " in err
    assert "universality delete mine" in err
    assert open_store(url).run("mine").record == before
    as_recipe(main, resolved={"compare": {"tau": 0.6}})
    assert call("run", "toy", "--serial", "--name", "mine")[0] == 0  # the same results under more settings
    assert open_store(url).run("mine").record["recipe"]["compare"] == {"tau": 0.6}
    as_recipe(other, resolved={"compare": {"tau": 0.7}})
    code, _, err = call("run", "toy", "--serial", "--name", "mine")
    assert code == 2
    assert "(compare.tau 0.6, now 0.7)" in err


def test_a_run_without_results_goes_over_to_other_settings_and_its_record_says_so(call, as_recipe, url):
    as_recipe(Plan([Node("draw", "toy-draw", {"seed": 1, "n": 3}), Node("bad", "toy-fail", {"message": "no"})][1:]))
    assert call("run", "toy", "--serial", "--name", "mine")[0] == 1
    as_recipe(toys.results_plan("main"), resolved={"compare": {"tau": 0.6}})
    assert call("run", "toy", "--serial", "--name", "mine")[0] == 0
    record = open_store(url).run("mine").record
    assert record["recipe"] == {"recipe": "toy", "compare": {"tau": 0.6}}
    assert list(record["nodes"]) == ["draw", "comparison/main"]


def test_plan_tells_cached_stale_and_to_do(call, as_recipe):
    before = toys.results_plan("main")
    as_recipe(before)
    document = json.loads(call("plan", "toy", "--json")[1])
    assert [node["state"] for node in document["nodes"]] == ["to do", "to do"]
    assert document["totals"]["seconds"] == document["totals"]["makespan"] == 5.0
    assert document["critical_path"]["nodes"] == ["draw", "comparison/main"]
    assert document["name"] == f"toy-{before.digest()}"

    call("run", "toy", "--serial")
    document = json.loads(call("run", "toy", "--dry-run", "--json")[1])
    assert [node["state"] for node in document["nodes"]] == ["cached", "cached"]
    assert "Nothing to compute" in call("plan", "toy")[1]

    changed = [
        Node("draw", "toy-draw", {"seed": 2, "n": 3}),
        *before.nodes[1:],
        Node("new", "toy-sum", {}, {"x": "draw"}),
    ]
    as_recipe(Plan(changed))
    document = json.loads(call("plan", "toy", "--json")[1])
    assert [(node["state"], node["because"]) for node in document["nodes"]] == [
        ("stale", "params.seed"), ("stale", "draw"), ("to do", ""),
    ]  # fmt: skip
    code, out, _ = call("plan", "toy")
    assert code == 0
    assert "stale (params.seed)" in out
    assert "Critical path" in out
    assert max(map(len, out.splitlines())) <= 100


def test_ls_newest_first_and_empty(call, as_recipe, url):
    code, out, err = call("ls")
    assert (code, out) == (0, "")
    assert "universality run quickstart" in err
    assert json.loads(call("ls", "--json")[1]) == []
    as_recipe(toys.results_plan("main"))
    for name in ("first", "second"):
        call("run", "toy", "--serial", "--name", name)
        time.sleep(0.01)
    listed = json.loads(call("ls", "--json")[1])
    assert [run["name"] for run in listed] == ["second", "first"]
    assert set(listed[0]) == {"name", "status", "recipe", "created", "settings", "note"}
    assert listed[0]["created"].endswith("Z")
    assert "second" in call("ls")[1]
    assert json.loads(call("show", "--json")[1])["name"] == "second", "the newest by default"


def test_after_a_run_without_results_nothing_is_offered_that_would_show_none(call, as_recipe, url):
    said = Node("good", "toy-draw", {"seed": 1, "n": 3}, warnings=("it is small",))
    as_recipe(Plan([said, Node("bad", "toy-fail", {"message": "no"})]))
    code, out, err = call("run", "toy", "--serial", "--name", "half")
    assert code == 3
    assert err.index("warning: good: it is small") < err.index("to compute")
    assert "Next:" not in err
    assert f"universality status half --store {url}" in out
    assert "it is small" not in call("run", "toy", "--serial", "--name", "half")[2], "it is computed"


def test_show_before_there_are_results(call, as_recipe, url):
    store = open_store(url)
    toys.make_run(store, toys.results_plan("main"), "waiting")
    document = json.loads(call("show", "waiting", "--json")[1])
    head = {"name": "waiting", "status": "planned", "wall_s": None, "note": ""}
    assert document == {**head, "headline": {}, "counts": {}}
    code, out, _ = call("show", "waiting")
    assert code == 0
    assert "universality status waiting" in out


@pytest.fixture
def named(url):
    """A store with runs of two recipes, oldest first."""
    store = open_store(url)
    for name, recipe in (
        ("alpha-1", "alpha"),
        ("alpha-2", "alpha"),
        ("alphabet", "letters"),
        ("beta", "alpha"),
    ):
        toys.make_run(store, toys.results_plan("main"), name, recipe)
    return store


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("alpha-1", "alpha-1"),
        ("alphabet", "alphabet"),  # a name wins over the start of others
        ("alpha", "beta"),  # a recipe: its newest run
        ("beta", "beta"),
        ("b", "beta"),  # the start of one name
        ("letters", "alphabet"),
        (None, "beta"),
    ],
)
@pytest.mark.parametrize("command", ["show", "status"])
def test_a_run_is_named_by_name_recipe_or_start(call, named, command, said, meant):
    _, out, _ = call(command, *([said] if said else []), "--json")
    assert json.loads(out)["name"] == meant


def test_the_start_of_several_names_lists_them(call, named):
    for command in (["show"], ["status"], ["verify"], ["delete", "--yes"], ["report", "--out", "r"]):
        code, _, err = call(*command[:1], "alph", *command[1:])
        assert code == 2
        assert "'alph', the start of alpha-1, alpha-2, alphabet" in err
    code, _, err = call("show", "gamma")
    assert code == 2
    assert "alpha-1, alpha-2, alphabet, beta" in err


def test_runs_beside_a_report_are_named_in_the_same_way(named, monkeypatch, tmp_path):
    from types import SimpleNamespace

    from pipelines.cli import outputs
    from pipelines.report import report_writer

    options = []
    made = SimpleNamespace(files=[], missing=[])
    monkeypatch.setattr(report_writer, "write_report", lambda run, out, chosen: options.append((run, chosen)) or made)
    beside = ["letters,alpha-1", "alphabet", "b"]
    outputs.report(tmp_path, "alpha", named.url, formats="svg", runs=beside)
    ((run, chosen),) = options
    assert run.name == "beta"
    assert [other.name for other in chosen.runs] == ["alphabet", "alpha-1"]


def test_delete_asks_and_says_what_gc_frees(call, as_recipe, url, monkeypatch):
    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "one")
    as_recipe(toys.results_plan("main", "wide"))
    call("run", "toy", "--serial", "--name", "two")
    code, _, err = call("delete", "two")
    assert code == 2
    assert "deletion of run 'two' must be confirmed; got neither --yes nor a terminal. Give --yes." in err
    assert open_store(url).run("two")
    code, _, err = call("delete", "tw", "--yes")
    assert code == 0
    assert "Run two is deleted. `universality gc` frees 1 artifact (" in err
    assert [run.name for run in open_store(url).runs()] == ["one"]
    assert "1 artifact and 0 leftovers removed" in call("gc")[2]
    assert call("verify", "one")[0] == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, []), ("n", 1, ["toy"]), ("", 1, ["toy"])])
def test_on_a_terminal_the_answer_counts(as_recipe, call, url, monkeypatch, answer, code, left):
    from pipelines.cli import care

    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "toy")

    class Terminal:
        stdin = type("Stdin", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(care, "sys", Terminal)
    result = CliRunner().invoke(app, ["delete", "toy", "--store", url], input=f"{answer}\n")
    assert result.exit_code == code
    assert "Delete run toy? It leaves 2 artifacts (" in result.stderr
    assert [run.name for run in open_store(url).runs()] == left


def test_a_run_that_is_being_computed_is_not_deleted(call, url):
    store = open_store(url)
    with toys.make_run(store, toys.results_plan("main"), "live").lock():
        code, _, err = call("delete", "live", "--yes")
    assert code == 1
    assert "state of run 'live' must be at rest before it is deleted; got computed by process" in err
    assert store.run("live")


def test_status_of_a_failed_run(call, as_recipe):
    as_recipe(toys.failing_plan())
    call("run", "toy", "--serial", "--name", "bad")
    document = json.loads(call("status", "bad", "--json")[1])
    assert document["status"] == "failed"
    assert document["nodes"] == {"done": 2, "failed": 1, "skipped": 2}
    assert document["failed"] == {"bad": "ValueError: no [luck] today"}
    code, out, _ = call("status", "--watch")  # a run that is not running ends the watch at once
    assert code == 0
    assert "failed: bad: ValueError: no [luck] today" in out
    assert "skipped: 2 steps that need what failed" in out


def test_status_while_a_run_is_running(call, url):
    """Seen from inside the run, as another terminal would see it."""
    store, seen = open_store(url), []
    plan = toys.wide_plan()
    run = toys.make_run(store, plan, "live")

    def look(event):
        if event["event"] == "progress" and event["node"] == "train/2":
            seen.append((json.loads(call("status", "live", "--json")[1]), call("status", "live")[1]))

    run_plan(plan, store, run, executor=SerialExecutor(), progress=look)
    document, text = seen[0]
    assert document["status"] == "running"
    assert document["running"]["train/2"]["fraction"] == pytest.approx(0.1)
    assert 0 < document["fraction"] < 1
    assert document["nodes"]["running"] == 1
    assert "train/2: 10 %" in text


def test_verify_of_no_store_is_no_success(call, url):
    code, _, err = call("verify")
    assert code == 2
    assert f"There is no store at {url}" in err


def test_verify_finds_a_flipped_byte_and_says_what_to_do(call, as_recipe, url):
    plan = toys.results_plan("main")
    as_recipe(plan)
    call("run", "toy", "--serial", "--name", "mine")
    code, out, err = call("verify")
    assert (code, out) == (0, "")
    assert "2 artifacts checked" in err
    path = next(Path(url).glob(f"artifacts/{plan.keys()['draw']}/**/x.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    code, out, err = call("verify", "mine")
    assert code == 1
    assert out.startswith("draw (")
    assert "x.npy" in out
    assert "run the recipe again" in err
    document = json.loads(call("verify", "mine", "--json")[1])
    assert document["checked"] == 2
    assert [problem["node"] for problem in document["problems"]] == ["draw"]


def test_gc_removes_what_no_run_uses(call, as_recipe, url):
    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "mine")
    old = set(open_store(url).keys())
    call("delete", "mine", "--yes")
    as_recipe(Plan([Node("draw", "toy-draw", {"seed": 9, "n": 3})]))
    call("run", "toy", "--serial", "--name", "mine")
    code, out, err = call("gc", "--dry-run")
    assert code == 0
    assert set(out.split()) == old
    assert "would be removed" in err
    assert set(open_store(url).keys()) > old
    assert set(json.loads(call("gc", "--json")[1])["removed"]) == old
    assert len(open_store(url).keys()) == 1


def test_doctor_names_a_remedy_for_every_problem(call, url):
    code, out, _ = call("doctor", "--json")
    findings = json.loads(out)
    assert {
        "Python",
        "packages",
        "demo text",
        "package names",
        "cores",
        "memory",
        "CUDA",
        "store",
        "disk",
    } <= {finding["what"] for finding in findings}
    assert all(finding["remedy"] for finding in findings if finding["status"] != "ok")
    assert code == (1 if any(finding["status"] == "failed" for finding in findings) else 0)
    text = call("doctor")[1]
    assert all(finding["what"] in text for finding in findings)


def test_version_recipes_and_schema(call):
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith("universality 0.")
    assert "quickstart" in json.loads(call("recipes", "--json")[1])
    assert "quickstart" in call("recipes")[1]
    schema = json.loads(call("schema")[1])
    assert "comparisons" in schema["properties"]


def test_unknown_keys_of_a_recipe_exit_2(call, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("recipe: x\ncomparsions: []\n")
    code, out, err = call("plan", path)
    assert (code, out) == (2, "")
    assert "comparsions" in err
    assert "comparisons" in err, "the nearest legal key"


def test_open_or_create_resumes(url):
    store, plan = open_store(url), toys.results_plan("main")
    with pytest.raises(RunMissing):
        store.run(f"toy-{plan.digest()}")
    made = execute.open_or_create(store, Recipe(), plan, None)
    assert made.record["environment"]["packages"]["numpy"]
    assert execute.open_or_create(store, Recipe(), plan, None).record == made.record
    with pytest.raises(InputError):
        execute.open_or_create(store, Recipe("other"), plan, made.name)


def test_gc_leaves_a_folder_that_was_never_a_store_alone(call, url):
    mine = [
        Path(url, name) for name in ("checkpoints/model.safetensors", "artifacts/a/manifest.json", "temporary/a.json")
    ]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    for arguments in (["gc"], ["gc", "--dry-run"], ["gc", "--store", f"{url}/nowhere"], ["gc", "--store", "/proc"]):
        code, out, err = call(*arguments)
        assert (code, out) == (2, ""), arguments
        assert "must be a folder with universality-store.json" in err
        assert "Traceback" not in err
    assert all(path.read_text() == "{}" for path in mine)


def test_a_run_is_not_begun_in_a_folder_of_somebody_else(call, as_recipe, url):
    Path(url, "runs", "mine").mkdir(parents=True)
    as_recipe(toys.results_plan("main"))
    code, _, err = call("run", "toy", "--serial")
    assert code == 2
    assert "Give another --store" in err


def test_what_is_gone_of_a_finished_run_is_said_everywhere(call, as_recipe, url):
    as_recipe(toys.results_plan("main"))
    call("run", "toy", "--serial", "--name", "mine")
    key = open_store(url).run("mine").record["nodes"]["comparison/main"]["key"]
    Path(url, "artifacts", key, "manifest.json").unlink()
    gone = "Gone from the store since it finished: comparison/main."
    for command in ("show", "status"):
        code, out, _ = call(command, "mine")
        assert code == 0
        assert gone in " ".join(out.split())
        assert json.loads(call(command, "mine", "--json")[1])["gone"] == ["comparison/main"]
    assert json.loads(call("ls", "--json")[1])[0]["status"] == "partial"
    for arguments in (["verify"], ["verify", "mine"]):
        code, out, _ = call(*arguments)
        assert code == 1
        assert f"comparison/main ({key}) : the artifact is gone" in out
    assert call("run", "toy", "--serial", "--name", "mine")[0] == 0
    assert json.loads(call("show", "mine", "--json")[1])["status"] == "done"


def test_a_damaged_record_is_told_and_hides_no_other_run(call, as_recipe, url):
    as_recipe(toys.results_plan("main"))
    for name in ("one", "two"):
        call("run", "toy", "--serial", "--name", name)
    record = Path(url, "runs", "two", "run.json")
    record.write_text(record.read_text().replace('"toy"', '"tox"'))
    code, out, err = call("ls")
    assert code == 0
    assert "one" in out
    assert "Left out: run.json of run 'two' must be as it was written" in err
    code, out, _ = call("verify")
    assert code == 1
    assert "runs/two/run.json: run.json of run 'two'" in out
    for arguments in (["show", "two"], ["status", "two"], ["gc"], ["report", "two", "--out", f"{url}-report"]):
        code, out, err = call(*arguments)
        assert (code, out) == (1, ""), arguments
        assert "must be as it was written" in err
        assert "Traceback" not in err
    assert call("show", "one")[0] == 0


def names_of(url):
    return [run.name for run in open_store(url).runs()]


def test_a_try_that_computed_nothing_leaves_no_run(call, as_recipe, url):
    fails = Node("bad", "toy-fail", {"message": "no [luck] today"})
    as_recipe(Plan([fails]))
    code, _, err = call("run", "toy", "--serial")
    assert code == 1
    assert "failed: bad: ValueError: no [luck] today" in err
    assert "Nothing was computed, so no run is kept." in err
    log = Path(err.partition("Logs: ")[2].split()[0])
    assert "Traceback (most recent call last)" in log.read_text()
    log.unlink()
    assert names_of(url) == []
    document = json.loads(call("run", "toy", "--serial", "--json", "--quiet")[1])
    assert (document["status"], document["kept"], document["n_computed"]) == ("failed", False, 0)
    assert document["errors"]["bad"]["error"] == "ValueError: no [luck] today"
    Path(document["errors"]["bad"]["log"]).unlink()

    as_recipe(toys.failing_plan())  # two of five steps are computed: that run can go on
    assert call("run", "toy", "--serial", "--name", "half")[0] == 1
    start = toys.failing_plan().nodes[0]  # in the store already: not computed by this one
    as_recipe(Plan([start, Node("bad", "toy-fail", {"message": "no"}, {"x": start.id})]))
    assert "no run is kept" in call("run", "toy", "--serial")[2]
    assert names_of(url) == ["half"]
    assert "The same command tries again." in call("run", "toy", "--serial", "--name", "half")[2]


def test_an_interrupted_try_stays_if_it_has_a_step_or_a_checkpoint(call, as_recipe, url, monkeypatch):
    begun = Node("train", "toy-train", {"steps": 10}, {"start": "draw"})
    as_recipe(Plan([Node("draw", "toy-draw", {"seed": 1, "n": 3}), begun]))

    class Stopped(SerialExecutor):
        """Ctrl-C before anything has finished."""

        def wait(self):
            raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.engine.executor.SerialExecutor", Stopped)
    code, _, err = call("run", "toy", "--serial", "--note", "too big?")
    assert code == 130
    assert "Interrupted before anything was computed; no run is kept." in err
    assert names_of(url) == []
    monkeypatch.undo()
    monkeypatch.setenv("UNIVERSALITY_STORE", url)

    store = open_store(url)
    run = toys.make_run(store, Plan([Node("draw", "toy-draw", {"seed": 1, "n": 3}), begun]), "begun")
    assert not run.has_work
    store.checkpoint(run.record["nodes"]["train"]["key"]).save({"x": np.zeros(2)}, {"done": 1})
    assert run.has_work, "unfinished work is work: gc keeps it while a run wants it"


def test_a_finished_run_stays_whatever_comes_after(call, as_recipe, url, monkeypatch):
    plan = toys.results_plan("main")
    as_recipe(plan)
    call("run", "toy", "--serial", "--name", "one")
    call("run", "toy", "--serial", "--name", "two")  # computed by the first
    assert names_of(url) == ["one", "two"]
    store = open_store(url)
    for key in plan.keys().values():
        store.files.remove(f"artifacts/{key}")
    monkeypatch.setattr(SerialExecutor, "wait", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    assert call("run", "toy", "--serial", "--name", "two")[0] == 130
    assert names_of(url) == ["one", "two"]


def test_a_note_shows_in_lists_and_changes_no_key(call, as_recipe, url):
    as_recipe(toys.results_plan("main"))
    assert call("run", "toy", "--serial", "--name", "one", "--note", "first try")[0] == 0
    keys = open_store(url).keys()
    assert "nothing to compute" in call("run", "toy", "--serial", "--name", "one", "--note", "second [try]")[2]
    assert open_store(url).keys() == keys
    assert [run["note"] for run in json.loads(call("ls", "--json")[1])] == ["second [try]"]
    assert "second [try]" in call("ls")[1]
    for command in ("show", "status"):
        assert json.loads(call(command, "one", "--json")[1])["note"] == "second [try]"
        assert "Note: second [try]" in call(command, "one")[1]
    assert call("note", "one")[1] == "second [try]\n"
    assert "is kept" in call("note", "on", "third")[2]
    told = json.loads(call("note", "one", "--json")[1])
    assert told == {"run": "one", "kind": "run", "id": "one", "name": "", "note": "third"}
    assert "is gone" in call("note", "one", "")[2]
    assert "There is no note about run one. Write one: universality note one" in call("note", "one")[2]
    code, _, err = call("note", "one", "a\x07b")
    assert (code, "got U+0007. Remove them." in err) == (2, True)
    code, _, err = call("run", "toy", "--serial", "--name", "late", "--note", "n" * 1001)
    assert (code, "note of '--note' must be at most 1000 characters" in err) == (2, True)
    assert names_of(url) == ["one"], "refused before anything is computed"


def test_ls_says_what_differs_between_runs_of_a_recipe(call, as_recipe, url):
    for name, tau in (("a", 0.5), ("b", 0.5), ("c", 0.6)):
        as_recipe(toys.results_plan("main"), resolved={"compare": {"tau": tau}})
        call("run", "toy", "--serial", "--name", name)
    listed = json.loads(call("ls", "--json")[1])
    assert [(run["name"], run["settings"]) for run in listed] == [("c", "compare.tau=0.6"), ("b", ""), ("a", "")]
    table = call("ls")[1]
    assert "settings" in table
    assert "compare.tau=0.6" in table
    assert "note" not in table, "no column for what no run has"
