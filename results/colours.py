"""One colour per thing, the same on every screen and in every figure.

The palette is that of Okabe and Ito, which people with the common forms of colour blindness can tell apart.
Where two neighbours would print as the same grey, figures add dashes, hatching or labels.

Source: Okabe & Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color/.
"""

from collections.abc import Sequence

OKABE_ITO: dict[str, str] = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "vermillion": "#D55E00",
    "yellow": "#F0E442",
    "black": "#000000",
}
GREY = "#8C8C8C"

#: Classes, in the order in which they are stacked.
CLASS_COLOURS: dict[str, str] = {
    "universal": OKABE_ITO["blue"],
    "shared": OKABE_ITO["green"],
    "specific": OKABE_ITO["orange"],
}
#: Groups, in the order in which they are stacked.
GROUP_COLOURS: dict[str, str] = {
    "partnered": OKABE_ITO["blue"],
    "rearranged": OKABE_ITO["green"],
    "unstable": OKABE_ITO["yellow"],
    "missing": OKABE_ITO["vermillion"],
    "untested": GREY,
}
#: Levels, from the finest to the coarsest, and how strongly each is inked.
LEVEL_INK: dict[str, float] = {
    "context": 1.0, "bigram": 0.84, "token_x_domain": 0.7, "token": 0.56, "document": 0.42, "domain": 0.28,
    "untested": 0.15,
}  # fmt: skip
LEVEL_COLOURS: dict[str, str] = {
    "context": OKABE_ITO["blue"],
    "bigram": OKABE_ITO["purple"],
    "token_x_domain": OKABE_ITO["green"],
    "token": OKABE_ITO["sky"],
    "document": OKABE_ITO["orange"],
    "domain": OKABE_ITO["yellow"],
    "untested": GREY,
}
#: Features without a partner, where levels are coloured.
NO_PARTNER_COLOUR = "#B5B5B5"
#: What an r is made of, in the order in which it is taken off.
PART_COLOURS: dict[str, str] = {part: LEVEL_COLOURS[part] for part in ("domain", "document", "token")}
PART_COLOURS |= {part: LEVEL_COLOURS[part] for part in ("token_x_domain", "bigram")} | {"rest": OKABE_ITO["blue"]}
#: What a median r can be a median of.
KIND_COLOURS: dict[str, str] = {
    "ceiling": OKABE_ITO["green"],
    "features": OKABE_ITO["blue"],
    "token_conditional": OKABE_ITO["sky"],
    "neurons": OKABE_ITO["orange"],
    "untrained": OKABE_ITO["purple"],
    "chance": GREY,
    "null_p95": GREY,
}
#: Partners whose effects are compared; whether matched features do the same.
EFFECT_COLOURS: dict[str, str] = {
    "ceiling": KIND_COLOURS["ceiling"], "matched": KIND_COLOURS["features"], "runner_up": OKABE_ITO["sky"],
    "hard_exchange": OKABE_ITO["orange"], "random": GREY, "random_direction": GREY, "floor": KIND_COLOURS["untrained"],
}  # fmt: skip
EFFECT_CLASS_COLOURS: dict[str, str] = {
    "same_effect": OKABE_ITO["blue"],
    "other_effect": OKABE_ITO["vermillion"],
    "undecided": GREY,
}
#: What becomes of a feature in a larger dictionary, in the order in which it is stacked.
SPLIT_COLOURS: dict[str, str] = {
    "kept": OKABE_ITO["blue"],
    "absorbed": OKABE_ITO["sky"],
    "split": OKABE_ITO["green"],
    "undecided": GREY,
    "lost": OKABE_ITO["vermillion"],
}
#: Kinds of coordinates that stand out; the others are grey.
SPACE_COLOURS: dict[str, str] = {
    "features": OKABE_ITO["blue"],
    "features_subset": OKABE_ITO["sky"],
    "neurons": OKABE_ITO["orange"],
    "ica": OKABE_ITO["vermillion"],
    "pca": OKABE_ITO["vermillion"],
}
STATUS_COLOURS: dict[str, str] = {"alive": OKABE_ITO["blue"], "rare": OKABE_ITO["sky"], "dead": GREY}
#: Reasons in the order in which they are tested.
VERDICT_COLOURS: dict[str, str] = {
    "unstable": OKABE_ITO["yellow"],
    "contested": OKABE_ITO["orange"],
    "split": OKABE_ITO["green"],
    "part_of": "#66C5AB",
    "decodable": OKABE_ITO["sky"],
    "near_threshold": OKABE_ITO["purple"],
    "weak": OKABE_ITO["vermillion"],
    "absent": OKABE_ITO["black"],
    "untested": GREY,
}
#: The two sides of a pair.
SIDE_COLOURS: dict[str, str] = {"a": OKABE_ITO["blue"], "b": OKABE_ITO["vermillion"]}

_MODEL_CYCLE = ("blue", "vermillion", "green", "purple", "orange", "sky", "yellow")


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """A colour per model, by position: the same model keeps its colour on every page of a run.

    Args:
        models: model ids in the order of the run; beyond seven, colours repeat and labels must tell them
            apart.
    """
    return {model: OKABE_ITO[_MODEL_CYCLE[i % len(_MODEL_CYCLE)]] for i, model in enumerate(models)}


def rgb(colour: str) -> tuple[int, int, int]:
    """The three channels of ``#RRGGBB``, each 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def rgba(colour: str, alpha: float) -> str:
    """A CSS colour with transparency, for example ``rgba(0,114,178,0.35)``.

    Args:
        colour: ``#RRGGBB``.
        alpha: opacity; clipped to 0..1 and written with three digits.
    """
    red, green, blue = rgb(colour)
    return f"rgba({red},{green},{blue},{min(max(alpha, 0.0), 1.0):.3g})"


def tint(colour: str, ink: float) -> str:
    """The opaque colour of ``ink`` parts of a colour on white paper.

    Args:
        colour: ``#RRGGBB``.
        ink: 0 (white) .. 1 (the colour itself).
    """
    return "#" + "".join(f"{round(255 + (channel - 255) * ink):02X}" for channel in rgb(colour))
