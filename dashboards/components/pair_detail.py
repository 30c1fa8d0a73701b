"""Everything known of one pair, on one screen: is this match real?"""

import pandas as pd
import streamlit as st

from dashboards.components.badges import badge_of, level_badge
from dashboards.components.columns import bar
from dashboards.components.contexts import DrawnFeature, drawn_feature, show_contexts_panel
from dashboards.components.labels import show_label
from dashboards.components.links import cluster_link, feature_link, literal
from dashboards.components.markup import Fact, badge, facts, heading, verdict
from dashboards.components.pair_facts import (
    agreement_facts,
    effect_facts,
    firing_facts,
    margin_facts,
    names_of,
    provenance_facts,
)
from dashboards.components.panels import panel
from dashboards.components.profiles import show_firing, show_logits
from dashboards.data import View
from results import words
from results.colours import EFFECT_CLASS_COLOURS, OKABE_ITO, SIDE_COLOURS
from results.feature_lists import candidates_of, find_feature
from results.ids import feature_ids
from results.pair_verdict import pair_verdict
from results.stored_comparison import comparison_node


def show_pair(view: View, row: pd.Series) -> None:
    """The whole detail of an assigned pair: the verdict, then its evidence."""
    names = names_of(row)
    st.html(heading(zip(names, SIDE_COLOURS.values(), strict=True), badges(view, row)))
    with panel():
        said = pair_verdict(view, row)
        st.html(verdict(said.sentence, [(one.holds, one.name, one.sentence) for one in said.reasons]))
    for side in "ab":
        show_label(view, str(row[f"model_{side}"]), int(row[f"latent_{side}"]))
    with st.container(horizontal=True, gap="medium"):
        for name in names:
            feature_link(view, name)
        features = [find_feature(view, name) for name in names]
        for cluster in sorted({int(f["cluster"]) for f in features if f is not None and pd.notna(f["cluster"])}):
            cluster_link(view, cluster)
    sides: list[DrawnFeature] = []  # stays empty where the activations cannot be read
    with panel("Activation", "How far both agree, what is left beyond tokens and text, and how often they fire."):
        st.html(facts([*agreement_facts(row, view.alpha), *firing_facts(row)]))
        sides += [
            drawn_feature(view, str(row[f"model_{side}"]), row[f"latent_{side}"], colour)
            for side, colour in SIDE_COLOURS.items()
        ]
        show_firing(view, *sides)
    if sides:
        show_contexts_panel(view, sides, key="pair", title="Text")
    with panel("What they do", "What ablating either changes, and the tokens that their decoders raise and lower."):
        st.html(facts(effect_facts(row)))
        if sides:
            show_logits(view, sides)
    show_alternatives(view, row)
    with panel("Provenance", "What was compared, and where these numbers are stored."):
        stored = view.run.artifact(comparison_node(view.comparison))
        at = Fact("stored as", stored.key[:12], f"{view.name} · {view.comparison}", f"Artifact {stored.key}")
        bound = Fact("threshold", f"r {view.tau:g}", f"q below {view.alpha:g}", "What counts as one feature.")
        st.html(facts([*provenance_facts(row, view.table("models")), bound, at]))


def badges(view: View, row: pd.Series) -> list[str]:
    """Level, class, chance and flags as small labels."""
    made = [level_badge(view, row)]
    classes = {side: str(row[f"class_{side}"]) for side in "ab" if pd.notna(row[f"class_{side}"])}
    if len(set(classes.values())) == 1:
        made.append(badge_of("class", next(iter(classes.values()))))
    else:
        made += [badge_of("class", name, before=f"{row[f'model_{side}']} ") for side, name in classes.items()]
    if pd.notna(row["q"]):
        text, colour = ("beyond chance", "green") if row["q"] < view.alpha else ("within chance", "vermillion")
        made.append(badge(text, OKABE_ITO[colour], hint=f"q {words.probability(row['q'])}"))
    if pd.notna(row.get("effect_class")):
        name = str(row["effect_class"])
        text = words.called(name) if name != "undecided" else "effect undecided"
        made.append(badge(text, EFFECT_CLASS_COLOURS[name], hint=words.EFFECT_CLASSES[name]))
    flags = sorted({flag for side in "ab" for flag in words.flags(row[f"flags_{side}"])})
    return [*made, *(badge_of("flag", flag) for flag in flags)]


def show_alternatives(view: View, row: pd.Series) -> None:
    """Who else could have been the partner, in both directions."""
    note = "The best partners by fit r, before the assignment. A close second may mean a split feature."
    with panel("Alternatives", note):
        st.html(facts(margin_facts(row)))
        table = view.table("candidates")
        for side, other, name, column in zip("ab", "ba", names_of(row), st.columns(2), strict=True):
            there = str(row[f"model_{other}"])
            near = candidates_of(table, str(row[f"model_{side}"]), int(row[f"latent_{side}"]), there)
            near = near.assign(assigned=near["latent"] == int(row[f"latent_{other}"]), feature=feature_ids(near))
            column.markdown(f"**Of {literal(name)}** in {literal(there)}")
            column.dataframe(
                near[["feature", "r", "assigned"]], hide_index=True, height="content",
                column_config={"r": bar("fit r", format="%.3f")},
            )  # fmt: skip
