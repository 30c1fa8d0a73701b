"""Games: blind, a person tells what a feature fires on, and finds its partner in another model."""

import secrets
import time

import streamlit as st

from dashboards.components.columns import bar, number
from dashboards.components.downloads import download
from dashboards.components.mark_legend import mark_legend
from dashboards.components.panels import nothing, panel
from dashboards.data import View
from dashboards.frame import current_view
from results import words
from results.answers import Answer, answers_file, answers_table, game_summary, read_answers
from results.beside_store import keep_line
from results.colours import OKABE_ITO
from results.games import GAMES, N_TEXTS, Question, question
from results.token_strip import Channel, token_strip
from universality.errors import InputError

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
    try:
        answers = _answers(view)
    except InputError as error:
        st.error("The answers beside this store cannot be read, so none are added.", icon=":material/broken_image:")
        st.code(str(error), language=None, wrap_lines=True)
        return
    with panel():
        if not player:
            nothing("Answers are kept under a name.", "Write any.")
            return
        mark_legend("games_legend")
        _play(view, str(game or "intruder"), player, answers)
    _results(player, answers, view.name)


def _answers(view: View) -> list[Answer]:
    """Answers about this comparison: those of the file, and those of this session that no file took."""
    path = answers_file(view.url, view.name)
    kept = read_answers(path, view.name) if path is not None and path.exists() else []
    unkept = [answer for answer in st.session_state.get(_UNKEPT, []) if answer.run == view.name]
    return [answer for answer in [*kept, *unkept] if answer.comparison_id == view.comparison]


def _play(view: View, game: str, player: str, answers: list[Answer]) -> None:
    """The player's next question."""
    mine = [answer for answer in answers if answer.player == player and answer.game == game]
    try:
        asked = question(view, game, player, len(mine))  # pyright: ignore[reportArgumentType]
    except InputError:
        nothing(f"No pair of this run has features that fire in {N_TEXTS} different texts.", "Evaluate on more text.")
        return
    key = (view.name, view.comparison, game, player, asked.number)
    if st.session_state.get(_ASKED, (None, 0.0))[0] != key:
        st.session_state[_ASKED] = key, time.monotonic()
    st.markdown(f"**Question {asked.number + 1}.** {RULES[game]}")
    if asked.sample:
        st.html(_strips(view, asked.model_a, asked.latent_a, asked.sample))
    for place, rows in enumerate(asked.options):
        with st.container(border=game == "partner", horizontal=True, vertical_alignment="center"):
            name = "Feature" if game == "partner" else "Text"
            chosen = st.button(f"{name} {place + 1}", key=f"option_{place}", shortcut=str(place + 1))
            # Of an intruder colours would tell.
            model = asked.model_b if game == "partner" else None
            st.html(_strips(view, model, asked.features[place], rows), width="stretch")
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
        keep_line(path, answer)
    except OSError:
        st.session_state.setdefault(_UNKEPT, []).append(answer)
    st.rerun()


def _strips(view: View, model: str | None, latent: int, rows: tuple[int, ...]) -> str:
    """Texts with their framed tokens; with a feature's activations where a model is given."""
    fires, strips = None if model is None else view.firing(model, latent), []
    for row in rows:
        window, channels = view.text.window(row), []
        if fires is not None:
            values = fires.at(window.rows).tolist()
            channels = [Channel("activation", values, fires.maximum or None, OKABE_ITO["orange"])]
        strips.append(f'<div class="uv-game">{token_strip(window.tokens, channels, peak=window.peak)}</div>')
    return "".join(strips)


def _results(player: str, answers: list[Answer], run: str) -> None:
    """How many questions were answered, by whom; how many rightly, to those who have answered enough."""
    mine = [answer for answer in answers if answer.player == player]
    with panel():
        players = words.counted(len({answer.player for answer in answers}), "player")
        every = f", {len(answers):,} by {players}" if len(answers) > len(mine) else ""
        st.caption(f"Answered about this comparison: {words.counted(len(mine), 'question')} by you{every}.")
        if unkept := st.session_state.get(_UNKEPT):
            st.warning("No file beside this store could be written: save your answers before you close this page.")
            lines = b"".join(answer.model_dump_json().encode() + b"\n" for answer in unkept)
            download("Answers (JSON lines)", lambda: lines, f"{run}-answers.jsonl", key="games_save")
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
