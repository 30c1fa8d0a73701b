"""The charts and tables of the overview, below the headline."""

import pandas as pd
import streamlit as st

from dashboards.chart_frames import agreement_of, class_bars_of, matrix_of
from dashboards.components import effect_charts
from dashboards.components import overview_charts as charts
from dashboards.components.class_charts import COLOURS, class_bars_chart, class_curve_chart, class_legend, stacked
from dashboards.components.columns import bar, explained, number
from dashboards.components.links import screen_link
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from results import effect_frames, figure_frames, frames, words
from results.cautions import FEW_DOMAIN_SOURCES
from results.headline import overall_values
from results.ids import feature_id
from results.label_frames import label_summary
from results.probe_frames import KINDS, explanation_summary, probe_summary
from results.schema import MODELS
from results.tokenizers import tokenizers_frame
from universality.table_schemas import DOMAINS, TABLES

EXPLAINED = TABLES["explanation_transfer"]

#: Measures of agreement beside each other, and their headings.
MEASURES = {"r_held_out": "Raw", "r_token": "Beyond token and position"}
SPACE_MEASURES = {"r_held_out": "Raw", "r_joint": "Beyond document, token and position"}


def draw(view: View) -> None:
    """All panels, from top to bottom."""
    made_of(view)
    what_they_do(view)
    what_they_know(view)
    what_they_follow(view)
    other_coordinates(view)
    classes(view)
    histograms(view)
    models_against_models(view)
    domains(view)
    dictionaries(view)


def made_of(view: View) -> None:
    """What the agreement is made of: between models, within one model, between untrained models."""
    note = (
        "The summed held-out r of matched pairs, by what makes it: each part beyond all before it. Two SAEs of one "
        "model are the most that can be expected, untrained models what needs no training."
    )
    with panel("What the agreement is made of", note):
        agreement = view.optional("agreement")
        if agreement is None or (parts := figure_frames.agreement_parts(agreement)).empty:
            nothing("This run has no matched pairs, or is of a version that did not take r apart.")
            return
        st.altair_chart(charts.parts_chart(parts))
        st.html(charts.parts_legend())


def what_they_do(view: View) -> None:
    """Effects on the predictions: matched features beside partners that should do something else."""
    note = (
        "To fire together is not yet to do the same. Every feature is held at its mean, row by row, and the changes of "
        "the loss are correlated with those of its partner in another model; beside it other partners, a second SAE of "
        "the same model, and untrained models."
    )
    with panel("Do matched features do the same?", note):
        table = view.optional("effect_agreement")
        if table is None or (rows := effect_frames.effect_rows(table)).empty:
            nothing(
                "This run did not ablate its features: it was not asked to, is of an older version, or its models "
                "have several tokenizers or hook points, and no predictions in common."
            )
            return
        pairs, (left, right) = effect_frames.effect_pairs(view.table("effects")), st.columns(2)
        with left:
            st.altair_chart(effect_charts.partners_chart(rows))
            st.html(effect_charts.partners_legend())
        with right:
            st.altair_chart(effect_charts.quadrant_chart(pairs, view.tau))
            st.html(effect_charts.quadrant_legend(pairs))
        matched = rows[rows["kind"] == "matched"]
        if (matched["n"] < matched["n_all"]).any():
            n, n_all = matched[["n", "n_all"]].iloc[0]
            st.caption(
                f"{n:,} of {n_all:,} matched pairs were measured: those that do most to first order, and some of every "
                "level drawn from the rest. Means count each for as many as it stands for; points are those measured."
            )


