"""What ``universality compare`` can be told, by options or by a file: one row of a table each."""

from typing import Any

from pipelines.cli.options import MaybeFloat, MaybeInt, MaybeText

#: Files with one value for each row: what ``--help`` says, by name.
ROW_FILES = {
    "documents": "Document of each row: number or text.",
    "sources": "File or chapter that each row's document was cut from: number or text.",
    "domains": "Label of each row: number or text; unlocks levels.",
    "tokens": "Token id of each row; with --domains unlocks the levels token, context.",
    "positions": "Position of each row in its context; sharpens them.",
    "next_tokens": "Token id that came after each row, -1 for none.",
}
#: Further dictionaries, and dense matrices, each NAME=FILE.
OTHERS = {
    "replicate": "Second dictionary of a model, named after it: the ceiling.",
    "untrained": "Dictionary of an untrained model, two at least: the floor.",
}
DENSE = {
    "raw": "Raw activations (rows, d_in) of a model: neurons, rotations.",
    "untrained_raw": "The same of an untrained model: decodable or not.",
    "weights": "W_dec (latents, d_in): decoder cosines.",
    "logits": "Map (d_in, d_vocab) from raw activations to the logits.",
}
#: Settings of the comparison: type, default, bounds, words.
SETTINGS: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "names": (MaybeText, None, {"metavar": "A,B,..."}, "Names of the models; default the file names."),
    "block": (int, 512, {"min": 1}, "Rows that count as one document without --documents."),
    "seed": (int, 0, {"min": 0}, "Seed of splits, nulls and intervals."),
    "tau": (MaybeFloat, None, {"min": 0.01, "max": 0.99}, "Held-out r from which two latents are one feature."),
    "min_firings": (MaybeInt, None, {"min": 2}, "Firings, fit and score, that make a latent alive."),
    "n_shifts": (MaybeInt, None, {"min": 10}, "Shifts of one model against the other: the chance level."),
}  # fmt: skip
