"""Steer: what the models write with a feature turned up."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.components.downloads import csv_button
from dashboards.components.links import cluster_link, literal, view_popover
from dashboards.components.mark_legend import mark_legend
from dashboards.components.opened_models import show_sources
from dashboards.components.panels import abreast, explain_refusal, nothing, panel
from dashboards.components.steered_model import show_steered
from dashboards.components.stored_steering import show_stored
from dashboards.data import View
from dashboards.frame import current_view
from dashboards.steering import steering_of, written
from results.cluster_lists import listed_clusters
from results.colours import model_colours
from results.public.errors import HubError
from results.steered import Steered, command, trust
from results.steering import MAX_CHARACTERS, MOST, Member, Sampling, domain_of, members_of
from results.tokenizers import several_tokenizers
from universality.errors import InputError

#: Models beside each other.
ABREAST = 3
PROMPT = "The first of them"
#: The choice of the domain that the features stand for themselves.
OWN = "its own"


def choose(clusters: dict[str, str]) -> None:
    """Write the cluster that was picked into the box."""
    picked = st.session_state["steer_pick"]
    st.session_state["subject"] = next((number for number, label in clusters.items() if label == picked), "")


def subject_of(view: View) -> str:
    """The cluster or latent that was chosen."""
    frame = listed_clusters(view)
    frame = frame[frame["n_models"] > 1].sort_values(["domain", "cluster"], na_position="last")
    labels = {
        str(row["cluster"]): f"{row['domain']} · cluster {row['cluster']} · {row['n_models']} models · {row['level']}"
        for _, row in frame.iterrows()
    }
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    typed = left.text_input(
        "Cluster or latent", key="subject", placeholder="12, or m0:297", bind="query-params",
        help="The number of a cluster steers every model that has it; model:latent one model.",
    )  # fmt: skip
    right.selectbox(
        "Pick a cluster", list(labels.values()), index=None, key="steer_pick", on_change=choose, args=(labels,),
        placeholder="of several models, by the domain in which it is strongest",
    )  # fmt: skip
    return (typed or "").strip()


def strengths_of_models(members: Sequence[Member]) -> dict[str, float]:
    """A number for every model."""
    chosen = {}
    for member, column in abreast(members, 6, 6):
        value = column.number_input(
            f"Strength in {literal(member.model)}", -MOST, MOST, 2.0, 0.5, key=f"strength_{member.model}",
            bind="query-params", help="In units of the 95th percentile of the feature's activation; 0 changes nothing.",
        )  # fmt: skip
        chosen[member.model] = float(value)
    return chosen


def domain_of_choice(view: View, members: Sequence[Member]) -> str | None:
    """The domain whose share is told: the features' own unless another is chosen; None for text without labels."""
    own, names = domain_of(view, members), sorted(view.text.domains)
    if own is None or len(names) < 2:
        return own
    chosen = st.selectbox(
        "Domain", [OWN, *names], key="judged", bind="query-params",
        help=f"Whose share of the continuations is told; its own is {literal(own)}, which the features fire most on.",
    )  # fmt: skip
    return own if chosen in (None, OWN) else str(chosen)


def sampling_of() -> Sampling:
    """How it is sampled, in a popover."""
    usual = Sampling()
    with st.popover("Sampling", icon=":material/casino:", help="Tokens, samples, temperature and seed"):
        tokens = st.slider("Tokens", 5, 100, usual.tokens, 5, key="tokens", bind="query-params")
        samples = st.slider("Samples", 1, 12, usual.samples, key="samples", bind="query-params")
        temperature = st.slider(
            "Temperature", 0.0, 2.0, usual.temperature, 0.1, key="temperature", bind="query-params",
            help="1 samples as the model says, 0 takes the likeliest token.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 10**6, usual.seed, key="seed", bind="query-params", help="The same noise with and without."
        )
    return Sampling(int(tokens), int(samples), float(temperature), int(seed))


def press() -> None:
    """The button was pressed: from now on the page shows what its settings give, as does a link to it."""
    st.query_params["go"] = "1"


def table_of(view: View, sides: Sequence[Steered]) -> pd.DataFrame:
    """All continuations, one a row, as they are downloaded."""
    steering = steering_of(view)
    rows = [
        (side.member.model, side.member.latent, side.strength if kind != "without" else 0.0, kind, number + 1,
         None if part.in_domain is None else float(part.in_domain[number].mean()), steering.spelled(tokens))
        for side in sides
        for kind, part in (("without", side.without), ("steered", side.steered), ("random", side.random))
        for number, tokens in enumerate(part.tokens)
    ]  # fmt: skip
    names = ["model", "latent", "strength", "direction", "sample", "domain_share", "text"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def show(
    view: View,
    subject: str,
    members: Sequence[Member],
    strengths: dict[str, float],
    prompt: str,
    how: Sampling,
    domain: str | None,
) -> None:
    """The continuations of all models, and the command that writes the same."""
    drawn = (how.tokens, how.samples, how.temperature, how.seed)
    sides = [
        written(view, (member.model, member.latent), strengths[member.model], prompt, domain, drawn)
        for member in members
    ]
    st.caption(f":material/rule: {literal(trust(steering_of(view), domain))}")
    colours = model_colours(view.models())
    for side, column in abreast(sides, ABREAST):
        with column, panel():
            show_steered(view, side, domain, colours[side.member.model])
    asked = None if domain == domain_of(view, members) else domain
    named = {"comparison": view.comparison, "store": view.url, "domain": asked}
    st.markdown("**The same from the command line**")
    st.code(command(view.name, subject, prompt, strengths, how, named), language="bash", wrap_lines=True)
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        settings = {f"strength_{model}": f"{strength:g}" for model, strength in strengths.items()}
        sampled = {"tokens": how.tokens, "samples": how.samples, "temperature": how.temperature, "seed": how.seed}
        settings |= {name: f"{value:g}" for name, value in sampled.items()}
        settings |= {"judged": asked} if asked else {}
        view_popover(view, subject=subject, prompt=prompt, go="1", **settings)
        csv_button(lambda: table_of(view, sides), "steered.csv", key="steer_csv")


def ask(view: View) -> None:
    """What is chosen, and what comes of it."""
    subject = subject_of(view)
    prompt = st.text_area(
        "Prompt", PROMPT, key="prompt", height=80, max_chars=MAX_CHARACTERS, bind="query-params",
        help="What the models continue. Nothing is stored and nothing leaves this machine; it is part of the link.",
    )  # fmt: skip
    if not subject:
        st.caption(":material/touch_app: Pick a cluster, or name a latent, and turn it up.")
        show_stored(view)
        return
    members = members_of(view, subject)
    if subject.isdecimal():
        cluster_link(view, int(subject))
        show_stored(view, int(subject))
    strengths = strengths_of_models(members)
    domain = domain_of_choice(view, members)
    with st.container(horizontal=True, gap="small"):
        st.button("Steer", key="steer", type="primary", icon=":material/play_arrow:", on_click=press)
        how = sampling_of()
        mark_legend("steer_legend")
    if st.query_params.get("go") == "1":
        show(view, subject, members, strengths, prompt or "", how, domain)
    else:
        st.caption("The first time waits some seconds for the models.")


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Steer", anchor=False)
    if several_tokenizers(view):
        nothing(
            "Models with several tokenizers are not steered.",
            "What they write is judged in tokens that all of them share; steer a run of models of one tokenizer.",
        )
        return
    with panel(border=False):
        show_sources(view)
        try:
            ask(view)
        except (InputError, HubError) as error:  # a model that is not where the run had it
            explain_refusal(error)


main()