def what_they_know(view: View) -> None:
    """Labels that nothing was trained on, and explanations: how much of either partners have."""
    # One under the other: side by side the floors are cut off.
    note = (
        "Labels told from the text alone. AUC is that of each model's best latent for a label; the others are what the "
        "assigned partner of that latent tells of what the best latent there tells beyond chance (1: as much): in "
        "another model, another feature of its domain, within one model (the ceiling), in untrained models (the "
        "floor). Labels that untrained models pass on as well are tokens."
    )
    with panel("Do partners know the same labels?", note):
        probes = view.optional("probes")
        if probes is None or (rows := probe_summary(probes)).empty:
            nothing(
                "No label has 50 rows in either half, or the run asked for none, as those of several tokenizers do."
            )
        else:
            names = {kind: words.EFFECT_PARTNERS[kind] for kind in KINDS}
            st.dataframe(
                rows[["label", "n_rows", "auc", *KINDS]], hide_index=True,
                column_config={
                    "n_rows": number("rows", format="localized"), "auc": number("AUC", format="%.2f"),
                    **{kind: number(name, format="%.2f") for kind, name in names.items()},
                },
            )  # fmt: skip
    note = (
        "A linear explanation of each feature from the last nine tokens, fitted on other text. Its rank correlation "
        "with the feature's own activation says how far it explains, that with the partner's how far it explains the "
        "partner; transfer is the second over the first, with its 95 % interval over sources."
    )
    with panel("Does what explains a feature explain its partner?", note):
        table = view.optional("explanation_transfer")
        if table is None or (rows := explanation_summary(table)).empty:
            nothing("No feature could be explained, or the run did not try, as those of several tokenizers do not.")
            return
        st.dataframe(
            rows[["partner", "n", "own", "score", "transfer", "transfer_low", "transfer_high"]], hide_index=True,
            column_config={"partner": "of its partner", **explained(EXPLAINED, {
                "n": ("pairs", "localized"), "own": ("own", "%.2f"), "score": ("partner's", "%.2f"),
                "transfer": ("transfer", "%.2f"), "transfer_low": ("from", "%.2f"), "transfer_high": ("to", "%.2f"),
            })},
        )  # fmt: skip


def what_they_follow(view: View) -> None:
    """The rules of the text that labels are made of."""
    note = (
        "The rule of the text that says most of each feature, learned on fit rows; r: correlation of what it foretells "
        "with the activation on score rows, the median. Untrained: latents of untrained models that the same rules "
        "foretell best, and rules learned for these models' own features."
    )
    with panel("What do features follow?", note):
        labels = view.optional("labels")
        if labels is None or labels.empty:
            nothing("This run is of a version that made no labels, or has no feature to label.")
            return
        rows = label_summary(labels, set(view.models()))
        shown = rows[(rows["n"] > 0) | (rows["n_floor"] > 0)]
        st.dataframe(
            shown[["kind", "n", "share", "r", "r_untrained", "share_floor", "r_floor"]],
            hide_index=True, height="content",
            column_config={
                "kind": "the rule looks at", "n": number("features", format="localized"),
                "share": bar("of all", format="percent"), "r": number("r", format="%.2f"),
                "r_untrained": number("r, untrained", format="%.2f"),
                "share_floor": number("of untrained models' own", format="percent"),
                "r_floor": number("their r", format="%.2f"),
            },
        )  # fmt: skip


def other_coordinates(view: View) -> None:
    """Features beside other coordinates of the same activations: neurons, principal components, random directions."""
    note = (
        "Every kind of coordinates of the raw activations through the same estimator, with the number of candidates. "
        "More candidates agree better, so as many random directions stand beside each. The SAE beats its space where "
        "its features lie beyond these, and by more than untrained models' do."
    )
    with panel("Is this not just SVD?", note):
        spaces = view.optional("spaces")
        if spaces is None or spaces.empty:
            nothing("This run has no raw activations, or is of a version that did not compare other coordinates.")
            return
        ends = spaces[["value", "low", "high", "haar", "floor"]]
        low, high = min(float(ends.min().min()), 0.0), float(ends.max().max())
        for column, (measure, title) in zip(st.columns(2), SPACE_MEASURES.items(), strict=True):
            with column:
                st.markdown(f"**{title}**")
                if (spaces["measure"] == measure).any():
                    st.altair_chart(charts.space_chart(spaces[spaces["measure"] == measure], low, high))
                else:
                    nothing("Not measured in this run.")
        st.html(charts.space_legend())


