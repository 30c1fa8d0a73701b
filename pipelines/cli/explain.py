"""``universality explain``: features in the words of a language model, scored."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import STORE, JsonOption, MaybePath, MaybeText, QuietOption, StoreOption, VerboseOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import console, plain_table, print_json, say
from results.words import counted, number
from universality.errors import refusal, require

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.explain.asking import Subject, Task
    from results.explained import Explanation
    from results.stored_comparison import StoredComparison

#: Of the JSON document; a key is only ever added.
VERSION = 1
EXIT_PARTIAL = 3
#: Characters that a token has, roughly.
_CHARACTERS = 4
#: Features from whose prompts the budget of all is reckoned.
_SAMPLE = 20


def explain(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Name of a run (see: ls), the start of it, or a recipe: its newest run."),
    ],
    *,
    endpoint: Annotated[
        MaybeText,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="OpenAI-compatible server, up to /v1. Key: UNIVERSALITY_API_KEY or OPENAI_API_KEY.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        MaybeText,
        typer.Option("--model", metavar="NAME", help="Its model, as the server calls it.", show_default=False),
    ] = None,
    features: Annotated[
        str, typer.Option("--features", metavar="LIST", help="no-rule, all, or ids such as m0:12,m1:7.")
    ] = "no-rule",
    most: Annotated[
        int, typer.Option("--most", min=1, help="At most so many of no-rule and all, those in most models first.")
    ] = 100,
    floor: Annotated[
        int, typer.Option("--floor", min=0, help="Also so many latents of untrained models, at random.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and send nothing.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Ask again where a reply was not as asked; default what is missing alone.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for one reply.")] = 120.0,
    seed: Annotated[int, typer.Option("--seed", help="Of contexts and their order; also sent.")] = 0,
    comparison: Annotated[
        MaybeText, typer.Option("--comparison", help="Its id; default the run's first.", show_default=False)
    ] = None,
    out: Annotated[
        MaybePath,
        typer.Option(
            "--out", metavar="FILE", help="Default STORE-explanations/RUN.jsonl beside the store.", show_default=False
        ),
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Have a language model put features into words, and score the words.

    Sends contexts of the run to the endpoint that you name, and nothing without one. What is answered already is not
    asked again. Exit 3 where the server failed.
    """
    from pipelines.explain.asking import choose
    from results.stored_comparison import StoredComparison, comparisons_of

    run = open_named(run_name, store)
    ids = comparisons_of(run.observed)
    one_of = f"one of {', '.join(ids)}"
    require(comparison in (None, *ids), "--comparison", f"run {run.name!r}", one_of, repr(comparison), "Check its id.")
    remedy = "Give the name that the server has."
    require(dry_run or model, "--model", "explain", "the name of a model", "none", remedy)
    legal = "at most 200 characters"
    require(len(model or "") <= 200, "--model", "explain", legal, f"{len(model or '')} characters", remedy)
    stored = StoredComparison(run, comparison or ids[0])
    file = _file(out, store, run.name)
    subjects = choose(stored, features, most, floor, seed)
    require(subjects, "features", f"run {run.name!r}", "at least one", f"none for {features!r}", "Try --features all.")
    if dry_run:
        _budget(stored, subjects, file, model, seed, again, as_json)
        return
    remedy = "Nothing is sent anywhere by itself; give for example http://127.0.0.1:8000/v1."
    require(endpoint, "--endpoint", "explain", "given", "none", remedy)
    assert endpoint is not None
    assert model is not None
    _ask(stored, subjects, file, (endpoint, model, timeout), seed, again=again, as_json=as_json, quiet=quiet)


def _file(out: Path | None, store: str, run: str) -> Path:
    from results.explained import explanations_file

    file = out or explanations_file(store, run)
    if file is None:
        raise refusal("--out", "explain", "given for a store elsewhere", "none", "Name a file of this machine.")
    return file


def _kept(file: Path, run: str, again: bool) -> list[Explanation]:
    """What the file has; with ``again`` only what was answered as asked."""
    from results.explained import read_explanations

    kept = read_explanations(file, run) if file.exists() else []
    return [one for one in kept if not (again and one.failed)]


def _budget(
    stored: StoredComparison, subjects: list[Subject], file: Path, model: str | None, seed: int, again: bool,
    as_json: bool,
) -> None:  # fmt: skip
    from pipelines.explain.asking import N_REQUESTS, tasks_left

    tasks, left_out = _sorted(tasks_left, stored, subjects, _kept(file, stored.name, again), model or "", seed)
    some = tasks[:_SAMPLE]
    characters = sum(len(part["content"]) for t in some for p in t.prompts().values() for part in p.messages)
    budget = {
        "version": VERSION, "run": stored.name, "comparison": stored.comparison, "model": model, "file": str(file),
        "n_features": len(subjects), "n_to_ask": len(tasks), **left_out, "n_requests": N_REQUESTS * len(tasks),
        "prompt_tokens": round(characters / _CHARACTERS / max(len(some), 1) * len(tasks)),
    }  # fmt: skip
    if as_json:
        print_json(budget)
        return
    typer.echo(
        f"{counted(len(tasks), 'feature')} to ask about ({budget['n_kept']} there already, {budget['n_skipped']} with "
        f"too few contexts): at most {counted(budget['n_requests'], 'request')} where every reply is as asked, about "
        f"{budget['prompt_tokens']} tokens of prompts. Nothing was sent."
    )


