"""Everything known of one pair, on one screen: is this match real?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboards.components.links import cluster_link, feature_link
from dashboards.components.markup import Fact, badge, facts, heading
from dashboards.components.panels import panel
from dashboards.components.sides import show_contexts_panel, show_joint, show_profiles, side_of
from dashboards.data import View
from dashboards.tables import candidates_of, find_feature
from results import words
from results.colours import CLASS_COLOURS, GREY, LEVEL_COLOURS, OKABE_ITO, SIDE_COLOURS
from results.export import csv_bytes


def show_pair(view: View, row: pd.Series) -> None:
    """The whole detail of an assigned pair."""
    alpha = float(view.settings.get("alpha", 0.05))
    a, b = (f"{row[f'model_{s}']}:{row[f'latent_{s}']}" for s in "ab")
    st.html(heading(a, b, list(SIDE_COLOURS.values()), badges(row, alpha)))
    st.html(facts(evidence_facts(row, alpha)))
    with st.container(horizontal=True, gap="medium"):
        for feature in (a, b):
            feature_link(view, feature)
        homes = [
            None if found is None else found["cluster"]
            for found in (find_feature(view, a), find_feature(view, b))
        ]
        for cluster in sorted({int(home) for home in homes if pd.notna(home)}):
            cluster_link(view, cluster)
    with panel(border=False):
        sides = [side_of(view, s, str(row[f"model_{s}"]), int(row[f"latent_{s}"])) for s in "ab"]
        show_contexts_panel(view, sides, key="pair")
        show_profiles(view, sides)
        show_joint(sides)
    show_candidates(view, row)


def badges(row: pd.Series, alpha: float) -> list[str]:
    """Level, class, chance and flags as small labels."""
    level = str(row["level"])
    made = [badge(f"level: {level}", LEVEL_COLOURS.get(level, GREY), hint=words.LEVELS.get(level, ""))]
    classes = {side: str(row[f"class_{side}"]) for side in "ab" if pd.notna(row[f"class_{side}"])}
    same = len(set(classes.values())) == 1
    for side, name in list(classes.items())[: 1 if same else 2]:
        text = name if same else f"{side.upper()} {name}"
        made.append(badge(text, CLASS_COLOURS.get(name, GREY), hint=words.CLASSES.get(name, "")))
    if pd.notna(row["q"]):
        text, colour = ("beyond chance", "green") if row["q"] < alpha else ("within chance", "vermillion")
        made.append(badge(text, OKABE_ITO[colour], hint=f"q {words.probability(row['q'])}"))
    for flag in sorted({flag for side in "ab" for flag in words.flags(row[f"flags_{side}"])}):
        made.append(badge(flag.replace("_", " "), GREY, hint=words.FLAGS.get(flag, "")))
    return made


def evidence_facts(row: pd.Series, alpha: float) -> list[Fact]:
    """The numbers of the header strip; columns that a run has not are dashes.

    Args:
        row: of the table ``pairs``.
        alpha: the run's false-discovery rate.
    """

    def n(name: str) -> str:
        return words.number(row.get(name))

    interval = f"{n('r_low')} to {n('r_high')}" if pd.notna(row.get("r_low")) else ""
    margin = "Score minus the best alternative; negative where it was given up for a better whole."
    return [
        Fact(
            "held-out r", n("r_held_out"), interval,
            "Correlation on text that was not used to match; 95 % interval over documents.",
        ),
        Fact("beyond token", n("r_token"), "token, position out",
             "Held-out r after each token's and each position's mean is removed."),
        Fact("beyond document", n("r_document"), "document means out",
             "Held-out r after each document's mean is removed. Below the threshold, which documents they fire in "
             "explains the match: the level is domain."),
        Fact("q", words.probability(row["q"]), f"p {words.probability(row['p'])}",
             "Against the best of all candidates under shifts by whole documents; q bounds false discoveries."),
        Fact("q within domain", words.probability(row.get("q_domain")), "shifts inside domains",
             f"Chance that keeps the domain. From {alpha:g} on, a shared domain explains the match."),
        Fact("margin of A", n("margin_a"), "to its runner-up", margin),
        Fact("margin of B", n("margin_b"), "to its runner-up", margin),
        Fact("fit r", n("r"), "used to match", "Correlation on the text that the match was made on."),
        Fact("A fires on", words.rate(row["firing_rate_a"]), "of all rows", "Firing rate of A."),
        Fact("B fires on", words.rate(row["firing_rate_b"]), f"A to B {n('rate_ratio')}",
             "Firing rate of B, and the ratio of both."),
        Fact("both fire", words.share(row.get("jaccard")), "of either (Jaccard)",
             "Rows where both fire over rows where at least one does."),
        Fact("B where A", words.share(row.get("p_b_given_a")), "P(B | A)", "How often B fires where A does."),
        Fact("A where B", words.share(row.get("p_a_given_b")), "P(A | B)", "How often A fires where B does."),
        Fact("same effect", n("r_logits"), "r of logit weights",
             "Do both push the same tokens? Correlation over the vocabulary of what each writes to the logits."),
        Fact("same credit", n("r_attribution"), "r of attributions",
             "Held-out correlation of activation times effect on the token that came next."),
        Fact("same direction", n("cos_procrustes"), "after a rotation",
             "Cosine of both decoder directions after the rotation that best maps A's activations to B's."),
    ]  # fmt: skip


def show_candidates(view: View, row: pd.Series) -> None:
    """Who else could have been the partner, in both directions."""
    note = "The best partners by fit r, before the assignment. A close second may mean a split feature."
    with panel("Other candidates", note):
        table = view.table("candidates")
        for letter, other, column in zip("ab", "ba", st.columns(2), strict=True):
            there = str(row[f"model_{other}"])
            mine = candidates_of(table, str(row[f"model_{letter}"]), int(row[f"latent_{letter}"]), there)
            mine["assigned"] = mine["latent"] == int(row[f"latent_{other}"])
            with column:
                st.markdown(f"**Of {letter.upper()}**, in the other model")
                st.dataframe(
                    mine[["model", "latent", "r", "assigned"]],
                    hide_index=True,
                    height="content",
                    column_config={
                        "r": st.column_config.ProgressColumn(
                            "fit r", format="%.3f", min_value=0, max_value=1
                        ),
                    },
                )


def download_pair(row: pd.Series) -> None:
    """The pair's numbers as CSV."""
    st.download_button(
        "CSV",
        data=lambda: csv_bytes(row.to_frame().T),
        file_name=f"pair_{row['id'].replace(':', '.')}.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="pair_csv",
    )
