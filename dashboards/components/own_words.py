"""What people call a thing and say of it, and the form to change that; kept beside the store, never in it."""

from collections.abc import Iterable

import streamlit as st

from dashboards.components.columns import Column, text
from dashboards.components.links import literal
from dashboards.components.markup import escape
from dashboards.components.panels import explain_refusal
from dashboards.data import View
from results.named_things import names_of, subject_of
from results.own_notes import NAME_MOST, NOTE_MOST, Kind, Subject, keep_note, read_notes, why_not_kept
from storage import Store, StoreError
from universality.errors import InputError

#: Words of a failure that is to be told once, by key of the form.
_FAILED = "own_words_failed"


def show_words(view: View, kind: Kind, name: str) -> None:
    """What people call a feature, a pair or a cluster of a comparison, and say of it (:func:`own_words`).

    Args:
        view: run and comparison.
        kind: which of them.
        name: its id, as the comparison has it.
    """
    own_words(view.run.store, subject_of(view, kind, name), run=view.name, comparison=view.comparison)


def names_column(view: View, kind: Kind, ids: Iterable[str]) -> list[Column]:
    """The column of names of a table of things; none where nobody has named any of them."""
    names = names_of(view, kind, ids)
    return [Column("name", lambda _: names, text("name", help="What people call it, or its features"))] * any(names)


def own_words(store: Store, subject: Subject, *, run: str, comparison: str = "") -> None:
    """The name and the note of a thing, with a button that opens the form; where none can be kept, a sentence.

    Args:
        store: the store; only read.
        subject: what is named. A run has its name already, and gets a note alone.
        run: name of the run that is shown.
        comparison: id of its comparison; empty for a run.
    """
    kept = read_notes(store)
    found, refused = kept.of(subject), why_not_kept(store.url)
    key = f"own_{subject.kind}_{subject.id}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if found is not None:
            name = f"<b>{escape(found.name)}</b> " if found.name else ""
            st.html(
                f'<div class="uv-own-words" dir="auto">{name}<span>{escape(found.note)}</span></div>', width="content"
            )
        if not refused:
            label = "Change" if found is not None else "Write a note" if subject.kind == "run" else "Name it"
            with st.popover(label, icon=":material/edit_note:", type="tertiary", key=key, on_change="rerun"):
                _form(store, subject, run, comparison, key)
    for sentence in filter(None, (refused, kept.trouble)):
        st.caption(literal(sentence))
    if failed := st.session_state.pop(f"{_FAILED}_{key}", None):
        explain_refusal(failed)


def _form(store: Store, subject: Subject, run: str, comparison: str, key: str) -> None:
    found = read_notes(store).of(subject)
    with st.form(f"{key}_form", border=False):
        if subject.kind != "run":
            st.text_input("Name", found.name if found else "", max_chars=NAME_MOST, key=f"{key}_name")
        st.text_area("Note", found.note if found else "", max_chars=NOTE_MOST, key=f"{key}_note")
        st.form_submit_button("Keep", on_click=_keep, args=(store, subject, run, comparison, key))
        st.caption("Kept beside the store; lists, reports and atlases show it. Leave it empty to take it back.")


def _keep(store: Store, subject: Subject, run: str, comparison: str, key: str) -> None:
    typed = {part: st.session_state.get(f"{key}_{part}") for part in ("name", "note")}
    try:
        keep_note(store, subject, run=run, comparison=comparison, **typed)
    except (InputError, OSError, StoreError) as error:
        st.session_state[f"{_FAILED}_{key}"] = error
    else:
        st.session_state[key] = False  # closes the form
