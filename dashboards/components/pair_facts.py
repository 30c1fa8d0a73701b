"""The numbers of a pair, in groups; columns that a run has not are dashes."""

import pandas as pd

from dashboards.components.markup import Fact
from results import words
from results.ids import feature_id


def _number(row: pd.Series, name: str) -> str:
    return words.number(row.get(name))


def _interval(row: pd.Series, name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{words.number(low)} to {words.number(high)}" if pd.notna(low) else ""


def names_of(row: pd.Series) -> tuple[str, str]:
    """The ids of both sides."""
    return feature_id(row["model_a"], row["latent_a"]), feature_id(row["model_b"], row["latent_b"])


def agreement_facts(row: pd.Series, alpha: float) -> list[Fact]:
    """How far both agree, what is left of it, and by what chance and how many sources.

    Args:
        row: of the table ``pairs``.
        alpha: the run's false-discovery rate.
    """
    return [
        Fact("held-out r", _number(row, "r_held_out"), _interval(row, "r") or "on score rows",
             "Correlation on text that was not used to match; 95 % interval over sources."),
        Fact("beyond token", _number(row, "r_token"), "token, position out",
             "Held-out r after each token's and each position's mean is removed."),
        Fact("beyond document", _number(row, "r_document"), "document means out",
             "Held-out r after each document's mean is removed."),
        Fact("beyond all", _number(row, "r_joint"), _interval(row, "r_joint"),
             "Held-out r after document, token and position are removed together, with its 95 % interval over "
             "sources. At the threshold or above the match is more than any of these."),
        Fact("beyond pairs", _number(row, "r_bigram"), "of tokens",
             "The same after tokens within a domain, pairs of tokens and tokens at a position are removed too."),
        Fact("P(level)", words.share(row.get("level_probability")), str(row.get("level", "")),
             "Share of resamples of the sources in which the pair has the same level."),
        Fact("q", words.probability(row["q"]), f"p {words.probability(row['p'])}",
             "Against the best of all candidates under shifts by whole documents; q bounds false discoveries."),
        Fact("q within domain", words.probability(row.get("q_domain")), "shifts inside domains",
             f"Chance that keeps the domain. From {alpha:g} on, shifts within it do not rule it out."),
        Fact("sources", _number(row, "n_eff_sources"), "effective number",
             "How many sources make the correlation. Below 5 few vouch for it."),
        Fact("without a source", _number(row, "r_loo"), "its strongest left out",
             "Lowest held-out r when one source of text is left out."),
        Fact("of log(1 + x)", _number(row, "r_log"), f"firing alone {_number(row, 'phi')}",
             "Held-out r of the logarithm of both activations, and of whether they fire: near r unless a few huge "
             "values make it."),
        Fact("fit r", _number(row, "r"), "used to match", "Correlation on the text that the match was made on."),
    ]  # fmt: skip


def firing_facts(row: pd.Series) -> list[Fact]:
    """How often both fire, and how often together."""
    a, b = names_of(row)
    return [
        Fact(f"{a} fires on", words.rate(row["firing_rate_a"]), "of all rows", f"Firing rate of {a}."),
        Fact(f"{b} fires on", words.rate(row["firing_rate_b"]), f"{a} to it {_number(row, 'rate_ratio')}",
             f"Firing rate of {b}, and the ratio of both."),
        Fact("both fire", words.share(row.get("jaccard")), "of either (Jaccard)",
             "Rows where both fire over rows where at least one does."),
        Fact(f"where {a} fires", words.share(row.get("p_b_given_a")), f"{b} does too",
             f"How often {b} fires where {a} does."),
        Fact(f"where {b} fires", words.share(row.get("p_a_given_b")), f"{a} does too",
             f"How often {a} fires where {b} does."),
    ]  # fmt: skip


def effect_facts(row: pd.Series) -> list[Fact]:
    """What ablating either does, and what both write to the logits."""
    both = _interval(row, "r_effect_both") or "where both fire"
    if pd.isna(row.get("weight", 1.0)):
        both = "not measured"
    return [
        Fact("what they do", _number(row, "r_effect_both"), both,
             "Correlation of the changes in the loss that ablating either makes, on score rows where both fire, with "
             f"its 95 % interval over sources. Random directions in {row['model_b']} give about 0, with wide spread."),
        Fact("over all rows", _number(row, "r_effect"), "r of effects", "The same, 0 where a side does not fire."),
        *_first_order(row),
        Fact("in its place", words.share(row.get("recovered")), "of the loss recovered",
             "The partner's activation in the feature's place, scaled on fit rows, both ways: what it makes good of "
             "the loss that ablation costs. It says when they fire, more than what they do."),
        Fact("same tokens", _number(row, "r_logits"), "r of logit weights",
             "Do both push the same tokens? Correlation over the vocabulary of what each writes to the logits."),
        Fact("same credit", _number(row, "r_attribution"), "r of attributions",
             "Held-out correlation of activation times effect on the token that came next."),
        Fact("same direction", _number(row, "cos_procrustes"), "after a rotation",
             f"Cosine of both decoder directions after the rotation that best maps activations of {row['model_a']} to "
             f"those of {row['model_b']}."),
    ]  # fmt: skip


def _first_order(row: pd.Series) -> list[Fact]:
    """What they do by gradients, of runs that have it, and what that is worth."""
    if pd.isna(row.get("r_gradient_both")):
        return []
    exact = " · ".join(f"{row[f'model_{side}']} {_number(row, f'r_exact_{side}')}" for side in "ab")
    return [
        Fact("to first order", _number(row, "r_gradient_both"), f"exact: {exact}",
             f"The same ({_interval(row, 'r_gradient_both')}) by gradient times activation, on many more rows; beside "
             "it, how well that foretells exact ablation of either (correlation where both are known).")
    ]  # fmt: skip


def margin_facts(row: pd.Series) -> list[Fact]:
    """How far the next best partner of either is behind."""
    hint = "Score minus the best alternative; negative where it was given up for a better whole."
    below = "one of a family" if row.get("family") else "to its runner-up"
    return [
        Fact(f"margin of {name}", _number(row, f"margin_{side}"), below, hint)
        for side, name in zip("ab", names_of(row), strict=True)
    ]


def provenance_facts(row: pd.Series, models: pd.DataFrame) -> list[Fact]:
    """What both dictionaries are, from the table ``models``."""
    made = []
    for side in "ab":
        model = str(row[f"model_{side}"])
        for of in models[models["model"] == model].to_dict("records"):
            size = " · ".join(str(of[name]) for name in ("sparsity", "hook_point") if pd.notna(of.get(name)))
            seeds = f"seeds: model {of.get('model_seed')}, SAE {of.get('sae_seed')}"
            what = f"{of.get('architecture') or of.get('sae_source')}, {of['d_sae']:,} latents"
            made.append(Fact(model, what, size, f"{of.get('sae_source')} dictionary; {seeds}"))
    return made
