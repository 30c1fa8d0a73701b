"""Figures of a report, each with the tidy frame behind it."""

from functools import partial

import pandas as pd

from pipelines.report.evidence import clusters_to_show
from pipelines.report.exhibit import Contents, Exhibit, ExhibitContext, Tables
from pipelines.report.figures.agreement_figures import classes_figure, correlation_figure
from pipelines.report.figures.calibration_figure import calibration_figure
from pipelines.report.figures.case_figures import CaseStudy, cases_figure, cases_frame, pages_of
from pipelines.report.figures.domain_figures import domains_figure
from pipelines.report.figures.effects_figure import effects_figure
from pipelines.report.figures.firing_figure import firing_rates_figure
from pipelines.report.figures.frontier_figure import frontier_figure
from pipelines.report.figures.layers_figure import layers_figure
from pipelines.report.figures.levels_figure import levels_figure
from pipelines.report.figures.membership_figure import membership_figure
from pipelines.report.figures.parts_figure import parts_figure
from pipelines.report.figures.rate_figures import rates_figure
from pipelines.report.figures.sources_figure import sources_figure
from pipelines.report.figures.spaces_figure import spaces_figure
from pipelines.report.figures.splitting_figure import splitting_figure
from pipelines.report.figures.steering_figure import steering_figure
from pipelines.report.figures.study_figures import curve_figure, study_figure, training_figure
from results import (
    calibration_frames,
    effect_frames,
    figure_frames,
    frames,
    layer_frames,
    split_frames,
    steering_frames,
    study_frames,
)
from results.headline import overall_values


def _correlation(tables: Tables, context: ExhibitContext) -> Contents:
    histogram = frames.r_histogram(tables["baselines"], tables["null_quantiles"])
    medians = frames.medians(tables["baselines"], 0.5 if context.tau is None else context.tau)
    chance = overall_values(tables["headline"]).get("null_p95")
    lines = medians.assign(statistic="median").rename(columns={"median": "value"}).astype({"n": "Int64"})
    if chance is not None:
        line = {"kind": "chance", "measure": "r_held_out", "statistic": "95th percentile", "value": chance}
        lines = pd.concat([lines, pd.DataFrame([line])], ignore_index=True)
    figure = partial(correlation_figure, histogram, medians, chance, columns=context.spans(2))
    return {"": figure, ".csv": histogram, ".lines.csv": lines}


def _agreement(tables: Tables, context: ExhibitContext) -> Contents:
    parts = figure_frames.agreement_parts(tables["agreement"])
    return {"": partial(parts_figure, parts, columns=context.spans(1)), ".csv": parts}


def _levels(tables: Tables, context: ExhibitContext) -> Contents:
    shares = figure_frames.level_shares(tables["indices"])
    if shares.empty:  # a comparison without shares by level, as of earlier versions
        return {}
    return {"": partial(levels_figure, shares, columns=context.spans(1)), ".csv": shares}


def _sources(tables: Tables, context: ExhibitContext) -> Contents:
    if "source_group" not in tables["documents"]:  # runs of earlier versions were split by document
        return {}
    counts = figure_frames.domain_sources(tables["documents"])
    return {"": partial(sources_figure, counts, columns=context.spans(1)), ".csv": counts}


def _calibration(tables: Tables, context: ExhibitContext) -> Contents:
    bins, certain = (
        calibration_frames.fit_and_held_out(tables["pairs"]),
        calibration_frames.certainty(tables["features"]),
    )
    figure = partial(calibration_figure, bins, certain, columns=context.spans(2))
    return {"": figure, ".csv": bins, ".certainty.csv": certain}


def _spaces(tables: Tables, context: ExhibitContext) -> Contents:
    frame = figure_frames.space_frame(tables["spaces"])
    if frame.empty:  # raw activations were not given, or not compared
        return {}
    return {"": partial(spaces_figure, frame, columns=context.spans(2)), ".csv": frame}


