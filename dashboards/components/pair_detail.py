"""Everything known of one pair, on one screen: is this match real?"""

import pandas as pd
import streamlit as st

from dashboards.components.badges import badge_of, level_badge
from dashboards.components.columns import bar
from dashboards.components.contexts import drawn_feature, show_contexts_panel
from dashboards.components.labels import show_label
from dashboards.components.links import cluster_link, feature_link
from dashboards.components.markup import Fact, badge, facts, heading
from dashboards.components.panels import panel
from dashboards.components.profiles import show_joint, show_profiles
from dashboards.data import View
from results import words
from results.colours import EFFECT_CLASS_COLOURS, OKABE_ITO, SIDE_COLOURS
from results.feature_lists import candidates_of, find_feature
from results.ids import feature_id


def show_pair(view: View, row: pd.Series) -> None:
    """The whole detail of an assigned pair."""
    names = [feature_id(row[f"model_{side}"], row[f"latent_{side}"]) for side in "ab"]
    st.html(heading(zip(names, SIDE_COLOURS.values(), strict=True), badges(view, row)))
    for side in "ab":
        show_label(view, str(row[f"model_{side}"]), int(row[f"latent_{side}"]))
    st.html(facts(evidence_facts(row, view.alpha)))
    with st.container(horizontal=True, gap="medium"):
        for name in names:
            feature_link(view, name)
        features = [find_feature(view, name) for name in names]
        for cluster in sorted({int(f["cluster"]) for f in features if f is not None and pd.notna(f["cluster"])}):
            cluster_link(view, cluster)
    with panel(border=False):
        a, b = (
            drawn_feature(view, str(row[f"model_{side}"]), row[f"latent_{side}"], colour)
            for side, colour in SIDE_COLOURS.items()
        )
        show_contexts_panel(view, [a, b], key="pair")
        with panel(border=False):
            show_profiles(view, [a, b])
        show_joint(a, b)
    show_candidates(view, row)


def badges(view: View, row: pd.Series) -> list[str]:
    """Level, class, chance and flags as small labels."""
    made = [level_badge(view, row)]
    classes = {side: str(row[f"class_{side}"]) for side in "ab" if pd.notna(row[f"class_{side}"])}
    if len(set(classes.values())) == 1:
        made.append(badge_of("class", next(iter(classes.values()))))
    else:
        made += [badge_of("class", name, before=f"{side.upper()} ") for side, name in classes.items()]
    if pd.notna(row["q"]):
        text, colour = ("beyond chance", "green") if row["q"] < view.alpha else ("within chance", "vermillion")
        made.append(badge(text, OKABE_ITO[colour], hint=f"q {words.probability(row['q'])}"))
    if pd.notna(row.get("effect_class")):
        name = str(row["effect_class"])
        text = name.replace("_", " ") if name != "undecided" else "effect undecided"
        made.append(badge(text, EFFECT_CLASS_COLOURS[name], hint=words.EFFECT_CLASSES[name]))
    flags = sorted({flag for side in "ab" for flag in words.flags(row[f"flags_{side}"])})
    return [*made, *(badge_of("flag", flag) for flag in flags)]


