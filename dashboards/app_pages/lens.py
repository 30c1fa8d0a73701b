"""Text lens: what the features of the compared models make of a typed text."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.components.columns import Column, chosen_columns, number, percent, text
from dashboards.components.downloads import csv_button
from dashboards.components.lens_strip import labels, marks, strip, strip_legend
from dashboards.components.links import page_address, quoted, view_popover
from dashboards.components.mark_legend import mark_legend
from dashboards.components.opened_models import show_sources
from dashboards.components.panels import explain_refusal, nothing, panel
from dashboards.components.selection import fitting, selectable_table, step_buttons
from dashboards.data import MAX_ROWS, View
from dashboards.frame import current_view
from dashboards.lens import read, without
from results import text_lens, words
from results.ids import feature_ids
from results.public.errors import HubError
from results.text_lens import Agreement, Reading
from universality.errors import InputError

#: Tokens on which a cluster must fire before its correlation says anything.
ENOUGH = 3


def choose(samples: dict[str, str]) -> None:
    """Write the sample that was picked into the box."""
    st.session_state["text"] = samples.get(st.session_state["lens_sample"], "")


def typed(view: View) -> str:
    """The text box, a button, and texts to begin with; the text stands in the address."""
    text = (
        st.text_area(
            "Text", key="text", height=120, max_chars=text_lens.MAX_CHARACTERS, bind="query-params",
            placeholder="Type or paste a text, or take one of the run's own below",
            help="It is cut into tokens by the run's own tokenizer and read as one context: a start token, then "
            "the text. Nothing is stored and nothing leaves this machine; the text is part of the link.",
        )
        or ""
    )  # fmt: skip
    samples = text_lens.sample_texts(view)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Read", key="lens_read", type="primary", icon=":material/play_arrow:", help="Or press Ctrl+Enter")
        st.selectbox(
            "Sample text", list(samples), index=None, key="lens_sample", on_change=choose, args=(samples,),
            placeholder="Sample text of a domain", label_visibility="collapsed", width=280,
        )  # fmt: skip
        st.caption(f"Up to {view.text.n_ctx - 1:,} tokens: one context of this run's models.")
    return text


def summary(view: View, agreed: Agreement, reading: Reading) -> str:
    """How far the models agree on the text, in a sentence, beside how far they do on the evaluation text."""
    clusters = agreed.clusters
    said = f"On {words.counted(len(reading.tokens), 'token')} {words.counted(len(clusters), 'cluster')} fire"
    if clusters.empty:
        return f"{said}: no feature that models share."
    n_tokens = clusters["n_tokens"]
    firing = float((clusters["firing"] * n_tokens).sum() / n_tokens.sum())
    said += f". Where a cluster fires, {words.share(firing)} of its models do"
    often = clusters.loc[(n_tokens >= ENOUGH) & clusters["r"].notna()]
    if len(often):
        cohesion = view.table("clusters").set_index("cluster")["cohesion"].reindex(often["cluster"])
        said += (
            f"; members correlate over this text at a median r of {words.number(often['r'].median())} "
            f"({words.counted(len(often), 'cluster')} on {ENOUGH} tokens or more; over the evaluation text the same "
            f"clusters: {words.number(cohesion.median())})"
        )
    return f"{said}."


#: The summary's words, explained.
MEANING = f"""
- **fire**: a cluster fires on a token if any of its members does, that is, a feature of one of the models.
- **of its models do**: the share of a cluster's members that fire where any of them does, mean over clusters and
  tokens. 100 % is full agreement on where to fire.
- **median r**: correlation of two members' activations over the tokens of this text, mean over the pairs of a
  cluster, median over clusters: whether models agree on how strongly to fire. On a short text it says little, so
  clusters that fire on fewer than {ENOUGH} tokens are left out, and beside it stands the r of the same clusters over
  the evaluation text.
- **letters and colours** in the strip: the cluster that is strongest on the token, by the mean of its members' shares
  of their maxima. Features that no other model shares are not drawn there; they have a list of their own below.