def classes(view: View) -> None:
    """Classes by level, at the run's threshold and over all thresholds."""
    by = st.segmented_control(
        "Colour of the classes", list(COLOURS), default="Class", required=True, key="classes", bind="query-params"
    )
    by, tau = by or "Class", view.settings.get("tau")
    left, right = st.columns(2)
    with left, panel("Classes and levels", class_note()):
        bars = stacked(class_bars_of(view), "model", by)
        st.altair_chart(class_bars_chart(bars, by))
        st.html(class_legend(bars, by))
    note = "One threshold is not a result: this is how the classes move with it."
    with right, panel("Classes over the threshold", note):
        curve = stacked(frames.class_curve(view.table("tau_curve")), "tau", by)
        st.altair_chart(class_curve_chart(curve, by, tau))
        st.html(class_legend(curve, by))


def class_note() -> str:
    """What classes and levels mean, as Markdown."""
    meanings = words.CLASSES | {"level": words.LEVEL} | words.LEVELS
    return "  \n".join(f"**{name}**: {meaning}" for name, meaning in meanings.items())


def histograms(view: View) -> None:
    """Held-out r of every kind of pair, raw beside token-conditional."""
    note = (
        "Every matched pair counts once. The dashed line is where the best of all candidates stays by chance. "
        "Heights follow a square root, so that small shares stay visible."
    )
    with panel("How well matched pairs agree", note):
        headline = view.table("headline")
        frame, middle = agreement_of(view)
        low = charts.lowest_shown(frame)
        for column, (measure, title) in zip(st.columns(2), MEASURES.items(), strict=True):
            chance = overall_values(headline).get("null_p95") if measure == "r_held_out" else None
            with column:
                st.markdown(f"**{title}**")
                if (middle["measure"] == measure).any():
                    st.altair_chart(charts.histogram_chart(frame, measure, chance, low))
                    st.html(charts.histogram_legend(middle, measure))
                else:
                    nothing("Not measured in this run.")


def models_against_models(view: View) -> None:
    """The model-by-model heatmap and the k-of-M bars."""
    left, right = st.columns(2)
    note = "Median held-out r of matched features; on the diagonal two SAEs of one model."
    with left, panel("Model by model", note):
        st.altair_chart(charts.matrix_chart(matrix_of(view)))
    note = (
        "Share of alive features by the size of their cluster; the cross is that of untrained models. The tick is what "
        "it would be if every model had each feature with the same chance; the green line spans what identical models "
        "could show, whose dictionaries agree as two of one model do. On the line, nothing is said about the models."
    )
    with right, panel("How many models share a feature", note):
        st.altair_chart(charts.k_of_m_chart(frames.k_of_m_frame(view.table("k_of_m"))))


def domains(view: View) -> None:
    """Each domain's best features: does the same one come back?"""
    note = (
        "For each domain of the text every model's best feature for it, chosen on other text than it is scored on, and "
        "its correlation with its partner. Bars span the models. †: the text comes from fewer than "
        f"{FEW_DOMAIN_SOURCES} files, chapters or catalogues."
    )
    with panel("Domains: one feature per script, language and format?", note):
        table = view.table("domains")
        if table.empty:
            nothing("The text of this run has no domain labels.")
            return
        frame = figure_frames.domain_frame(table)
        st.altair_chart(charts.domain_chart(frame))
        st.html(charts.domain_legend())
        with st.expander("Every model's best feature by domain"):
            domain_table(table)


