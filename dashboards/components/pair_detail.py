"""Everything known of one pair, on one screen: is this match real?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards import words
from dashboards.components import pair_charts
from dashboards.components.contexts import CHOICES, Side, legend, rows_to_show, show_contexts
from dashboards.components.markup import Fact, badge, facts, heading, token_list
from dashboards.components.panels import nothing, panel
from dashboards.components.selection import csv_bytes
from dashboards.data import View
from dashboards.evidence import Firing, firing, joint_histogram
from dashboards.tables import PAIR_ID, pairs_of
from universality.exhibits.colours import CLASS_COLOURS, LEVEL_COLOURS, OKABE_ITO, SIDE_COLOURS

TOKENS_SHOWN = 8


def find_pair(view: View, pair: str) -> pd.Series | None:
    """The row of an assigned pair; either order of the two sides will do. None where there is none."""
    pairs = pairs_of(view)
    found = pairs[pairs["id"] == pair]
    if found.empty and (match := PAIR_ID.match(pair)):
        turned = f"{match['model_b']}:{match['latent_b']}-{match['model_a']}:{match['latent_a']}"
        found = pairs[pairs["id"] == turned]
    return None if found.empty else found.iloc[0]


def side_of(view: View, letter: str, model: str, latent: int) -> Side:
    """One side with its activations."""
    return Side(letter, f"{model}:{latent}", model, int(latent), firing(view.acts(model), int(latent)))


def show_pair(view: View, row: pd.Series) -> None:
    """The whole detail of an assigned pair."""
    alpha = float(view.settings.get("alpha", 0.05))
    st.html(
        heading(
            *(f"{row[f'model_{s}']}:{row[f'latent_{s}']}" for s in "ab"),
            list(SIDE_COLOURS.values()),
            badges(row, alpha),
        )
    )
    with panel(border=False):
        st.html(facts(evidence_facts(row)))
    with panel(border=False):
        sides = [side_of(view, s, str(row[f"model_{s}"]), int(row[f"latent_{s}"])) for s in "ab"]
        show_contexts_panel(view, sides, key="pair")
        show_profiles(view, sides)
        show_joint(sides)
    show_candidates(view, row)


def badges(row: pd.Series, alpha: float) -> list[str]:
    """Level, class and chance as small labels."""
    level = str(row["level"])
    made = [badge(f"level: {level}", LEVEL_COLOURS.get(level, "#8C8C8C"), hint=words.LEVELS.get(level, ""))]
    classes = {s: row[f"class_{s}"] for s in "ab"}
    same = classes["a"] == classes["b"]
    for side, name in classes.items():
        if pd.notna(name) and (side == "a" or not same):
            text = str(name) if same else f"{side.upper()} {name}"
            made.append(
                badge(text, CLASS_COLOURS.get(str(name), "#8C8C8C"), hint=words.CLASSES.get(str(name), ""))
            )
    if pd.notna(row["q"]):
        beyond = row["q"] < alpha
        colour = OKABE_ITO["green"] if beyond else OKABE_ITO["vermillion"]
        made.append(
            badge(
                "beyond chance" if beyond else "within chance",
                colour,
                hint=f"q {words.probability(row['q'])}",
            )
        )
    flags = {
        f
        for s in "ab"
        for f in str(row.get(f"flags_{s}") or "").split(";")
        if f and f not in ("nan", "None", "<NA>")
    }
    made += [
        badge(flag.replace("_", " "), "#8C8C8C", hint="a flag of one side or both") for flag in sorted(flags)
    ]
    return made


def evidence_facts(row: pd.Series) -> list[Fact]:
    """The numbers of the header strip."""

    def of(name: str) -> Any:
        return row.get(name)

    interval = f"{words.number(of('r_low'))} to {words.number(of('r_high'))}" if pd.notna(of("r_low")) else ""
    ratio = of("rate_ratio")
    return [
        Fact(
            "held-out r",
            words.number(row["r_held_out"]),
            interval,
            "Correlation on text not used to match; 95 % interval over documents",
        ),
        Fact(
            "beyond token",
            words.number(of("r_token")),
            "token, position out",
            "Held-out r after each token's and each position's mean is removed",
        ),
        Fact(
            "fit r",
            words.number(row["r"]),
            "used to match",
            "Correlation on the text that the match was made on",
        ),
        Fact(
            "q",
            words.probability(row["q"]),
            f"p {words.probability(row['p'])}",
            "Against the best of all candidates under whole-document shifts; q controls the false-discovery rate",
        ),
        Fact(
            "q within domain",
            words.probability(of("q_domain")),
            "shifts in a domain",
            "Chance level that keeps the domain: above 0.05 a shared domain explains the match",
        ),
        Fact(
            "margin of A",
            words.number(of("margin_a")),
            "to A's runner-up",
            "Score minus the best alternative for A; negative when A was given up for a better total",
        ),
        Fact(
            "margin of B",
            words.number(of("margin_b")),
            "to B's runner-up",
            "Score minus the best alternative for B",
        ),
        Fact("A fires", words.rate(of("firing_rate_a")), "of all rows", "Firing rate of A"),
        Fact(
            "B fires",
            words.rate(of("firing_rate_b")),
            f"A/B {words.number(ratio)}",
            "Firing rate of B, and the ratio of both",
        ),
        Fact(
            "both fire",
            words.share(of("jaccard")),
            "Jaccard",
            "Rows where both fire over rows where either fires",
        ),
        Fact("B given A", words.share(of("p_b_given_a")), "P(B | A)", "How often B fires where A fires"),
        Fact("A given B", words.share(of("p_a_given_b")), "P(A | B)", "How often A fires where B fires"),
    ]


@st.fragment
def show_contexts_panel(view: View, sides: list[Side], *, key: str) -> None:
    """Contexts of a choice; a fragment, so that another choice redraws nothing else."""
    with panel("Contexts", "Each text stands once, with the activations of both features drawn on it."):
        options = list(CHOICES) if len(sides) > 1 else ["top_a", "quantiles", "random"]
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            choice = st.segmented_control(
                "Contexts", options, default=options[0], required=True, key=f"{key}_contexts", label_visibility="collapsed",
                format_func=lambda c: CHOICES[c][0] if len(sides) > 1 else CHOICES[c][0].removesuffix(" of A"),
            )  # fmt: skip
            stacked = len(sides) > 1 and st.toggle(
                "Separate lines", key=f"{key}_stacked", help="Draw each side on a line of its own"
            )
        shown = sides
        if choice in ("quantiles", "random") and len(sides) > 1:
            letter = st.segmented_control(
                "of",
                ["a", "b"],
                default="a",
                required=True,
                key=f"{key}_whose",
                format_func=lambda s: f"of {s.upper()}",
                label_visibility="collapsed",
            )
            picked_from = [side for side in sides if side.letter == letter]
        else:
            picked_from = sides
        st.caption(CHOICES[choice][1])
        stored = {}
        if choice in ("quantiles", "random"):
            stored = {s.letter: view.of_latent("contexts", s.model, s.latent) for s in picked_from}
        st.html(legend(shown, stacked=stacked))
        show_contexts(view.text, rows_to_show(choice, view.text, picked_from, stored), shown, stacked=stacked)


def show_profiles(view: View, sides: list[Side]) -> None:
    """Histograms and tokens of the sides, beside each other on the same axes."""
    frames = [
        pair_charts.shares_of_maximum(view.of_latent("histograms", s.model, s.latent), view.text.n_rows)
        for s in sides
    ]
    limits = pair_charts.common_limits(frames)
    tokens = {s.letter: view.of_latent("logits", s.model, s.latent) for s in sides}
    for side, frame, column in zip(sides, frames, st.columns(len(sides)), strict=True):
        with column, panel():
            st.html(heading(side.name, "", [side.colour, side.colour]))
            st.html(facts([
                Fact("fires on", words.rate(side.firing.rate), f"{len(side.firing.rows):,} of {side.firing.n_rows:,} rows"),
                Fact("largest activation", words.number(side.firing.maximum), "axes end here"),
            ]))  # fmt: skip
            if frame.empty:
                nothing("This feature never fires on the evaluation text.")
            else:
                st.altair_chart(pair_charts.activation_chart(frame, side.colour, limits))
            show_tokens(view, side, tokens)


def show_tokens(view: View, side: Side, tokens: dict[str, pd.DataFrame]) -> None:
    """Tokens that the feature's decoder raises and lowers most; those that the other side lists too are marked."""
    others = [frame for letter, frame in tokens.items() if letter != side.letter]
    for name, caption, column in zip(
        ("top", "bottom"), ("raises most", "lowers most"), st.columns(2), strict=True
    ):
        rows = tokens[side.letter]
        rows = rows[rows["side"] == name].sort_values("rank").head(TOKENS_SHOWN)
        shared = {int(t) for frame in others for t in frame.loc[frame["side"] == name, "token"]}
        listed = [
            (view.text.token(int(token)), float(value), int(token) in shared)
            for token, value in zip(rows["token"], rows["value"], strict=True)
        ]
        with column:
            if listed:
                st.html(token_list(listed, side.colour, caption=caption))


