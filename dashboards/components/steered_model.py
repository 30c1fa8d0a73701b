"""What one model writes with a feature turned up, beside what it writes without."""

import streamlit as st

from dashboards.components import markup
from dashboards.components.links import feature_link
from dashboards.components.markup import Fact, escape, facts, heading
from dashboards.data import View
from results import words
from results.colours import GREY
from results.steered import Steered, Written, doubt
from results.token_strip import Channel, token_strip

_RANDOM = "a random direction of equal norm"


def show_steered(view: View, side: Steered, domain: str | None, colour: str) -> None:
    """One model's column: numbers, continuations, and the tokens that are pushed up and down."""
    st.html(heading([(side.member.id, colour)]))
    feature_link(view, side.member.id, "the feature")
    st.html(facts(_facts(side, domain)))
    if said := doubt(side):
        st.caption(f":material/warning: {said}")
    if side.n_dropped:
        dropped = words.counted(side.n_dropped, "token")
        st.caption(f":material/content_cut: {dropped} of the prompt lie before the context and are not read.")
    for name, part, ink in (("with", side.steered, colour), ("without", side.without, GREY)):
        st.markdown(f"**{name.capitalize()}**")
        st.html(f'<div class="uv-narrow">{markup.context_rows(_rows(view, part, domain, ink))}</div>')
    shift, text = side.effect.logit_shift, view.text
    for caption, ids in (("raises most", side.up), ("lowers most", side.down)):
        rows = [(text.token(i), float(shift[i]), False) for i in ids]
        st.html(markup.token_list(rows, colour, caption=caption))


def _facts(side: Steered, domain: str | None) -> list[Fact]:
    effect = side.effect
    listed = []
    if domain is not None and side.steered.share is not None:
        listed.append(_from_to(domain, side, "share", "Share of the tokens that the classifier takes for the domain"))
    if side.steered.script is not None:
        listed.append(_from_to("its script", side, "script", "Share of the characters that are of the domain's script"))
    listed += [
        _from_to("distinct tokens", side, "distinct", "Few of them: it repeats itself"),
        Fact("residual stream", f"× {effect.norm_ratio:.2f}", "its norm, over that without",
             "Behind the last block, over the prompt and the continuations without."),
        Fact("KL", f"{effect.kl:.2f}", "nats per token", "Divergence of the predictions from those without."),
        Fact("adds a norm of", f"{side.norm:.3g}", f"strength {side.strength:g}",
             "Strength 1 is the 95th percentile of the feature's activation."),
    ]  # fmt: skip
    return listed


def _from_to(label: str, side: Steered, name: str, hint: str) -> Fact:
    before, after, random = (words.share(getattr(part, name)) for part in (side.without, side.steered, side.random))
    return Fact(
        label, f"{before} → {after}", f"random direction {random}", f"{hint}: without → with; below, {_RANDOM}."
    )


def _rows(view: View, part: Written, domain: str | None, colour: str) -> list[tuple[str, str]]:
    rows = []
    for number, row in enumerate(part.tokens):
        inside = [] if part.in_domain is None else part.in_domain[number].astype(float).tolist()
        channels = [Channel(str(domain), inside, 1.0, colour)] if inside else []
        share = f"<br><span>{escape(words.share(sum(inside) / len(inside)))}</span>" if inside else ""
        strip = token_strip(view.text.strings(row), channels, break_lines=False)
        rows.append((f"<b>{number + 1}</b>{share}", strip))
    return rows
