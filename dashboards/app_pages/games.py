"""Games: blind, a person tells what a feature fires on, and finds its partner in another model."""

import secrets
import time

import streamlit as st

from dashboards.components.columns import bar, number
from dashboards.components.downloads import download
from dashboards.components.markup import context_rows
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from dashboards.frame import current_view
from results import words
from results.answers import Answer, answers_file, answers_table, game_summary, keep_answer, read_answers
from results.colours import OKABE_ITO
from results.games import GAMES, Question, question
from results.token_text import Channel, token_strip

RULES = {
    "intruder": "A feature fires on the framed token of four of these texts, and nowhere in the fifth. Which is that?",
    "partner": "Above: texts that one feature of a model fires on. Below: of five features of another model, on other "
    "sources. Which of the five is the same feature?",
}
#: Answers after which a player may see how many were right: one at a time they would teach.
ENOUGH = 10
#: Session: the player, when the question was asked, and answers that no file took.
_PLAYER, _ASKED, _UNKEPT = "games_player", "games_asked", "games_unkept"


def main() -> None:
    """Draw the page."""
    view = current_view()
    st.title("Games", anchor=False)
    st.caption(
        "Blind: nothing says which features these are, whether their models agree, or whether they were trained. One "
        "answer in five is right by guessing. The report reads the answers."
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    game = left.segmented_control("Game", GAMES, default="intruder", required=True, key="game", bind="query-params")
    st.session_state.setdefault(_PLAYER, secrets.token_hex(3))
    player = (
        right.text_input("Player", key=_PLAYER, max_chars=40, help="Any name; answers are kept under it.") or ""
    ).strip()
    with panel():
        if not player:
            nothing("Answers are kept under a name.", "Write any.")
            return
        _play(view, str(game or "intruder"), player)
    _results(view, player)


def _answers(view: View) -> list[Answer]:
    """Answers about this comparison: those of the file, and those of this session that no file took."""
    path = answers_file(view.url, view.name)
    kept = read_answers(path, view.name) if path is not None and path.exists() else []
    unkept = [answer for answer in st.session_state.get(_UNKEPT, []) if answer.run == view.name]
    return [answer for answer in [*kept, *unkept] if answer.comparison_id == view.comparison]


def _play(view: View, game: str, player: str) -> None:
    """The player's next question."""
    mine = [answer for answer in _answers(view) if answer.player == player and answer.game == game]
    asked = question(view, game, player, len(mine))  # pyright: ignore[reportArgumentType]
    key = (view.name, view.comparison, game, player, asked.number)
    if st.session_state.get(_ASKED, (None, 0.0))[0] != key:
        st.session_state[_ASKED] = key, time.monotonic()
    st.markdown(f"**Question {asked.number + 1}.** {RULES[game]}")
    if asked.sample:
        st.html(context_rows(("", _strip(view, asked.model_a, asked.latent_a, row)) for row in asked.sample))
    for place, rows in enumerate(asked.options):
        with st.container(border=game == "partner", horizontal=True, vertical_alignment="center"):
            chosen = st.button(f"{place + 1}", key=f"option_{place}", shortcut=str(place + 1))
            if game == "partner":
                strips = [_strip(view, asked.model_b, asked.features[place], row) for row in rows]
            else:  # colours would tell
                strips = [_strip(view, None, 0, row) for row in rows]
            st.html(context_rows(("", strip) for strip in strips), width="stretch")
            if chosen:
                _answer(view, asked, player, place)
    if st.button("I cannot tell", key="pass"):
        _answer(view, asked, player, None)


def _answer(view: View, asked: Question, player: str, chosen: int | None) -> None:
    seconds = time.monotonic() - st.session_state[_ASKED][1]
    answer = Answer.to(asked, chosen, seconds, run=view.name, comparison_id=view.comparison, player=player)
    path = answers_file(view.url, view.name)
    try:
        if path is None:
            raise OSError
        keep_answer(path, answer)
    except OSError:
        st.session_state.setdefault(_UNKEPT, []).append(answer)
    st.rerun()


def _strip(view: View, model: str | None, latent: int, row: int) -> str:
    """A text with its framed token; with a feature's activations where one is given."""
    window = view.text.window(row)
    channels = []
    if model is not None:
        fires = view.firing(model, latent)
        channels = [Channel("activation", fires.at(window.rows).tolist(), fires.maximum or None, OKABE_ITO["blue"])]
    return token_strip(window.tokens, channels, peak=window.peak)


def _results(view: View, player: str) -> None:
    """How many questions were answered, by whom; how many rightly, to those who have answered enough."""
    answers = _answers(view)
    mine = [answer for answer in answers if answer.player == player]
    with panel():
        st.caption(
            f"{words.counted(len(mine), 'answer')} of yours, {len(answers):,} of "
            f"{words.counted(len({answer.player for answer in answers}), 'player')} about this comparison."
        )
        if unkept := st.session_state.get(_UNKEPT):
            st.warning("No file beside this store could be written: save your answers before you close this page.")
            lines = b"".join(answer.model_dump_json().encode() + b"\n" for answer in unkept)
            download("Answers (JSON lines)", lambda: lines, f"{view.name}-answers.jsonl", key="games_save")
        if len(mine) < ENOUGH:
            st.caption(f"After {ENOUGH} answers you may see how many are right; from then on you know how you do.")
            return
        with st.expander("How many are right"):
            st.dataframe(
                game_summary(answers_table(answers)), hide_index=True,
                column_config={
                    "accuracy": bar("right", format="percent"), "low": number("from", format="percent"),
                    "high": number("to", format="percent"), "n_players": "players", "n_passed": "passed on",
                    "p": number("p (guessing)", format="%.2g"),
                },
            )  # fmt: skip


main()
