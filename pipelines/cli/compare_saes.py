"""``universality compare-saes``: two dictionaries of one model, from their weights alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.options import STORE, JsonOption, MaybeInt, MaybePath, QuietOption, StoreOption, VerboseOption
from pipelines.cli.terminal import console, plain_table, print_json, say, titled
from results.words import counted, number, share
from universality.errors import require

if TYPE_CHECKING:
    from pipelines.dictionary_sources import OpenedDictionary
    from universality.compare_dictionaries import DictionaryComparison, WeightIndex

#: Of the JSON document; a key is only ever added.
VERSION = 1
TABLES = (".csv", ".parquet")
#: Mean cosine of initial decoders from which they are called alike; those drawn apart lie at chance.
ALIKE = 0.9
_HELP = "A folder or file, RUN:DICTIONARY of the store, or hub:OWNER/NAME[/FOLDER][@REVISION]; #N for a part of it."


def compare_saes(
    a: Annotated[str, typer.Argument(metavar="A", help=_HELP)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other; it may have another size, format, architecture.")],
    *,
    threshold: Annotated[float, typer.Option("--threshold", help="Cosine from which two latents are one.")] = 0.7,
    draws: Annotated[
        MaybeInt,
        typer.Option(
            "--draws",
            min=0,
            help="Random rotations for the chance level; default 5, above 16,384 latents 1.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the rotations.")] = 0,
    threads: Annotated[
        MaybeInt, typer.Option("--threads", min=1, help="Default every core.", show_default=False)
    ] = None,
    out: Annotated[
        MaybePath, typer.Option("--out", metavar="FILE", help="Write the assigned pairs: .csv or .parquet.")
    ] = None,
    ignore_metadata: Annotated[
        bool, typer.Option("--ignore-metadata", help="Compare although they say they are of different places.")
    ] = False,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare two dictionaries of one model by their weights.

    Exact one-to-one assignments of encoders and of decoders, each share beside its chance. Nothing is run or stored.
    """
    from pipelines.dictionary_sources import open_dictionary
    from universality.compare_dictionaries import compare_dictionaries

    if out is not None:
        constraint = f"a file that ends in {' or '.join(TABLES)}, in a folder that is there"
        fits = out.suffix in TABLES and out.parent.is_dir() and not out.is_dir()
        require(fits, "--out", "compare-saes", constraint, str(out), "Choose another.")
    one, other = (open_dictionary(name, store) for name in (a, b))
    both = one.initial is not None and other.initial is not None
    comparison = compare_dictionaries(
        one.sae, other.sae, used=(one.alive, other.alive), names=_names(one, other),
        initial=(one.initial, other.initial) if both else None,  # pyright: ignore[reportArgumentType]
        threshold=threshold, draws=draws, root_seed=seed, ignore_metadata=ignore_metadata, threads=threads,
        progress=None if quiet else lambda text: say(f"Comparing {text} …"),
    )  # fmt: skip
    if out is not None:
        write = comparison.pairs.to_csv if out.suffix == ".csv" else comparison.pairs.to_parquet
        write(out, index=False)
    if as_json:
        print_json(document(one, other, comparison))
    else:
        _print(one, other, comparison)


def _names(one: OpenedDictionary, other: OpenedDictionary) -> tuple[str, str]:
    return (one.name, other.name) if one.name != other.name else (f"A ({one.name})", f"B ({other.name})")


