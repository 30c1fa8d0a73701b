"""Tables of a report for readers."""

import pandas as pd
from matplotlib.figure import Figure

from pipelines.report.evidence import clusters_to_show
from pipelines.report.exhibit import Contents, Exhibit, ExhibitContext, Listing, Tables, columns
from pipelines.report.figures.case_figures import line_figure
from pipelines.report.latex import PICTURE_WIDTH, Column
from results import figure_frames
from results.answers import game_summary
from results.explained import words_summary
from results.frames import cluster_domains, dictionary_roles
from results.headline import headline_frame
from results.ids import feature_ids
from results.label_frames import label_summary
from results.layer_frames import layer_table
from results.own_notes import one_line
from results.probe_frames import explanation_summary, probe_summary
from results.split_frames import agreement_rows, split_rows
from results.steering_frames import steering_summary
from results.study_frames import contrast_rows, domain_rows
from results.tokenizers import coverage_frame
from results.unseen_frames import unseen_summary
from results.words import NAMES, ROLES, number
from universality.sae.architectures import ARCHITECTURES

#: Models with a column of their own, at most; clusters listed.
MAX_MODELS_LISTED, CLUSTERS_LISTED = 8, 12
#: Pairs of sizes, each of a model, that are listed; of more only the smallest and the largest of every model.
MAX_SIZES_LISTED = 6
#: Characters of a note in a table for readers; the rest is in the table behind it.
MOST_OF_A_NOTE = 200
#: Pairs of models listed one by one in the headline table, at most.
MAX_PAIRS_LISTED = 10


def _headline(tables: Tables, context: ExhibitContext) -> Contents:
    frame = headline_frame(tables["headline"])
    overall = frame[frame["pair"] == "overall"].assign(row=lambda t: t["label"])
    each = frame[(frame["quantity"] == "features") & (frame["pair"] != "overall")].assign(row=lambda t: t["pair"])
    listed = len(each) if len(each) <= MAX_PAIRS_LISTED else 0
    rows = pd.concat([overall, each[:listed]], ignore_index=True)
    rows["interval"] = intervals(rows["low"], rows["high"])
    groups = {0: "all pairs of models", len(overall): "SAE features, by pair of models"} if listed else None
    return {"": Listing(rows, columns("tables/headline"), groups)}


def _domains(tables: Tables, context: ExhibitContext) -> Contents:
    frame = figure_frames.domain_frame(tables["domains"])
    frame = frame.assign(domain=figure_frames.domain_labels(frame))
    return {"": Listing(frame, columns("tables/domains"))}


def _models(tables: Tables, context: ExhibitContext) -> Contents:
    if "fvu" not in tables["models"]:  # activations came without their dictionaries
        return {}
    frame = figure_frames.dictionary_frame(tables["models"])
    # What a role is there for stands in the caption.
    roles = [ROLES.get(str(role), str(role)).split(" (")[0] for role in dictionary_roles(tables["models"])]
    return {"": Listing(_named(frame.assign(role=roles)), columns("tables/models"))}


def _coverage(tables: Tables, context: ExhibitContext) -> Contents:
    frame = coverage_frame(tables["coverage"])
    for name in ("coverage", "lowest_coverage"):
        frame[name] = 100 * frame[name]
    return {"": Listing(frame, columns("tables/coverage"))}