"""


def whole_text(view: View, reading: Reading, agreed: Agreement, chosen: int | None) -> None:
    """The strip, its legend and the sentence below it."""
    with panel("The text in its strongest clusters", "A cluster is one feature in several models."):
        named = labels(agreed)
        st.html(strip(reading.tokens, marks(agreed, named, len(reading.tokens)), chosen))
        st.html(strip_legend(named))
        mark_legend("lens_legend")
        st.markdown(summary(view, agreed, reading))
        with st.expander("What these numbers say"):
            st.markdown(MEANING)
        if reading.n_left_out:
            st.caption(
                f":material/content_cut: The models read {words.counted(len(reading.tokens), 'token')} at once; "
                f"the last {reading.n_left_out:,} of this text are left out."
            )


def token_table(reading: Reading, agreed: Agreement) -> None:
    """One row per token; the selected one is the address's."""
    drawn = marks(agreed, labels(agreed), len(reading.tokens))
    frame = pd.DataFrame(
        {
            "position": range(1, len(reading.tokens) + 1),
            "token": [piece.replace(" ", "·") for piece in reading.tokens],
            "label": [mark.label for mark in drawn],
            "strength": [100 * mark.strength for mark in drawn],
            "firing": [100 * mark.firing if mark.strength else None for mark in drawn],
            "n": (agreed.firing > 0).sum(axis=0),
        }
    )
    selectable_table(
        frame, [str(i) for i in frame["position"]], param="token", key="lens_tokens", height=380,
        column_config={
            "position": number("#", width=40),
            "token": text("token", width=80),
            "label": text("cluster", width="small", help="letter of its strongest cluster, as in the strip"),
            "strength": number("strength", format="%.0f %%", width="small",
                               help="mean over the cluster's members of their share of their maximum"),
            "firing": number("models", format="%.0f %%", width="small", help="of that cluster, that fire"),
            "n": number("fire", width=50, help="clusters that fire on this token"),
        },
    )  # fmt: skip


def cluster_table(view: View, clusters: pd.DataFrame, agreed: Agreement, order: list[str], most: int) -> None:
    """Clusters with the agreement of their members: a link and a letter first, shares in percent.

    Args:
        view: the comparison.
        clusters: rows of ``agreed.clusters``, or those of one token with a share for every model.
        agreed: of the whole text; its strongest clusters have letters.
        order: columns shown after the link and the letter.
        most: rows up to which the table does not scroll.
    """
    named, ids = labels(agreed), clusters["cluster"]
    shares = [name for name in ("strength", "firing", *view.models()) if name in clusters.columns]
    shown = clusters.assign(
        **{name: 100 * clusters[name] for name in shares},
        link=[page_address("clusters", view, cluster=i) for i in ids],
        label=[named.get(int(i), ("", ""))[0] for i in ids],
    )
    of_maximum = number(format="%.0f %%", help="share of the member's maximum; 0: silent, empty: no member")
    headings: dict[str, Any] = {
        "link": st.column_config.LinkColumn(
            "cluster", display_text=r"cluster=(\d+)", width=64, help="opens the cluster"
        ),
        "label": text("in strip"),
        "strength": number("strength", format="%.0f %%", help="mean of the members' shares of their maxima"),
        "firing": number("firing", format="%.0f %%", help="share of the cluster's members that fire"),
        "r": number("r over text", format="%.2f", help="mean correlation of two members over this text"),
        "n_tokens": number("tokens", help="on which any member fires"),
        "n_models": number("members"),
        **dict.fromkeys(view.models(), of_maximum),
    }
    st.dataframe(
        shown[["link", "label", *order]],
        hide_index=True,
        column_config=headings,
        height=fitting(clusters, most),
    )


def one_token(view: View, agreed: Agreement, position: int) -> None:
    """The clusters of the selected token."""
    clusters = text_lens.clusters_at_token(agreed, position)
    st.markdown(f"**Clusters on token {position + 1}**")
    if clusters.empty:
        nothing("No feature that models share fires here.")
    else:
        order = ["strength", "firing", *view.models(), "r", "n_tokens", "class", "level"]
        cluster_table(view, clusters, agreed, [name for name in order if name in clusters.columns], 10)


def cluster_out(view: View, typed_text: str, reading: Reading, agreed: Agreement) -> None:
    """What the models predict less well with a cluster held at its mean."""
    note = (
        "All members of the cluster are held at their mean, each in its own model, on the tokens where they fire. "
        "Above 0 the model needs the cluster to predict what comes next; below 0 it predicts better without."
    )
    with panel("Without a cluster", note):
        if agreed.clusters.empty:
            nothing("No feature that models share fires in this text.")
            return
        ids = [int(cluster) for cluster in agreed.clusters["cluster"]]
        named = {cluster: letter for cluster, (letter, _) in labels(agreed).items()}
        cluster = st.selectbox(
            "Cluster to take out", ids, index=None, key="without", placeholder="Choose one of those that fire here",
            format_func=lambda i: f"{i} ({named[i]} in the strip)" if i in named else str(i),
        )  # fmt: skip
        if cluster is None:
            return
        changes = without(view, typed_text, cluster)
        if changes.empty:
            nothing("It fires on the last token alone, and nothing follows that is predicted.")
            return
        wide = changes.pivot_table(index="position", columns="model", values="change").reset_index()
        pieces = [piece.replace(" ", "·") for piece in reading.tokens]
        wide.insert(1, "token", [pieces[i] for i in wide["position"]])
        wide.insert(2, "next", [pieces[i + 1] for i in wide["position"]])
        mean = changes.groupby("model")["change"].mean()
        st.markdown(
            "Mean change of the loss where it fires: "
            + ", ".join(f"**{model}** {words.number(value)} nats" for model, value in mean.items())
        )
        columns = {model: number(f"{model}, nats", format="%.3f") for model in mean.index}
        st.dataframe(
            wide.assign(position=wide["position"] + 1), hide_index=True, height=fitting(wide, 10),
            column_config={"position": number("#", width=40), "next": "predicts", **columns},
        )  # fmt: skip


