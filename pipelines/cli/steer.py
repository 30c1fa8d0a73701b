"""``universality steer``: what the models of a run write with one of their features turned up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import STORE, JsonOption, MaybeText, StoreOption
from pipelines.cli.runs import open_named
from pipelines.cli.terminal import console, plain_table, print_json, say
from results import words
from universality.errors import InputError, require

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from results.steered import Steered, Written
    from results.steering import Member, Steering


def steer(
    run_name: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Name of a run (see: ls), the start of it, or a recipe: its newest run."),
    ],
    subject: Annotated[
        str, typer.Argument(metavar="CLUSTER", help="Number of a cluster, or one latent such as m0:297.")
    ],
    prompt: Annotated[MaybeText, typer.Option("--prompt", help="Text to continue.", show_default=False)] = None,
    strength: Annotated[
        str,
        typer.Option(
            "--strength",
            metavar="NUMBER",
            help="Multiples of the 95th percentile of the feature's activation; m0=2,m1=4 for some models.",
        ),
    ] = "2",
    doses: Annotated[
        bool, typer.Option("--doses", help="Instead of a prompt: shares over strengths 0 to 8, beside controls.")
    ] = False,
    transfer: Annotated[
        bool,
        typer.Option("--transfer", help="Instead of a prompt: each model by the other models' directions, mapped."),
    ] = False,
    domain: Annotated[
        MaybeText, typer.Option("--domain", help="Whose share is told; default the feature's.", show_default=False)
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", min=1, max=1000, help="Tokens of each continuation.")] = 40,
    samples: Annotated[int, typer.Option("--samples", min=1, max=1000, help="Continuations.")] = 4,
    temperature: Annotated[float, typer.Option("--temperature", help="0 for the likeliest token.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the noise, which is the same with and without.")] = 0,
    comparison: Annotated[
        MaybeText, typer.Option("--comparison", help="Its id; default the run's first.", show_default=False)
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Turn a feature up and see what every model that has it writes.

    Continuations with the feature, without, and along a random direction of equal norm; nothing is stored.
    """
    from results.steered import steer_prompt
    from results.steering import MAX_CHARACTERS, Sampling, Steering, domain_of, members_of, strengths_of
    from results.stored_comparison import StoredComparison, comparisons_of

    if (prompt is not None) + doses + transfer != 1:
        raise InputError("steer needs one of --prompt TEXT (to continue it), --doses and --transfer. Give exactly one.")
    run = open_named(run_name, store)
    ids = comparisons_of(run.observed)
    remedy = "Check its id."
    require(comparison in (None, *ids), "comparison", f"run {run.name!r}", f"one of {ids}", repr(comparison), remedy)
    stored = StoredComparison(run, comparison or ids[0])
    members = members_of(stored, subject)
    strengths = strengths_of(members, strength)
    steering = Steering(stored)
    domain = domain_of(stored, members) if domain is None else domain
    if domain is not None and steering.judge is not None:
        steering.judge.code(domain)  # refused before any model is opened
    sampling = Sampling(tokens, samples, temperature, seed)
    if transfer:
        _transfer(steering, members, as_json)
        return
    if doses:
        _doses(steering, members, domain, sampling, as_json)
        return
    legal, remedy = f"at most {MAX_CHARACTERS} characters", "Only the last tokens that fit a context are read."
    assert prompt is not None
    require(len(prompt) <= MAX_CHARACTERS, "--prompt", "steer", legal, f"{len(prompt)} characters", remedy)
    sides = [
        steer_prompt(steering, member, strengths[member.model], prompt, domain=domain, sampling=sampling)
        for member in members
        if member.model in strengths
    ]
    if as_json:
        print_json(_document(steering, subject, prompt, domain, sampling, sides))
    else:
        print_sides(console(), steering, domain, sides)


def _document(
    steering: Steering, subject: str, prompt: str, domain: str | None, sampling: Any, sides: list[Steered]
) -> dict[str, Any]:
    from results.steered import document, judge_values

    stored = steering.stored
    return {
        "run": stored.name, "comparison": stored.comparison, "subject": subject, "prompt": prompt,
        "domain": judge_values(steering, domain), "tokens": sampling.tokens, "samples": sampling.samples,
        "temperature": sampling.temperature, "seed": sampling.seed,
        "models": [document(steering, side) for side in sides],
    }  # fmt: skip