def _effects(tables: Tables, context: ExhibitContext) -> Contents:
    rows, pairs = effect_frames.effect_rows(tables["effect_agreement"]), effect_frames.effect_pairs(tables["effects"])
    if rows.empty:
        return {}
    curve = effect_frames.effect_curve(tables["substitution_curve"])
    figure = partial(effects_figure, rows, pairs, curve, context.tau, columns=context.spans(2))
    return {"": figure, ".csv": rows, ".pairs.csv": pairs, ".curve.csv": curve}


def _steering(tables: Tables, context: ExhibitContext) -> Contents:
    doses = steering_frames.dose_rows(tables["steering_doses"])
    if doses.empty:
        return {}
    transfer = steering_frames.transfer_rows(tables["steering_transfer"])
    figure = partial(steering_figure, doses, transfer, columns=context.spans(2))
    return {"": figure, ".csv": doses, ".transfer.csv": transfer}


def _classes(tables: Tables, context: ExhibitContext) -> Contents:
    curve = frames.class_curve(tables["tau_curve"])
    models = tables["models"]
    primary = [str(m) for m in models.loc[models["role"] == "primary", "model"]]
    matrix = frames.model_matrix(tables["pairs"], primary, tables["baselines"], tables["headline"])
    figure = partial(classes_figure, curve, matrix, context.tau, columns=context.spans(2))
    return {"": figure, ".csv": curve, ".matrix.csv": matrix}


def _domains(tables: Tables, context: ExhibitContext) -> Contents:
    frame = figure_frames.domain_frame(tables["domains"])
    return {"": partial(domains_figure, frame, columns=context.spans(1)), ".csv": frame}


def _firing_rates(tables: Tables, context: ExhibitContext) -> Contents:
    frame = figure_frames.firing_rates(tables["features"])
    return {"": partial(firing_rates_figure, frame, columns=context.spans(1)), ".csv": frame}


def _frontier(tables: Tables, context: ExhibitContext) -> Contents:
    points = figure_frames.sweep_points(tables["sweeps"])
    return {"": partial(frontier_figure, points, tables["sweeps"], columns=context.spans(1)), ".csv": points}


def _study(tables: Tables, context: ExhibitContext) -> Contents:
    contrasts, means = tables["study_contrasts"], tables["study_means"]
    bars = study_frames.waterfall(contrasts, means)
    if bars.empty:
        return {}
    levels = study_frames.level_rows(means[~means["point"].str.contains(" / ", regex=False)])
    levels = levels[levels["point"].isin([levels["point"].iloc[0], ""])]
    return {"": partial(study_figure, bars, levels, columns=context.spans(2)), ".csv": bars, ".levels.csv": levels}


def _study_curve(tables: Tables, context: ExhibitContext) -> Contents:
    parts = {"all levels": "shared", "level context": "shared_context"}
    curves = {words: study_frames.curve_rows(tables["study_means"], measure) for words, measure in parts.items()}
    rows = pd.concat([part.assign(measure=parts[words]) for words, part in curves.items()], ignore_index=True)
    if rows["x"].nunique() < 2:
        return {}
    return {"": partial(curve_figure, curves, columns=context.spans(2)), ".csv": rows}


def _study_training(tables: Tables, context: ExhibitContext) -> Contents:
    levels = study_frames.training_rows(tables["study_means"])
    if levels.empty:
        return {}
    curve = study_frames.curve_rows(tables["study_means"], "r_joint")
    figure = partial(training_figure, levels, curve, columns=context.spans(2))
    return {"": figure, ".csv": levels, ".r_joint.csv": curve}


def _study_layers(tables: Tables, context: ExhibitContext) -> Contents:
    layers, measures = tables["study_layers"], ("shared", "r_joint")
    rows = pd.concat([layer_frames.layer_rows(layers, name).assign(measure=name) for name in measures])
    _, axis = layer_frames.place_labels([*layers["hook_point_a"], *layers["hook_point_b"]])
    rows = rows.reset_index(drop=True)
    return {"": partial(layers_figure, rows, axis, columns=context.spans(2)), ".csv": rows}