def features_alone(view: View, reading: Reading, position: int | None) -> None:
    """Firings of features that no other model shares, on the selected token or the whole text."""
    note = "Model-specific features, and those too rare to be compared: no other model is known to have them."
    with panel("Features in no cluster", note):
        members, features = text_lens.shared_members(view), view.table("features")
        rows = text_lens.unshared_firings(reading.firings, members, features)
        if position is not None:
            rows = rows[rows["position"] == position]
        if rows.empty:
            nothing("None fires here.")
            return
        where = "on this text" if position is None else f"on token {position + 1}"
        n = len(rows[["model", "latent"]].drop_duplicates())
        said = f"**{n:,}** of {len(features) - len(members):,} latents in no cluster fire {where}"
        times = f", {len(rows):,} times; a row for each" if position is None else ""
        st.caption(f"{said}{times}, strongest first")
        rows = rows.head(MAX_ROWS)
        rows = rows.assign(
            link=[page_address("feature", view, feature=feature) for feature in feature_ids(rows)],
            token=[reading.tokens[i].replace(" ", "·") for i in rows["position"]],
        )
        link = st.column_config.LinkColumn("feature", display_text=r"feature=([^&]+)")
        columns = [
            Column("link", "link", link),
            Column("position", lambda rows: rows["position"] + 1, number("#", width=40)),
            Column("token", "token"),
            Column("share", percent("share"), number("share of maximum", format="%.0f %%")),
            Column("activation", "activation", number("activation", format="%.3f")),
            Column("status", "status"),
            Column("verdict", lambda rows: rows["verdict"].map(words.called, na_action="ignore"),
                   text("verdict", help="why it has no partner")),
        ]  # fmt: skip
        frame, config = chosen_columns(rows, columns)
        st.dataframe(frame, hide_index=True, height=fitting(frame, 8), column_config=config)


def all_clusters(view: View, agreed: Agreement) -> None:
    """Every cluster that fires in the text, with the agreement of its members over it."""
    note = "Strongest first; r needs two members that fire somewhere in it."
    with panel("Clusters over the whole text", note):
        if agreed.clusters.empty:
            nothing("No feature that models share fires in this text.")
            return
        order = ["n_models", "n_tokens", "firing", "r", "class", "level"]
        cluster_table(view, agreed.clusters, agreed, order, 8)


def all_firings(reading: Reading, members: pd.DataFrame) -> pd.DataFrame:
    """All firings as they are downloaded: position and token, model, latent, activation, cluster."""
    clusters = members[["model", "latent", "cluster"]]
    firings = reading.firings.merge(clusters, on=["model", "latent"], how="left")
    firings["cluster"] = firings["cluster"].astype("Int64")
    firings.insert(1, "token", [reading.tokens[i] for i in firings["position"]])
    return firings.assign(position=firings["position"] + 1)


def chosen_token(reading: Reading) -> int | None:
    """The token that the address names, counted from 0; a sentence where the text has no such token."""
    chosen = st.query_params.get("token", "")
    if chosen.isdecimal() and 0 < int(chosen[:9]) <= len(reading.tokens):
        return int(chosen) - 1
    if chosen:
        nothing(f"This text has no token {quoted(chosen)}.", "Choose one in the table.")
    return None


def show(view: View, typed_text: str) -> None:
    """All that there is to see of a text."""
    reading, members = read(view, typed_text), text_lens.shared_members(view)
    agreed = text_lens.agreement(reading.firings, members, len(reading.tokens))
    chosen = chosen_token(reading)
    whole_text(view, reading, agreed, chosen)
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        view_popover(view, text=typed_text, token=st.query_params.get("token", ""))
        csv_button(lambda: all_firings(reading, members), "lens.csv", key="lens_csv")
        step_buttons([str(i + 1) for i in range(len(reading.tokens))], param="token", key="token")
    tables = st.container(horizontal=True, key="lens_tables")
    with tables.container():
        st.markdown("**Tokens**")
        token_table(reading, agreed)
    with tables.container():
        if chosen is None:
            st.caption(":material/touch_app: Select a token to see which clusters fire on it, in which models.")
        else:
            one_token(view, agreed, chosen)
    cluster_out(view, typed_text, reading, agreed)
    features_alone(view, reading, chosen)
    all_clusters(view, agreed)


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Text lens", anchor=False)
    with panel(border=False):
        if not show_sources(view):
            return
        typed_text = typed(view)
        if not typed_text.strip():
            st.caption(":material/touch_app: The first text waits some seconds for the models.")
            return
        try:
            show(view, typed_text)
        except (InputError, HubError) as error:  # a model that is not the one that the run read
            explain_refusal(error)


main()