def _sorted(tasks_left: Any, stored: StoredComparison, subjects: list[Subject], kept: list[Explanation], model: str,
            seed: int) -> tuple[list[Task], dict[str, int]]:  # fmt: skip
    told: list[str] = []
    tasks = list(tasks_left(stored, subjects, kept, model, seed, lambda what, _: told.append(what)))
    return tasks, {f"n_{what}": told.count(what) for what in ("kept", "skipped")}


def _ask(
    stored: StoredComparison, subjects: list[Subject], file: Path, whom: tuple[str, str, float], seed: int, *,
    again: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    from pipelines.explain.asking import N_REQUESTS, Asker, remember_words, tasks_left
    from pipelines.explain.endpoint import Endpoint, EndpointFailed, key_of_environment
    from results.beside_store import keep_line

    url, model, timeout = whom
    endpoint = Endpoint(url, model, key_of_environment(), timeout)
    if endpoint.in_the_clear:
        say(f"The key travels unencrypted to {endpoint.host}: use https where others may listen.")
    kept = _kept(file, stored.name, again)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.open("ab").close()  # refused before anything is asked
    tasks, left_out = _sorted(tasks_left, stored, subjects, kept, model, seed)
    if not quiet:
        say(
            f"{counted(len(tasks), 'feature')} to ask {endpoint.host} about ({left_out['n_kept']} there already, "
            f"{left_out['n_skipped']} with too few contexts), at most {counted(N_REQUESTS * len(tasks), 'request')}."
        )
    asker, made, failure = Asker(stored, endpoint, seed), [], None
    remember_words(asker, kept)
    try:
        for place, task in enumerate(tasks, 1):
            made.append(asker.explain(task))
            keep_line(file, made[-1])
            if not quiet:
                said = made[-1].explanation or f"failed ({made[-1].failed})"
                say(f"[{place}/{len(tasks)}] {made[-1].id}: {said}")
    except EndpointFailed as error:
        failure = str(error)
        say(f"universality: {failure}")
    finally:
        endpoint.close()
    _tell(stored, subjects, file, made, left_out, failure, as_json)
    if failure is not None:
        raise typer.Exit(EXIT_PARTIAL)


def _tell(
    stored: StoredComparison, subjects: list[Subject], file: Path, made: list[Explanation], left_out: dict[str, int],
    failure: str | None, as_json: bool,
) -> None:  # fmt: skip
    """What the file now has of the features that were asked for."""
    from results.explained import explained_table, read_explanations, words_summary
    from results.ids import feature_id

    wanted = {feature_id(subject.model, subject.latent) for subject in subjects}
    there = [one for one in read_explanations(file, stored.name) if one.comparison_id == stored.comparison]
    there = [one for one in there if one.id in wanted]
    summary = words_summary(explained_table(there))
    spent = {name: sum(getattr(one, name) for one in made) for name in ("n_requests", "prompt_tokens",
                                                                        "completion_tokens")}  # fmt: skip
    if as_json:
        print_json({
            "version": VERSION, "run": stored.name, "comparison": stored.comparison, "file": str(file),
            "n_features": len(subjects), "n_asked": len(made), **left_out,
            "n_failed": sum(bool(one.failed) for one in made), **spent, "error": failure,
            "summary": summary.astype(object).where(summary.notna(), None).to_dict("records"),
            "features": [_document(one) for one in there],
        })  # fmt: skip
        return
    print_summary(summary)
    say(
        f"{counted(len(made), 'feature')} asked about with {counted(spent['n_requests'], 'request')}, "
        f"{spent['prompt_tokens']} + {spent['completion_tokens']} tokens as the server counts. Kept in {file}."
    )


def _document(one: Explanation) -> dict[str, Any]:
    from results.explained import SCORES

    scores = {name: one.score(name) for name in SCORES} | {
        f"{name}_other": one.score(name, "other") for name in SCORES if name != "intruder"
    }
    return {
        "feature": one.id, "kind": one.kind, "language_model": one.language_model, "explanation": one.explanation,
        **{name: None if isnan(value) else value for name, value in scores.items()}, "other": one.other,
        "failed": one.failed,
    }  # fmt: skip


def print_summary(summary: pd.DataFrame) -> None:
    """Mean accuracies with intervals, beside another feature's words and guessing."""
    table = plain_table("model", "features", "score", ">n", ">accuracy", ">another's words", ">guessing")
    for row in summary.to_dict("records"):
        kind = "untrained" if row["kind"] == "untrained" else "of the run"
        own, other = (_interval(row, suffix) for suffix in ("", "_other"))
        table.add_row(row["language_model"], kind, row["score"], str(row["n"]), own, other, number(row["chance"]))
    console().print(table, markup=False)


def _interval(row: Mapping[Any, Any], suffix: str) -> str:
    mean, low, high = (row[f"{name}{suffix}"] for name in ("mean", "low", "high"))
    if isnan(mean):
        return "–"
    return number(mean) if isnan(low) else f"{number(mean)} ({number(low)} to {number(high)})"