def evidence_facts(row: pd.Series, alpha: float) -> list[Fact]:
    """The numbers of the header strip; columns that a run has not are dashes.

    Args:
        row: of the table ``pairs``.
        alpha: the run's false-discovery rate.
    """

    def n(name: str) -> str:
        return words.number(row.get(name))

    interval = f"{n('r_low')} to {n('r_high')}" if pd.notna(row.get("r_low")) else ""
    joint = f"{n('r_joint_low')} to {n('r_joint_high')}" if pd.notna(row.get("r_joint_low")) else ""
    low, high = (row.get(f"r_effect_both_{end}") for end in ("low", "high"))
    both = f"{words.number(low)} to {words.number(high)}" if pd.notna(low) else "where both fire"
    if pd.isna(row.get("weight", 1.0)):
        both = "not measured"
    margin = "Score minus the best alternative; negative where it was given up for a better whole."
    return [
        Fact(
            "held-out r", n("r_held_out"), interval,
            "Correlation on text that was not used to match; 95 % interval over sources.",
        ),
        Fact("beyond token", n("r_token"), "token, position out",
             "Held-out r after each token's and each position's mean is removed."),
        Fact("beyond document", n("r_document"), "document means out",
             "Held-out r after each document's mean is removed."),
        Fact("beyond all", n("r_joint"), joint,
             "Held-out r after document, token and position are removed together, with its 95 % interval over "
             "sources. At the threshold or above the match is more than any of these."),
        Fact("beyond pairs", n("r_bigram"), "tokens in domains, bigrams out",
             "The same after tokens within a domain, pairs of tokens and tokens at a position are removed too."),
        Fact("P(level)", words.share(row.get("level_probability")), str(row.get("level", "")),
             "Share of resamples of the sources in which the pair has the same level."),
        Fact("without a source", n("r_loo"), "its strongest left out",
             "Lowest held-out r when one source of text is left out."),
        Fact("sources", n("n_eff_sources"), "effective number",
             "How many sources make the correlation. Below 5 few vouch for it."),
        Fact("of log(1 + x)", n("r_log"), f"firing alone {n('phi')}",
             "Held-out r of the logarithm of both activations, and of whether they fire: near r unless a few huge "
             "values make it."),
        Fact("q", words.probability(row["q"]), f"p {words.probability(row['p'])}",
             "Against the best of all candidates under shifts by whole documents; q bounds false discoveries."),
        Fact("q within domain", words.probability(row.get("q_domain")), "shifts inside domains",
             f"Chance that keeps the domain. From {alpha:g} on, shifts within it do not rule it out."),
        Fact("margin of A", n("margin_a"), "one of a family" if row.get("family") else "to its runner-up", margin),
        Fact("margin of B", n("margin_b"), "to its runner-up", margin),
        Fact("fit r", n("r"), "used to match", "Correlation on the text that the match was made on."),
        Fact("A fires on", words.rate(row["firing_rate_a"]), "of all rows", "Firing rate of A."),
        Fact("B fires on", words.rate(row["firing_rate_b"]), f"A to B {n('rate_ratio')}",
             "Firing rate of B, and the ratio of both."),
        Fact("both fire", words.share(row.get("jaccard")), "of either (Jaccard)",
             "Rows where both fire over rows where at least one does."),
        Fact("B where A", words.share(row.get("p_b_given_a")), "P(B | A)", "How often B fires where A does."),
        Fact("A where B", words.share(row.get("p_a_given_b")), "P(A | B)", "How often A fires where B does."),
        Fact("what they do", n("r_effect_both"), both,
             "Correlation of the changes in the loss that ablating either makes, on score rows where both fire, with "
             "its 95 % interval over sources. Random directions in B give about 0, with a wide spread."),
        Fact("over all rows", n("r_effect"), "r of effects", "The same, 0 where a side does not fire."),
        *_first_order(row),
        Fact("in its place", words.share(row.get("recovered")), "of ablation's loss recovered",
             "The partner's activation in the feature's place, scaled on fit rows, both ways: what it makes good of "
             "the loss that ablation costs. It says when they fire, more than what they do."),
        Fact("same tokens", n("r_logits"), "r of logit weights",
             "Do both push the same tokens? Correlation over the vocabulary of what each writes to the logits."),
        Fact("same credit", n("r_attribution"), "r of attributions",
             "Held-out correlation of activation times effect on the token that came next."),
        Fact("same direction", n("cos_procrustes"), "after a rotation",
             "Cosine of both decoder directions after the rotation that best maps A's activations to B's."),
    ]  # fmt: skip


def _first_order(row: pd.Series) -> list[Fact]:
    """What they do by gradients, of runs that have it, and what that is worth."""
    if pd.isna(row.get("r_gradient_both")):
        return []
    exact = f"exact: A {words.number(row['r_exact_a'])}, B {words.number(row['r_exact_b'])}"
    ends = f"{words.number(row['r_gradient_both_low'])} to {words.number(row['r_gradient_both_high'])}"
    return [
        Fact("to first order", words.number(row["r_gradient_both"]), exact,
             f"The same ({ends}) by gradient times activation, on many more rows; beside it, how well that foretells "
             "exact ablation of either (correlation where both are known).")
    ]  # fmt: skip


def show_candidates(view: View, row: pd.Series) -> None:
    """Who else could have been the partner, in both directions."""
    note = "The best partners by fit r, before the assignment. A close second may mean a split feature."
    with panel("Other candidates", note):
        table = view.table("candidates")
        for side, other, column in zip("ab", "ba", st.columns(2), strict=True):
            there = str(row[f"model_{other}"])
            near = candidates_of(table, str(row[f"model_{side}"]), int(row[f"latent_{side}"]), there)
            near["assigned"] = near["latent"] == int(row[f"latent_{other}"])
            column.markdown(f"**Of {side.upper()}**, in the other model")
            column.dataframe(
                near[["model", "latent", "r", "assigned"]], hide_index=True, height="content",
                column_config={"r": bar("fit r", format="%.3f")},
            )  # fmt: skip