def print_sides(out: Console, steering: Steering, domain: str | None, sides: list[Steered]) -> None:
    """Print the continuations of every model below what is said of them."""
    from results.steered import doubt, trust

    text = steering.stored.text
    out.print(trust(steering, domain), markup=False)
    for side in sides:
        effect = side.effect
        out.print(f"\n{side.member.id}, strength {side.strength:g} (adds a norm of {side.norm:.3g})", style="bold")
        if side.n_dropped:
            out.print(f"  {side.n_dropped} tokens of the prompt lie before the context and are not read", markup=False)
        table = plain_table("", ">share", ">script", ">distinct")
        for name, part in (("without", side.without), ("steered", side.steered), ("random", side.random)):
            table.add_row(name, *map(words.share, (part.share, part.script, part.distinct)))
        out.print(table)
        out.print(
            f"  norm of the residual stream x {effect.norm_ratio:.2f}, KL {effect.kl:.3g} nats, "
            f"loss {effect.ce_clean:.2f} -> {effect.ce_steered:.2f}",
            markup=False,
        )
        if said := doubt(side):
            out.print(f"  {said}", markup=False)
        for name, ids in (("up", side.up), ("down", side.down)):
            out.print(f"  {name}: {' '.join(text.token(i) for i in ids)}", markup=False)
        for name, part in (("without", side.without), ("steered", side.steered)):
            _print_texts(out, steering, name, part)


def _print_texts(out: Console, steering: Steering, name: str, part: Written) -> None:
    for number, row in enumerate(part.tokens, 1):
        out.print(f"  {name} {number}: {''.join(steering.stored.text.strings(row))}", markup=False)


def _doses(steering: Steering, members: list[Member], domain: str | None, sampling: Any, as_json: bool) -> None:
    import pandas as pd

    from results.dose_response import dose_response
    from results.steered import judge_values, trust

    remedy = "Give --domain, and a corpus with labels."
    where = f"run {steering.stored.name!r}"
    require(domain is not None, "domain", where, "the one whose share is measured", "none", remedy)
    assert domain is not None
    parts = []
    for number, member in enumerate(members, 1):
        parts.append(dose_response(steering, [member], domain, sampling=sampling))
        say(f"[{number}/{len(members)}] {member.id}")
    frame = pd.concat(parts, ignore_index=True)
    if as_json:
        print_json({"run": steering.stored.name, "domain": judge_values(steering, domain), "rows": _records(frame)})
        return
    say(trust(steering, domain))
    print_doses(console(), frame, domain)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: what is missing is null."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")  # pyright: ignore[reportReturnType]


def _transfer(steering: Steering, members: list[Member], as_json: bool) -> None:
    import pandas as pd

    from results.transfer import transfer_tables

    parts = []
    for part in transfer_tables(steering, members):
        say("into {model}:{latent}".format(**part.iloc[0]))
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    if as_json:
        print_json({"run": steering.stored.name, "rows": _records(frame)})
    else:
        print_transfer(console(), frame)


def print_transfer(out: Console, frame: pd.DataFrame) -> None:
    """Cosines and ratios of every direction in every model, random ones together as their mean."""
    from universality.effects.transfer import N_TARGET

    betas = sorted(frame["beta"].dropna().unique())
    table = plain_table("into", "direction", "from", ">R²", *(f">T x {beta:g}" for beta in betas),
                        *(f">ratio x {beta:g}" for beta in betas))  # fmt: skip
    keys = ["model", "latent", "arm", "other_model", "other_latent", "r2"]
    for key, rows in frame[frame["arm"] != "own"].groupby(keys, sort=False, dropna=False):
        model, latent, arm, other_model, other_latent, r2 = key  # pyright: ignore[reportGeneralTypeIssues]
        mean = rows.groupby("beta")[["cosine", "ratio"]].mean().reindex(betas)
        numbers = [words.number(value) for column in ("cosine", "ratio") for value in mean[column]]
        other = ("", "") if arm == "random" else (f"{other_model}:{other_latent}", words.number(r2))
        table.add_row(f"{model}:{latent}", words.called(str(arm)), *other, *numbers)
    said = f"T: cosine of the mean logit shifts with the own direction's. Ratio: rise of log P of its {N_TARGET} tokens"
    out.print(f"{said} over the own direction's, at equal KL", style="bold")
    out.print(table)


def print_doses(out: Console, frame: pd.DataFrame, domain: str) -> None:
    """Shares of a domain over strengths: a row for each feature and direction."""
    strengths = sorted(frame["strength"].unique())
    table = plain_table("feature", "direction", *(f">x {strength:g}" for strength in strengths))
    of_kind = frame.groupby(["model", "latent", "kind"], sort=False)
    for (model, latent, kind), rows in of_kind:  # pyright: ignore[reportGeneralTypeIssues]
        mean = rows.groupby("strength")[["share", "norm_ratio"]].mean()
        for name, column in (("share", "share"), ("norm", "norm_ratio")):
            values = [words.share(v) if name == "share" else words.number(v) for v in mean[column]]
            table.add_row(f"{model}:{latent}", f"{kind}, {name}", *values)
    out.print(f"Share of {domain} in continuations, and norm of the residual stream over that without", style="bold")
    out.print(table)