def _membership(tables: Tables, context: ExhibitContext) -> Contents:
    k_of_m, sets = frames.k_of_m_frame(tables["k_of_m"]), figure_frames.membership(tables["features"])
    models = [str(model) for model in tables["features"]["model"].drop_duplicates()]
    figure = partial(membership_figure, k_of_m, sets, models, columns=context.spans(2))
    return {"": figure, ".csv": sets, ".k_of_m.csv": k_of_m}


def _rates(tables: Tables, context: ExhibitContext) -> Contents:
    bins = figure_frames.r_by_rate(tables["pairs"], tables["features"])
    medians, null = figure_frames.median_by_rate(bins), tables["null_rates"]
    figure = partial(rates_figure, bins, medians, null, columns=context.spans(1))
    return {"": figure, ".csv": bins, ".median.csv": medians, ".chance.csv": null}


def _cases(tables: Tables, context: ExhibitContext) -> Contents:
    if context.evidence is None:
        return {}
    models = [str(model) for model in tables["features"]["model"].drop_duplicates()]
    chosen = clusters_to_show(tables["clusters"], tables["features"])
    return _drawn([context.evidence.cluster(row, models) for _, row in chosen.iterrows()], context, n_pages=1)


def _pinned(tables: Tables, context: ExhibitContext) -> Contents:
    if context.evidence is None:
        return {}
    return _drawn([context.evidence.pair(row) for _, row in tables["pinned"].iterrows()], context)


def _splitting(tables: Tables, context: ExhibitContext) -> Contents:
    rows = split_frames.split_rows(tables["splits_by_size"])
    return {"": partial(splitting_figure, rows, columns=context.spans(2)), ".csv": rows}


def _drawn(cases: list[CaseStudy], context: ExhibitContext, n_pages: int | None = None) -> Contents:
    columns = context.spans(2)
    contents: Contents = {}
    for number, part in enumerate(pages_of(cases, columns)[:n_pages]):
        suffix = f"-page{number + 1}" if number else ""
        contents |= {suffix: partial(cases_figure, part, columns=columns), f"{suffix}.csv": cases_frame(part)}
    return contents


FIGURES: tuple[Exhibit, ...] = (
    Exhibit("figures/correlation", ("baselines", "null_quantiles", "headline"), _correlation),
    Exhibit("figures/agreement", ("agreement",), _agreement),
    Exhibit("figures/levels", ("indices",), _levels),
    Exhibit("figures/spaces", ("spaces",), _spaces),
    Exhibit("figures/effects", ("effect_agreement", "effects", "substitution_curve"), _effects),
    Exhibit("figures/steering", ("steering_doses", "steering_transfer"), _steering),
    Exhibit("figures/classes", ("tau_curve", "pairs", "models", "baselines", "headline"), _classes),
    Exhibit("figures/membership", ("k_of_m", "features"), _membership),
    Exhibit("figures/r_by_rate", ("pairs", "features", "null_rates"), _rates),
    Exhibit("figures/calibration", ("pairs", "features"), _calibration),
    Exhibit("figures/cases", ("clusters", "features"), _cases),
    Exhibit("figures/pinned", ("pinned",), _pinned),
    Exhibit("figures/firing_rates", ("features",), _firing_rates),
    Exhibit("figures/frontier", ("sweeps",), _frontier),
    Exhibit("figures/study", ("study_means", "study_contrasts"), _study),
    Exhibit("figures/study_curve", ("study_means",), _study_curve),
    Exhibit("figures/study_training", ("study_means",), _study_training),
    Exhibit("figures/study_layers", ("study_layers",), _study_layers),
    Exhibit("figures/domains", ("domains",), _domains),
    Exhibit("figures/sources", ("documents",), _sources),
    Exhibit("figures/splitting", ("splits_by_size",), _splitting),
)