def _sweeps(tables: Tables, context: ExhibitContext) -> Contents:
    points = figure_frames.sweep_points(tables["sweeps"])
    points["best"] = points["frontier"].map({True: "yes", False: ""})
    return {"": Listing(_named(points), columns("tables/sweeps"))}


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with architectures under the names that papers give them."""
    labels = {name: kind.label for name, kind in ARCHITECTURES.items()}
    return frame.assign(architecture=frame["architecture"].replace(labels))


def intervals(low: pd.Series, high: pd.Series) -> list[str | None]:
    """The ends of intervals in words; None where one is missing."""
    ends = zip(low, high, strict=True)
    return [None if pd.isna(a) or pd.isna(b) else f"{number(a)} to {number(b)}" for a, b in ends]


def _indices(tables: Tables, context: ExhibitContext) -> Contents:
    frame = figure_frames.index_frame(tables["indices"])
    frame["over"] = [f"{n} pairs" if n else "all models" for n in frame["pairs"]]
    frame["over"] += frame["value"].isna().map({True: " of one model", False: ""})
    frame["interval"] = intervals(frame["low"], frame["high"])
    by_level = frame["name"].str.extract("^(shared_fraction|reproduced)(?:_(.+))?$")
    kind = by_level[0].map(NAMES).fillna("other indices")
    frame["name"] = by_level[1].fillna("any level").where(by_level[0].notna(), frame["name"])
    groups = {int(place): str(kind[place]) for place in kind.index[kind != kind.shift()]}
    return {"": Listing(frame, columns("tables/indices"), groups)}


def _verdicts(tables: Tables, context: ExhibitContext) -> Contents:
    frame = figure_frames.verdict_frame(tables["features"])
    models = [name for name in frame.columns if name not in ("verdict", "n", "share")]
    shown = models if len(models) <= MAX_MODELS_LISTED else []
    reason, *others = columns("tables/verdicts")
    listed = [reason, *(Column(name, name) for name in shown), *others]
    return {"": Listing(frame.assign(percent=100 * frame["share"]), listed)}


def _clusters(tables: Tables, context: ExhibitContext) -> Contents:
    if context.evidence is None:
        return {}
    chosen = clusters_to_show(tables["clusters"], tables["features"], CLUSTERS_LISTED)
    lines = [context.evidence.strongest(row) for _, row in chosen.iterrows()]
    frame = pd.DataFrame(lines, columns=["before", "token", "after"]).assign(
        cluster=chosen["cluster"].to_numpy(),
        level=chosen["level"].to_numpy(),
        cohesion=chosen["cohesion"].to_numpy(float),
        domain=chosen["cluster"].map(cluster_domains(tables["features"])).fillna("").to_numpy(),
    )
    evidence = context.evidence

    def pictures() -> list[Figure]:
        return [line_figure(evidence.line(row), PICTURE_WIDTH) for _, row in chosen.iterrows()]

    return {"": Listing(frame, columns("tables/clusters"), pictures=pictures if len(frame) else None)}


def _pinned(tables: Tables, context: ExhibitContext) -> Contents:
    frame = tables["pinned"].assign(**{side: feature_ids(tables["pinned"], side) for side in "ab"})
    frame["interval"] = intervals(frame["r_low"], frame["r_high"])
    evidence, rows = context.evidence, [row for _, row in tables["pinned"].iterrows()]
    verdicts = None if evidence is None else {place: evidence.verdict(row) for place, row in enumerate(rows)}
    return {"": Listing(frame, columns("tables/pinned"), verdicts)}


def _names(tables: Tables, context: ExhibitContext) -> Contents:
    notes = [one_line(note, MOST_OF_A_NOTE) for note in tables["names"]["note"]]
    return {"": Listing(tables["names"].assign(note=notes), columns("tables/names"))}


def _games(tables: Tables, context: ExhibitContext) -> Contents:
    frame = game_summary(tables["answers"])
    frame["accuracy"] = 100 * frame["accuracy"]
    frame["interval"] = intervals(frame["low"], frame["high"])
    return {"": Listing(frame, columns("tables/games"))}


def _words(tables: Tables, context: ExhibitContext) -> Contents:
    frame = words_summary(tables["explained"])
    frame["of"] = frame["kind"].map({"matched": "of the run", "untrained": "untrained"})
    frame["interval"] = intervals(frame["low"], frame["high"])
    frame["interval_other"] = intervals(frame["low_other"], frame["high_other"])
    return {"": Listing(frame, columns("tables/words"))}


def _steering(tables: Tables, context: ExhibitContext) -> Contents:
    names = ("steering_clusters", "steering_doses", "steering_transfer")
    frame = steering_summary(*(tables[name] for name in names))
    if frame.empty:
        return {}
    for name in ("without", "steered", "random"):
        frame[name] = 100 * frame[name].astype(float)
    low, high = 100 * frame["low"], 100 * frame["high"]
    frame["span"] = [None if pd.isna(a) else f"{a:.0f} to {b:.0f}" for a, b in zip(low, high, strict=True)]
    return {"": Listing(frame, columns("tables/steering"))}


def _probes(tables: Tables, context: ExhibitContext) -> Contents:
    frame = probe_summary(tables["probes"])
    if frame["matched"].isna().all():
        return {}
    frame["span"] = intervals(frame["low"], frame["high"])
    return {"": Listing(frame, columns("tables/probes"))}


def _labels(tables: Tables, context: ExhibitContext) -> Contents:
    frame = label_summary(tables["labels"], set(tables["features"]["model"]))
    for name in ("share", "share_floor"):
        frame[name] = 100 * frame[name]
    return {"": Listing(frame[(frame["n"] > 0) | (frame["n_floor"] > 0)], columns("tables/labels"))}


def _explanations(tables: Tables, context: ExhibitContext) -> Contents:
    frame = explanation_summary(tables["explanation_transfer"])
    if frame.empty:
        return {}
    frame["interval"] = intervals(frame["transfer_low"], frame["transfer_high"])
    return {"": Listing(frame, columns("tables/explanations"))}


def _unseen(tables: Tables, context: ExhibitContext) -> Contents:
    frame = unseen_summary(tables["unseen_domains"])
    if frame.empty:
        return {}
    frame["span"] = intervals(frame["did_low"], frame["did_high"])
    return {"": Listing(frame, columns("tables/unseen"))}


def _study(tables: Tables, context: ExhibitContext) -> Contents:
    rows = contrast_rows(tables["study_contrasts"], tables["study_means"])
    for name in ("shared", "r"):
        rows[f"{name}_span"] = intervals(rows[f"{name}_low"], rows[f"{name}_high"])
    first = {"what differs": "taken away by a difference of", "agreement": "agreement where these differ"}
    groups = {int(part.index[0]): first[str(name)] for name, part in rows.groupby("part", sort=False)}
    varied = [] if (rows["point"] == "").all() else [Column("point", "at")]
    label, *others = columns("tables/study")
    return {"": Listing(rows, [label, *varied, *others], groups)}


def _study_layers(tables: Tables, context: ExhibitContext) -> Contents:
    rows = layer_table(tables["study_layers"])
    rows["span"], rows["joint_span"] = (intervals(rows[f"{of}low"], rows[f"{of}high"]) for of in ("", "joint_"))
    groups = {int(part.index[0]): str(name) for name, part in rows.groupby("panel", sort=False)}
    return {"": Listing(rows, columns("tables/study_layers"), groups)}


def _study_domains(tables: Tables, context: ExhibitContext) -> Contents:
    rows = domain_rows(tables["study_domains"])
    if rows.empty:
        return {}
    rows["span"] = intervals(rows["low"].fillna(rows["low_sources"]), rows["high"].fillna(rows["high_sources"]))
    return {"": Listing(rows, columns("tables/study_domains"))}


def _splits(tables: Tables, context: ExhibitContext) -> Contents:
    frame = split_rows(tables["splits_by_size"])
    frame["interval"] = intervals(frame["excess_low"], frame["excess_high"])
    if frame.groupby(["series", "sizes"]).ngroups > MAX_SIZES_LISTED:
        ends = (frame["d_sae"] == frame["d_sae"].min()) & (frame["child_d_sae"] == frame["child_d_sae"].max())
        frame = frame[ends].reset_index(drop=True)
    places = frame.drop_duplicates(["series", "sizes"])
    words = places["series"] + ", " + places["sizes"]
    groups = {int(place): name for place, name in zip(places.index, words, strict=True)}
    return {"": Listing(frame, columns("tables/splits"), groups)}


def _split_agreement(tables: Tables, context: ExhibitContext) -> Contents:
    frame = agreement_rows(tables["split_agreement"])
    return {"": Listing(frame[frame["n_asked"] > 0], columns("tables/split_agreement"))}


READING_TABLES: tuple[Exhibit, ...] = (
    Exhibit("tables/headline", ("headline",), _headline),
    Exhibit("tables/models", ("models",), _models),
    Exhibit("tables/coverage", ("coverage",), _coverage),
    Exhibit("tables/domains", ("domains",), _domains),
    Exhibit("tables/indices", ("indices", "features"), _indices),
    Exhibit("tables/probes", ("probes",), _probes),
    Exhibit("tables/explanations", ("explanation_transfer",), _explanations),
    Exhibit("tables/steering", ("steering_clusters", "steering_doses", "steering_transfer"), _steering),
    Exhibit("tables/labels", ("labels", "features"), _labels),
    Exhibit("tables/clusters", ("clusters", "features"), _clusters),
    Exhibit("tables/verdicts", ("features",), _verdicts),
    Exhibit("tables/unseen", ("unseen_domains",), _unseen),
    Exhibit("tables/study", ("study_contrasts", "study_means"), _study),
    Exhibit("tables/study_layers", ("study_layers",), _study_layers),
    Exhibit("tables/study_domains", ("study_domains",), _study_domains),
    Exhibit("tables/pinned", ("pinned",), _pinned),
    Exhibit("tables/names", ("names",), _names),
    Exhibit("tables/words", ("explained",), _words),
    Exhibit("tables/games", ("answers",), _games),
    Exhibit("tables/sweeps", ("sweeps",), _sweeps),
    Exhibit("tables/splits", ("splits_by_size",), _splits),
    Exhibit("tables/split_agreement", ("split_agreement",), _split_agreement),
)