def show_joint(sides: list[Side]) -> None:
    """The joint histogram of both activations."""
    a, b = sides
    with panel(
        "How they fire together",
        "Rows where at least one of the two fires. The strips beyond the dashed lines are rows where the other is silent.",
    ):
        left, right = st.columns([3, 2], vertical_alignment="center")
        frame = joint_histogram(a.firing, b.firing)
        if frame.empty:
            nothing("Neither of the two fires on the evaluation text.")
            return
        with left:
            st.altair_chart(pair_charts.joint_chart(frame, a.name, b.name))
        with right:
            st.html(facts(overlap_facts(frame, a.firing, b.firing)))


def overlap_facts(frame: pd.DataFrame, a: Firing, b: Firing) -> list[Fact]:
    """Counts behind the joint histogram."""
    only_a = int(frame.loc[frame["bin_b"] < 0, "count"].sum())
    only_b = int(frame.loc[frame["bin_a"] < 0, "count"].sum())
    both = int(frame["count"].sum()) - only_a - only_b
    return [
        Fact("both fire", f"{both:,}", "rows"),
        Fact("only A", f"{only_a:,}", f"{words.share(only_a / max(len(a.rows), 1))} of A's"),
        Fact("only B", f"{only_b:,}", f"{words.share(only_b / max(len(b.rows), 1))} of B's"),
        Fact("expected by chance", f"{a.rate * b.rate * a.n_rows:,.1f}", "both, if independent"),
    ]


