"""Steering as the server keeps it: models are opened once and shared, and what they wrote is remembered."""

import streamlit as st

from dashboards.data import BY_VIEW, View
from results.steered import Steered, steer_prompt
from results.steering import Member, Sampling, Steering


# Models are large: of two comparisons at most they stay open.
@st.cache_resource(show_spinner="Opening the models (some seconds, once)…", max_entries=2, hash_funcs=BY_VIEW)
def steering_of(view: View) -> Steering:
    """The models of a view, opened one by one when they are steered."""
    return Steering(view)


@st.cache_resource(show_spinner="Writing…", max_entries=64, hash_funcs=BY_VIEW)
def written(
    view: View,
    member: tuple[str, int],
    strength: float,
    prompt: str,
    domain: str | None,
    sampling: tuple[int, int, float, int],
) -> Steered:
    """What one model writes. Shared: never write into it.

    Args:
        view: the comparison.
        member: model and latent.
        strength: multiples of the push.
        prompt: text.
        domain: whose share is told.
        sampling: the fields of :class:`results.steering.Sampling`.

    Raises:
        InputError: what cannot be steered, or continued.
        StoreError: weights, dictionaries or the tokenizer are missing or damaged.
    """
    how = Sampling(*sampling)
    return steer_prompt(steering_of(view), Member(*member), strength, prompt, domain=domain, sampling=how)
