"""Figures: nothing overlaps, nothing hangs over the edge, and the same figure is the same file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_study import crossed, kept, layered, measured, sized

from pipelines.report.figures.agreement_figures import bands, classes_figure, correlation_figure
from pipelines.report.figures.calibration_figure import calibration_figure
from pipelines.report.figures.canvas import FORMATS, WIDTHS, to_file
from pipelines.report.figures.domain_figures import domains_figure
from pipelines.report.figures.firing_figure import firing_rates_figure
from pipelines.report.figures.frontier_figure import frontier_figure
from pipelines.report.figures.layers_figure import layers_figure
from pipelines.report.figures.levels_figure import levels_figure
from pipelines.report.figures.membership_figure import membership_figure
from pipelines.report.figures.rate_figures import rates_figure
from pipelines.report.figures.side_by_side_figure import beside_figure
from pipelines.report.figures.sources_figure import sources_figure
from pipelines.report.figures.spaces_figure import spaces_figure
from pipelines.report.figures.splitting_figure import splitting_figure
from pipelines.report.figures.steering_figure import steering_figure
from pipelines.report.figures.study_figures import curve_figure, study_figure, training_figure
from results import figure_frames, frames, layer_frames, split_frames, study_frames
from results.calibration_frames import certainty, fit_and_held_out
from results.colours import OKABE_ITO, model_colours, rgba, tint
from results.figure_frames import domain_sources, level_shares, median_by_rate, membership, r_by_rate
from results.headline import QUANTITIES
from results.schema_figures import FIGURES as FIGURE_TABLES
from results.side_by_side import classes_beside, curves_beside, headlines_beside
from results.words import LEVELS, SPACES, STEERED_BY
from universality.studies.contrasts import study_contrasts, study_means
from universality.studies.design import Design
from universality.studies.layers import study_layers

Drawing = Callable[..., Figure]


def _baselines(kinds: tuple[str, ...], centre: float, token: bool) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for kind in kinds:
        r = np.clip(rng.normal(centre, 0.1, 1500), -0.2, 1.0)
        columns = {"model_a": "m0", "model_b": "m0r" if kind == "ceiling" else "m1"}
        parts.append(pd.DataFrame({"kind": kind, **columns, "r_held_out": r, "r_token": r * 0.5 if token else np.nan}))
    return pd.concat(parts, ignore_index=True)


def _nulls(scale: float) -> pd.DataFrame:
    quantile = np.arange(1, 100) / 100
    return pd.DataFrame({"pair": "m0-m1", "kind": "plain", "quantile": quantile, "value": quantile * scale})


def _curve(levels: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for tau in (0.2, 0.5, 0.9):
        rows += [(tau, kind, level, int(100 * (1 - tau))) for kind in ("universal", "shared") for level in levels]
        rows.append((tau, "specific", "untested", int(500 * tau)))
    return frames.class_curve(pd.DataFrame(rows, columns=["tau", "class", "level", "n_features"]))


def _matrix(n_models: int, ceiling: bool = True) -> pd.DataFrame:
    models = [f"m{i}" for i in range(n_models)]
    rows = [(a, b, r) for i, (a, b) in enumerate(combinations(models, 2)) for r in (0.1 * (i % 10), 0.99)]
    pairs = pd.DataFrame(rows, columns=["model_a", "model_b", "r_held_out"])
    return frames.model_matrix(pairs, models, _baselines(("ceiling",), 0.7, True) if ceiling else None)


def _domains(names: list[str]) -> pd.DataFrame:
    values = dict.fromkeys(
        ["mcc", "sensitivity", "specificity", "auroc", "r", "r_token", "neuron_r", "untrained_r"], 0.5
    )
    table = pd.DataFrame({"domain": names, "model": "m0", "n_rows": 10, **values, "level": "context"})
    return figure_frames.domain_frame(table)


def _correlation(kinds: tuple[str, ...], centre: float, token: bool, scale: float | None) -> Drawing:
    baselines = _baselines(kinds, centre, token)
    nulls = _nulls(scale or 0.1) if scale else _nulls(0.1).iloc[:0]
    histogram, medians = frames.r_histogram(baselines, nulls), frames.medians(baselines)
    return partial(correlation_figure, histogram, medians, scale)


def _study_tables(design: Design) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = measured(design, np.random.default_rng(0))
    return study_contrasts(design, found), study_means(design, found, {})


def _study_bars(design: Design) -> pd.DataFrame:
    return study_frames.waterfall(*_study_tables(design))


def _study_levels(design: Design) -> pd.DataFrame:
    levels = study_frames.level_rows(_study_tables(design)[1])
    return levels[levels["point"] == levels["point"].iloc[0]]


def _study(design: Design) -> Drawing:
    return partial(study_figure, _study_bars(design), _study_levels(design))


def _study_curve(design: Design) -> Drawing:
    means = _study_tables(design)[1]
    parts = {"all levels": "shared", "level context": "shared_context"}
    return partial(curve_figure, {words: study_frames.curve_rows(means, name) for words, name in parts.items()})


def _study_training(*tokens: int) -> Drawing:
    means = _study_tables(kept(3, tokens))[1]
    return partial(training_figure, study_frames.training_rows(means), study_frames.curve_rows(means, "r_joint"))


def _study_layers(n_models: int, n_layers: int, site: str = "hook_resid_post") -> Drawing:
    design = layered(n_models, n_layers, site)
    layers = study_layers(design, measured(design, np.random.default_rng(0)))
    rows = [layer_frames.layer_rows(layers, name).assign(measure=name) for name in ("shared", "r_joint")]
    return partial(layers_figure, pd.concat(rows), layer_frames.place_labels(layers["hook_point_a"])[1])


def _frontier(kinds: list[tuple[str, int]], fvu: list[float]) -> Drawing:
    rows = [
        {
            "point": f"{name} {i}",
            "architecture": name,
            "d_sae": d_sae,
            "sparsity": "k 8",
            "seed": seed,
            "fvu": value,
        }
        | {"l0": 4.0 * (1 + i) + seed, "status": "diverged" if np.isnan(value) else "ok", "frontier": i == 0}
        for name, d_sae in kinds
        for i, value in enumerate(fvu)
        for seed in (0, 1)
    ]
    others = ["ce_recovered", "kl_recovered", "dead_fraction", "n_dense", "seed_cosine"]
    sweeps = pd.DataFrame(rows).assign(**dict.fromkeys(others, 0.5))
    return partial(frontier_figure, figure_frames.sweep_points(sweeps), sweeps)


def _rates(models: list[str], rates: list[float]) -> Drawing:
    rows = [(model, rate) for model in models for rate in rates]
    return partial(
        firing_rates_figure,
        figure_frames.firing_rates(pd.DataFrame(rows, columns=["model", "firing_rate"])),
    )


def _splitting(n_models: int, sizes: tuple[int, ...]) -> Drawing:
    shares = dict(zip(split_frames.SPLIT_KINDS, (0.5, 0.1, 0.2, 0.05, 0.15), strict=True)) | {"orphan": 0.3}
    rows = [
        (f"m{model}", small, large, kind, value, np.nan if kind == "absorbed" else value)
        for model in range(n_models)
        for small, large in combinations(sizes, 2)
        for kind, value in shares.items()
    ]
    columns = ["model", "d_sae", "child_d_sae", "kind", "share", "control"]
    return partial(splitting_figure, split_frames.split_rows(pd.DataFrame(rows, columns=columns)))


def _membership(n_models: int, n_clusters: int) -> Drawing:
    models = [f"m{i}" for i in range(n_models)]
    rng = np.random.default_rng(n_clusters)
    rows = [(m, "alive", c) for c in range(n_clusters) for m in models if rng.random() < 0.4]
    features = pd.DataFrame(rows, columns=["model", "status", "cluster"])
    sets = membership(features)
    k = sets.groupby("n_models")["n_features"].sum()
    counts = pd.DataFrame({"k": k.index, "n_clusters": 1, "n_features": k.to_numpy(), "fraction": k / k.sum()})
    return partial(membership_figure, frames.k_of_m_frame(counts), sets, models)


def _rate_bins(n: int) -> Drawing:
    rng = np.random.default_rng(n)
    latents = np.arange(n)
    rate = {"firing_rate": 10.0 ** rng.uniform(-4, 0, 2 * n)}
    features = pd.DataFrame({"model": ["m0"] * n + ["m1"] * n, "latent": np.tile(latents, 2), **rate})
    sides = {"model_a": "m0", "latent_a": latents, "model_b": "m1", "latent_b": latents}
    bins = r_by_rate(pd.DataFrame({**sides, "r_held_out": rng.uniform(-0.1, 1, n)}), features)
    left = 10.0 ** (np.arange(-12, 0) / 4)
    null = pd.DataFrame({"left": left, "right": left * 10**0.25, "n": 9, "p05": 0.05, "p50": 0.1, "p95": 0.2})
    return partial(rates_figure, bins, median_by_rate(bins), null if n else null.iloc[:0])


def _levels(n_kinds: int, n_pairs: int) -> Drawing:
    rows = []
    kinds = {"features": "m0-m1", "ceiling": "m0-m0r", "untrained": "u0-u1", "untrained_ceiling": "u0-u0r"}
    for kind, pair in list(kinds.items())[:n_kinds]:
        for level in ("", *LEVELS):
            name = f"shared_fraction_{level}" if level else "shared_fraction"
            value = (0.6 if not level else 0.1) / (1 + list(kinds).index(kind))
            together = {"low": value - 0.05, "high": value + 0.05, "chance": 0.02}
            rows.append({"name": name, "kind": kind, "pair": pair, "value": value, "n": 100, **together})
            if n_pairs and kind == "features":
                rows.append({**rows[-1], "pair": "overall"})
    columns = ["name", "kind", "pair", "value", "n", "low", "high", "chance"]
    return partial(levels_figure, level_shares(pd.DataFrame(rows, columns=columns)))


def _sources(names: list[str], n: int) -> Drawing:
    parts = ["sae_a", "sae_b", "validation", "fit", "score"]
    rows = [(name, part, k // 3, 90) for name in names for part in parts for k in range(n)]
    documents = pd.DataFrame(rows, columns=["domain", "part", "source_group", "n_tokens"])
    return partial(sources_figure, domain_sources(documents))


def _calibration(n: int, probabilities: list[float]) -> Drawing:
    rng = np.random.default_rng(n)
    r = rng.uniform(0.05, 0.98, n)
    pairs = pd.DataFrame({"r": r, "r_held_out": np.clip(r - rng.exponential(0.05, n), -0.2, 1)})
    features = pd.DataFrame({"status": "alive", "class_probability": probabilities})
    return partial(calibration_figure, fit_and_held_out(pairs), certainty(features))


def _beside(names: list[str]) -> Drawing:
    quantities = list(QUANTITIES)
    headline = pd.DataFrame({"quantity": quantities, "pair": "overall", "value": np.linspace(0.1, 0.9, 6)})
    headline = headline.assign(low=headline["value"] - 0.02, high=headline["value"] + 0.02, n=100)
    rows = [("m0", "alive", kind, "token") for kind in ("universal", "shared", "specific") for _ in range(30)]
    features = pd.DataFrame(rows, columns=["model", "status", "class", "level"])
    curve = pd.DataFrame({"tau": [0.2, 0.9], "class": "universal", "level": "token", "n_features": [9, 1]})
    curve = pd.concat([curve, curve.assign(**{"class": "specific"})[::-1]])
    parts = (headlines_beside, headline), (classes_beside, features), (curves_beside, curve)
    return partial(beside_figure, *(make(dict.fromkeys(names, table)) for make, table in parts))


def _spaces(n: int, *measures: str, floor: bool = True) -> Drawing:
    ends = {"value": 0.9, "low": -0.1, "high": 1.0, "haar": 0.2, "floor": 0.1 if floor else np.nan}
    rows = [{"space": space, "measure": measure, "n": n, **ends} for measure in measures for space in SPACES]
    return partial(spaces_figure, pd.DataFrame(rows, columns=["space", "measure", "n", *ends]))


def _steering(n_clusters: int, n_models: int, transfer: bool = True) -> Drawing:
    models, rng = [f"m{i}" for i in range(n_models)], np.random.default_rng(n_clusters)
    subjects = [{"cluster": c, "domain": "a long name of a domain" if c else "dna"} for c in range(n_clusters)]
    labels = {"latent": 1, "draw": 0, "norm_ratio": 1.2}
    doses = [
        {**subject, **labels, "model": model, "kind": kind, "strength": x, "share": rng.random(), "share_se": 0.1}
        for subject in subjects for model in models for kind in ("own", "random", "other") for x in (0, 0.5, 1, 2, 4, 8)
    ]  # fmt: skip
    moved = [
        {**subject, **labels, "model": model, "arm": arm, "cosine": rng.uniform(-0.6, 1)}
        for subject in subjects for model in models for arm in STEERED_BY
    ]  # fmt: skip
    names = FIGURE_TABLES["steering"].names, FIGURE_TABLES["steering.transfer"].names
    frames_of = [pd.DataFrame(rows, columns=pd.Index(of)) for rows, of in zip((doses, moved), names, strict=True)]
    return partial(steering_figure, frames_of[0], frames_of[1] if transfer else frames_of[1].iloc[:0])


ALL = ("ceiling", "features", "neurons", "untrained")
FIGURES = {
    "correlation": lambda: _correlation(ALL, 0.4, True, 0.1),
    "correlation, low chance": lambda: _correlation(ALL, 0.02, True, 0.01),
    "correlation, high chance": lambda: _correlation(ALL, 0.99, False, 0.9),
    "correlation, middling": lambda: _correlation(ALL, 0.58, True, 0.2),
    "correlation, features alone": lambda: _correlation(("features",), 0.5, False, None),
    "classes": lambda: partial(classes_figure, _curve(("context", "token", "domain")), _matrix(3), 0.5),
    "classes, all levels": lambda: partial(classes_figure, _curve(tuple(LEVELS)), _matrix(3), 0.5),
    "classes, untested": lambda: partial(classes_figure, _curve(("untested",)), _matrix(2, ceiling=False), None),
    "classes, six models": lambda: partial(classes_figure, _curve(("context", "untested")), _matrix(6), 0.2),
    "classes, twelve models": lambda: partial(classes_figure, _curve(()), _matrix(12), 0.9),
    "domains": lambda: partial(domains_figure, _domains(["arabic", "dna", "a very long name of a domain", "x"])),
    "domains, thirty": lambda: partial(domains_figure, _domains([f"domain {i}" for i in range(30)])),
    "domains, features alone": lambda: partial(
        domains_figure, _domains(["x", "y"]).assign(neuron_r=np.nan, untrained_r=np.nan)
    ),
    "firing rates": lambda: _rates(["m0", "m1"], [0.0, 1e-4, 0.003, 0.02, 1.0]),
    "firing rates, nine models": lambda: _rates([f"m{i}" for i in range(9)], [1e-6, 0.5]),
    "firing rates, all silent": lambda: _rates(["m0"], [0.0, 0.0]),
    "frontier": lambda: _frontier([("topk", 512), ("batch_topk", 512), ("matryoshka", 16384)], [0.1, 0.06, 0.03]),
    "frontier, one point": lambda: _frontier([("relu", 64)], [0.5]),
    "frontier, far apart": lambda: _frontier([("relu", 64), ("topk", 9)], [0.9, 0.0004]),
    "frontier, nothing measured": lambda: _frontier([("relu", 64)], [np.nan]),
    "membership": lambda: _membership(3, 200),
    "membership, twelve models": lambda: _membership(12, 3000),
    "membership, none": lambda: _membership(2, 0),
    "rates": lambda: _rate_bins(2000),
    "rates, none": lambda: _rate_bins(0),
    "levels": lambda: _levels(4, 1),
    "levels, one pair": lambda: _levels(1, 0),
    "levels, none": lambda: _levels(0, 0),
    "sources": lambda: _sources([f"domain_{n}" for n in range(26)], 40),
    "sources, one domain": lambda: _sources(["a rather long name of a domain"], 1),
    "calibration": lambda: _calibration(3000, [*np.linspace(0.2, 1, 50), 1.0, 1.0]),
    "calibration, one pair": lambda: _calibration(1, [1.0]),
    "calibration, none": lambda: _calibration(0, []),
    "beside": lambda: _beside(["quickstart-1", "a run with a very long name that nobody could read in a key at all"]),
    "beside, seven": lambda: _beside([f"run {i}" for i in range(7)]),
    "spaces": lambda: _spaces(512, "r_held_out", "r_joint"),
    "spaces, raw alone": lambda: _spaces(16384, "r_held_out", floor=False),
    "spaces, none": lambda: _spaces(1),
    "study": lambda: _study(crossed()),
    "study, one level": lambda: _study(sized()),
    "study, nothing to estimate": lambda: partial(
        study_figure, _study_bars(crossed())[:0], _study_levels(crossed())[:0]
    ),
    "study curve": lambda: _study_curve(sized()),
    "study curve, checkpoints": lambda: _study_curve(kept(3, (0, 10_000, 40_000, 100_000, 400_000, 2_000_000))),
    "study training": lambda: _study_training(0, 10_000, 40_000, 100_000, 400_000, 2_000_000),
    "study training, two": lambda: _study_training(1_000, 2_000),
    "study layers": lambda: _study_layers(3, 3),
    "study layers, two models": lambda: _study_layers(2, 4, "attn.hook_z"),
    "study layers, many": lambda: _study_layers(3, 13),
    "splitting": lambda: _splitting(2, (256, 512, 1024)),
    "splitting, three models, four sizes": lambda: _splitting(3, (512, 1024, 4096, 16384)),
    "splitting, one model, many sizes": lambda: _splitting(1, (256, 512, 1024, 2048, 4096, 131072)),
    "splitting, none": lambda: _splitting(0, ()),
    "steering": lambda: _steering(3, 3),
    "steering, seven of twelve models": lambda: _steering(7, 12),
    "steering, one, no transfer": lambda: _steering(1, 2, transfer=False),
    "steering, none": lambda: _steering(0, 0),
    "domains, none": lambda: partial(domains_figure, _domains(["x"]).iloc[:0]),
}


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", list(FIGURES))
def test_no_words_overlap_or_leave_the_page(name: str, columns: int) -> None:
    figure = FIGURES[name]()(columns=columns)
    assert figure.get_figwidth() == WIDTHS[columns]
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    words = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]  # type: ignore[attr-defined]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in words]  # type: ignore[attr-defined]
    page = figure.bbox
    for text, box in boxes:
        inside = box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1
        assert inside, f"{text!r} leaves the page"
    for (one, a), (two, b) in combinations(boxes, 2):
        over = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(over) <= 0.5, f"{one!r} overlaps {two!r}"


def test_equal_figures_are_equal_files_with_truetype_fonts_and_no_date() -> None:
    figures = [FIGURES["classes"]()(columns=2) for _ in range(2)]
    for form in FORMATS:
        assert to_file(figures[0], form) == to_file(figures[1], form)
    first = to_file(figures[0], "pdf")
    assert b"CreationDate" not in first
    assert b"/FontFile2" in first
    assert b"/Type3" not in first


def test_drawing_leaves_no_global_state() -> None:
    code = (
        "import sys, matplotlib as mpl\n"
        "names = [n for n in mpl.rcParams if n != 'backend']  # reading that one would import pyplot\n"
        "before = [mpl.rcParams[n] for n in names]\n"
        "import pandas as pd\n"
        "from pipelines.report.figures.domain_figures import domains_figure\n"
        "from results.figure_frames import domain_frame\n"
        "domains_figure(domain_frame(pd.DataFrame()))\n"
        "assert [mpl.rcParams[n] for n in names] == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_bands_stack_to_all_features_from_universal_to_specific() -> None:
    found = bands(_curve(("context", "token")))
    assert [(name, level) for name, level, _ in found] == [
        ("universal", "context"),
        ("universal", "token"),
        ("shared", "context"),
        ("shared", "token"),
        ("specific", "untested"),
    ]
    assert np.sum([share for _, _, share in found], axis=0) == pytest.approx(np.ones(3))


def test_colours() -> None:
    assert rgba("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
    assert rgba("#0072B2", 7) == "rgba(0,114,178,1)"
    assert tint("#0072B2", 0.0) == "#FFFFFF"
    assert tint("#0072B2", 1.0) == "#0072B2"
    assert len(set(model_colours([f"m{i}" for i in range(7)]).values())) == 7
    assert set(model_colours(["m0"]).values()) <= set(OKABE_ITO.values())
