"""The benchmark of GPUs goes through all its parts in miniature: no time is asserted."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import gpu
from gpu_cases import PARTS
from gpu_timing import tried


def test_every_part_has_figures_and_a_table(tmp_path, capsys):
    found = gpu.main(["--smoke", "--json", str(tmp_path / "figures.json")])
    assert list(found) == list(PARTS)
    for part, figures in found.items():
        assert figures, part
        assert not [figure for figure in figures if "failed" in figure or "warnings" in figure], part
    said = capsys.readouterr().out
    for words in (
        "vocabulary 50: plain torch",
        "8 seeds",
        "a tenth dead",
        "plan tiny",
        "of_step_alone",
        "one buffer: 4",
    ):
        assert words in said
    assert (tmp_path / "figures.json").read_text().startswith("{")


def test_parts_end_within_eight_minutes():
    assert sum(limit for _, limit in PARTS.values()) <= 480


def test_a_way_that_fails_hides_no_other():
    figure = tried("x", lambda: {"ms": 1 // 0})
    assert str(figure["failed"]).startswith("ZeroDivisionError")
    assert "| x |" in gpu.table("part", [figure, {"what": "y", "ms": 3.25}])
