"""What differs between runs of one recipe, by hand-made records."""

from results.run_settings import own_settings

SHIPPED = {"recipe": "tiny", "description": "a", "compare": {"tau": 0.5, "alpha": 0.05}, "seeds": [0, 1], "sweep": None}


def record(created, recipe="tiny", **changed):
    return {"recipe_name": recipe, "created": created, "recipe": {**SHIPPED, **changed}}


def test_what_the_shipped_recipe_says_otherwise_is_told():
    runs = [
        record(1.0),
        record(2.0, compare={"tau": 0.6, "alpha": 0.05}, description="others"),
        record(3.0, compare={"tau": 0.6, "alpha": 0.05}, seeds=[0, 1, 2]),
    ]
    assert own_settings(runs, {"tiny": SHIPPED}) == ["", "compare.tau=0.6", "compare.tau=0.6, seeds=[0, 1, 2]"]


def test_without_a_shipped_recipe_the_usual_value_is_that_of_most_runs_then_of_the_oldest():
    newer, oldest = record(2.0, "mine", seeds=[7]), record(1.0, "mine")
    assert own_settings([newer, oldest]) == ["seeds=[7]", ""]
    assert own_settings([newer, record(3.0, "mine", seeds=[7]), oldest]) == ["", "", "seeds=[0, 1]"]
    assert own_settings([newer, record(1.0, "other")]) == ["", ""], "runs of other recipes are no measure"


def test_parts_that_are_there_or_not_and_lists_of_parts_are_told_once():
    runs = [
        record(1.0, comparisons=[{"id": "main"}]),
        record(2.0, comparisons=[{"id": "main"}, {"id": "wide"}], sweep={"points": 3}),
    ]
    assert own_settings(runs) == ["", "sweep=set, comparisons=2 entries"]


def test_settings_that_an_earlier_version_did_not_have_and_long_lists_of_differences():
    old, new = record(1.0), record(2.0, **dict.fromkeys("abcdef", 1))
    assert own_settings([old, new]) == ["", ""]
    two = record(3.0, **dict.fromkeys("abcdef", 2))
    assert own_settings([old, new, two])[2] == "a=2, b=2, c=2, 3 more"
    none = {"recipe_name": "lost", "created": 0.0, "recipe": None}
    assert own_settings([none]) == [""]
