"""Labels by rule of features and clusters: the words, how far they hold, and the whole rule."""

import pandas as pd
import streamlit as st

from dashboards.components.columns import number
from dashboards.components.markup import labelled, legend, remark
from dashboards.data import View
from results import words
from results.explained import explanation_sentence, explanations_of
from results.ids import feature_id, feature_ids
from results.label_frames import NO_RULE, labelled_clusters, labelled_features
from results.token_text import isolated
from universality.errors import InputError

HELP = "The rule of the text that says most of it, learned on fit rows; spaces of tokens are written ·"
#: Parts of a rule that are listed.
_PARTS = 16


def label_of(row: pd.Series) -> str:
    """A label in words, or that no rule says enough and which comes nearest."""
    nearest = f" (nearest: {row['label']})" if row["label"] else ""
    return f"{NO_RULE}{nearest}" if row["kind"] == NO_RULE else str(row["label"])


def show_label(view: View, model: str, latent: int) -> None:
    """A feature's label with its score and that of untrained models, and its words by language models, if any."""
    _show_rule(view, model, latent)
    _show_words(view, [feature_id(model, latent)])


def _show_words(view: View, names: list[str]) -> None:
    """The words of each language model for one of these features, that which scores best at detection."""
    try:
        by_feature = explanations_of(view)
    except InputError as error:
        st.html(legend([remark(str(error))]))
        return
    told = sorted((one for name in names for one in by_feature.get(name, ())), key=lambda one: one.rank)
    for one in {one.language_model: one for one in told}.values():
        of = [remark(f"of {one.id}")] if len(names) > 1 else []
        st.html(labelled(str(one.explanation), [*of, remark(explanation_sentence(one))]))


def _show_rule(view: View, model: str, latent: int) -> None:
    labels, name = labelled_features(view), feature_id(model, latent)
    if name not in labels.index:
        return
    row = labels.loc[[name]].iloc[0]
    said = f"foretells it at r {words.number(row['r'])} on rows that taught it nothing"
    if pd.notna(row["r_untrained"]):
        said += f"; untrained models at r {words.number(row['r_untrained'])}"
    entries = [remark(said)]
    if isinstance(row["promotes"], str):
        entries.append(remark(isolated(f"makes likelier: {row['promotes']}")))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(labelled(label_of(row), entries))
        if row["n_parts"]:
            with st.popover("The rule", type="tertiary"):
                parts = view.table("label_parts")
                own = parts[(parts["latent"] == latent).to_numpy()]
                own = own[(own["model"] == model).to_numpy()].sort_values("rank").head(_PARTS)
                st.caption(f"Looks at: {words.LABEL_FAMILIES[row['family']]}. Elsewhere it foretells 0.")
                st.dataframe(
                    own[["part", "weight"]], hide_index=True, height="content",
                    column_config={"weight": number("activation above the rest", format="%.3g")},
                )  # fmt: skip


def show_cluster_label(view: View, cluster: int) -> None:
    """A cluster's label and for how many of its models it holds, and the best words for a member, if any."""
    _show_cluster_rule(view, cluster)
    features = view.table("features")
    _show_words(view, feature_ids(features[(features["cluster"] == cluster).fillna(False).to_numpy(bool)]).tolist())


def _show_cluster_rule(view: View, cluster: int) -> None:
    labels = labelled_clusters(view)
    if cluster not in labels.index:
        return
    row = labels.loc[[cluster]].iloc[0]
    holds = f"holds for {row['n_explained']} of {words.counted(int(row['n_models']), 'model')}"
    r = f"r {words.number(row['r'])} on average, {words.number(row['r_least'])} at least"
    st.html(labelled(label_of(row), [remark(f"{holds}: {r}, on rows that taught it nothing")]))