def show_candidates(view: View, row: pd.Series) -> None:
    """Who else could have been the partner, in both directions."""
    with panel(
        "Other candidates",
        "The best partners by fit r, before the assignment. A close second may mean a split feature.",
    ):
        table = view.table("candidates")
        for letter, other, column in zip("ab", "ba", st.columns(2), strict=True):
            model, latent = str(row[f"model_{letter}"]), int(row[f"latent_{letter}"])
            mine = candidates_of(table, model, latent, str(row[f"model_{other}"]))
            mine["assigned"] = mine["latent"] == int(row[f"latent_{other}"])
            with column:
                st.markdown(f"**Candidates of {letter.upper()} in {row[f'model_{other}']}**")
                st.dataframe(
                    mine, hide_index=True, height="content",
                    column_config={
                        "r": st.column_config.ProgressColumn("fit r", format="%.3f", min_value=0, max_value=1),
                        "assigned": st.column_config.CheckboxColumn("assigned"),
                    },
                )  # fmt: skip


def candidates_of(table: pd.DataFrame, model: str, latent: int, other: str) -> pd.DataFrame:
    """A feature's candidates in one other model: rank, model, latent, r; a new frame."""
    mine = table[(table["model_a"] == model) & (table["latent_a"] == latent) & (table["model_b"] == other)]
    return (
        mine[["rank", "model_b", "latent_b", "r"]]
        .rename(columns={"model_b": "model", "latent_b": "latent"})
        .sort_values("rank", ignore_index=True)
    )


def download_pair(row: pd.Series) -> None:
    """The pair's numbers as CSV."""
    st.download_button(
        "CSV", data=lambda: csv_bytes(row.to_frame().T), file_name=f"pair_{row['id'].replace(':', '.')}.csv",
        mime="text/csv", on_click="ignore", icon=":material/download:", key="pair_csv",
    )  # fmt: skip