def domain_table(table: pd.DataFrame) -> None:
    """The domain table; a selected row offers the way to its pair."""
    names = ["domain", "n_sources", "model", "latent", "mcc", "auroc", "r", "r_token", "level", "neuron_r"]
    names += ["untrained_r", "partner_model", "partner_latent"]
    # Runs of older versions do not count sources.
    shown = table[[name for name in names if name in table]].sort_values(["domain", "model"], ignore_index=True)
    chosen = st.dataframe(
        shown, hide_index=True, key="domains_table", on_select="rerun", selection_mode="single-row",
        column_config={
            "partner_model": "partner in",
            **explained(DOMAINS, {
                "n_sources": ("sources", "%d"),
                "mcc": ("MCC", "%.2f"), "auroc": ("AUROC", "%.2f"), "r": ("held-out r", "%.2f"),
                "r_token": ("beyond token", "%.2f"), "neuron_r": ("nearest neuron", "%.2f"),
                "untrained_r": ("untrained", "%.2f"), "partner_latent": ("partner", "%d"),
            }),
        },
    )  # fmt: skip
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(shown) and pd.notna(shown["partner_latent"].iloc[rows[0]]):
        row = shown.iloc[rows[0]]
        partner = feature_id(row["partner_model"], row["partner_latent"])
        pair = f"{feature_id(row['model'], row['latent'])}-{partner}"
        screen_link("pairs", f"Open {pair}", pair=pair)
    else:
        st.caption("Select a row to open its pair.")


#: Two tables of dictionaries, since one would be wider than the page, and their columns.
_DICTIONARIES = {
    "How good they are": ("model", "role", "n_alive", "n_rare", "n_dead", "n_dense", "fvu", "l0", "ce_recovered",
                          "kl_recovered"),
    "How they were made": ("model", "heldout_loss", "train_tokens", "architecture", "d_sae", "sparsity", "sae_tokens",
                           "model_seed", "sae_seed", "max_init_cosine"),
}  # fmt: skip
_HEADINGS = {
    "model_seed": "model seed",
    "sae_seed": "SAE seed",
    **explained(MODELS, {
        "train_tokens": ("tokens", "compact"), "heldout_loss": ("loss", "%.2f"), "fvu": ("FVU", "%.3f"),
        "sae_tokens": ("SAE tokens", "compact"), "l0": ("L0", "%.1f"), "ce_recovered": ("CE recovered", "%.2f"),
        "kl_recovered": ("KL recovered", "%.2f"), "d_sae": ("latents", "localized"), "n_alive": ("alive", "localized"),
        "n_rare": ("rare", "localized"), "n_dense": ("dense", "localized"), "n_dead": ("dead", "localized"),
        "max_init_cosine": ("init cosine", "%.2f"),
    }),
}  # fmt: skip


def tokenizers(view: View) -> None:
    """Where models have several tokenizers: which, and how much of each is compared; nothing where they share one."""
    frame = tokenizers_frame(view)
    if frame is None:
        return
    st.markdown("**Tokenizers**")
    st.caption(
        "Models are compared where all of them end a token: there each has read the same bytes. What a model does at "
        "its other tokens is not seen. Contexts on these screens are cut at the rows."
    )
    st.dataframe(
        frame, hide_index=True,
        column_order=[
            "tokenizer", "name", "models", "n_tokens", "bytes_per_token",
            "coverage", "lowest_domain", "lowest_coverage",
        ],
        column_config={
            "n_tokens": number("tokens", format="localized"),
            "bytes_per_token": number("bytes per token", format="%.2f"),
            "coverage": number("are rows", format="percent", help="share of its tokens where all others end one too"),
            "lowest_domain": "least in", "lowest_coverage": number("there", format="percent"),
        },
    )  # fmt: skip


def dictionaries(view: View) -> None:
    """Models, SAEs and their quality."""
    note = "One row per dictionary: those compared, untrained models, and the second SAEs of both."
    with panel("Models and their SAEs", note):
        tokenizers(view)
        models = view.table("models").copy()
        models["role"] = frames.dictionary_roles(models).map(words.ROLES).fillna(models["role"])
        for title, columns in _DICTIONARIES.items():
            st.markdown(f"**{title}**")
            st.dataframe(models, hide_index=True, column_order=columns, column_config=_HEADINGS)
        st.markdown("**How often latents fire**")
        rates = figure_frames.firing_rates(view.table("features"))
        st.html(charts.model_legend(rates))
        st.altair_chart(charts.firing_rate_chart(rates))