def document(one: OpenedDictionary, other: OpenedDictionary, comparison: DictionaryComparison) -> dict[str, Any]:
    """What ``--json`` prints; numbers that are not known are null."""
    sides = {}
    for key, opened, compared in zip("ab", (one, other), comparison.compared, strict=True):
        said = opened.sae.metadata
        sides[key] = {
            "name": opened.name, "d_sae": opened.sae.d_sae, "n_compared": int(compared.sum()),
            "architecture": opened.sae.activation.name, "format": said.get("source_format", "universality"),
            "model": said.get("model"), "hook_point": said.get("hook_point"),
        }  # fmt: skip
    return {
        "format": "universality.compare-saes", "version": VERSION, **sides, "d_in": comparison.d_in,
        "threshold": comparison.threshold, "draws": comparison.draws, "identical": comparison.identical,
        "indices": [_known(vars(index)) for index in comparison.indices],
        "traces_of_a_shared_start": {
            trace.name: _known({"value": trace.value, "chance": trace.chance, "n": trace.n})
            for trace in comparison.traces
        },
        "initial_known": not math.isnan(comparison.indices[0].initial),
        "certificates": comparison.certificates, "n_pairs": len(comparison.pairs), "warnings": comparison.warnings,
    }  # fmt: skip


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def _print(one: OpenedDictionary, other: OpenedDictionary, comparison: DictionaryComparison) -> None:
    out = console()
    for letter, opened, mask in zip("AB", (one, other), comparison.compared, strict=True):
        said = opened.sae.metadata
        place = ", ".join(str(said[key]) for key in ("model", "hook_point") if said.get(key)) or "place unknown"
        text = f"{letter}: {opened.name} ({opened.sae.activation.name}, {place}), {int(mask.sum()):,} latents"
        out.print(text + f" of {mask.size:,}" * (int(mask.sum()) < mask.size), markup=False)
    table = plain_table("", ">decoders", ">chance", ">encoders", ">chance", ">initial")
    for name, words in _words(comparison.threshold).items():
        cells: list[str] = []
        for weights in ("decoder", "encoder") if name not in _OF_BOTH else ("both",):
            index = comparison.index(name, weights)
            cells += [_value(index, index.value), _value(index, index.chance)]
        cells += [""] * (4 - len(cells))
        table.add_row(words, *cells, _value(index, index.initial))
    out.print(titled(f"Cosines in {comparison.d_in:,} dimensions", table))
    for text in sentences(comparison):
        out.print(text, markup=False)


_OF_BOTH = ("same_partner_fraction", "paulo_shared_fraction")
_SHARES = (*_OF_BOTH, "matched_above", "max_above", "max_above_b")


def _words(threshold: float) -> dict[str, str]:
    at = f"{threshold:g} or above"
    return {
        "mean_matched_signed_cos": "one-to-one, mean cosine (PW-MCC)",
        "mean_matched_abs_cos": "one-to-one, mean |cosine|",
        "mmcs": "best of B for each of A, mean cosine",
        "mmcs_b": "best of A for each of B, mean cosine",
        "mean_max_abs_cos": "best of B for each of A, mean |cosine|",
        "mean_max_abs_cos_b": "best of A for each of B, mean |cosine|",
        "matched_above": f"one-to-one partner at {at}",
        "max_above": f"of A, any partner at {at}",
        "max_above_b": f"of B, any partner at {at}",
        "same_partner_fraction": "both assignments name one partner",
        "paulo_shared_fraction": f"… both cosines at {at} (shared)",
    }


def _value(index: WeightIndex, value: float) -> str:
    return "–" if math.isnan(value) else share(value) if index.name in _SHARES else number(value, 3)


def sentences(comparison: DictionaryComparison) -> list[str]:
    """What the numbers say, and what they do not."""
    shared = comparison.index("paulo_shared_fraction", "both")
    n = round(shared.value * shared.n)
    text = f"Shared: {n:,} of {counted(shared.n, 'latent')} of the smaller side ({share(shared.value)})"
    if comparison.draws:
        beyond = "" if shared.value > shared.chance_high else ", so no more than that"
        text += f"; chance {share(shared.chance)}{beyond}. Chance is that of "
        spread = max(index.chance_high - index.chance_low for index in comparison.indices)
        many = f"{comparison.draws} random rotations of B, between which no index differed by more than"
        text += f"{many} {number(spread, 3)}" if comparison.draws > 1 else "one random rotation of B"
    largest = max(comparison.certificates.values())
    said = [f"{text}. No other assignment has a sum of cosines larger by more than {largest:.1g}."]
    flagged, known, alike = comparison.traces[-1].value == 1.0, not math.isnan(shared.initial), False
    if comparison.identical:
        said.append("The two have the same weights: this is one dictionary compared with itself.")
    elif known:
        start = comparison.index("mean_matched_signed_cos").initial
        alike = start > ALIKE
        so = ": the two started alike, and may agree for that reason alone" if alike else ""
        said.append(f"Before training the decoders' one-to-one mean cosine was {number(start, 3)}{so}.")
    elif not flagged:
        said.append("Nothing shows that the two started at the same weights; where they started is not known.")
    if flagged and not (comparison.identical or alike):
        said.append(
            "Latents of equal number point the same way, beyond accident: the two may have started at the same "
            "weights, or one at the other's, and may agree for that reason alone."
        )
    return said + [f"Note: {warning}" for warning in comparison.warnings]
