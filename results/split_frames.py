"""What becomes of features in larger dictionaries, as rows to draw and list, and one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from results.words import share

if TYPE_CHECKING:
    import pandas as pd

#: Kinds of what becomes of a feature, in the order in which they are stacked; then that of a child without a parent.
SPLIT_KINDS = ("kept", "absorbed", "split", "undecided", "lost")
ORPHAN = "orphan"


def sizes_words(small: Any, large: Any) -> str:
    """Two sizes of dictionaries, "512 to 4k"; thousands are binary where they come out even."""
    small_words, large_words = (f"{n // 1024}k" if n % 1024 == 0 else f"{n:,}" for n in (small, large))
    return f"{small_words} to {large_words}"


def split_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The table ``splits_by_size`` of one study in reading order: by model, then sizes, then kinds; orphans last.

    Returns:
        Its rows, with ``sizes`` ("256 to 512") and ``series`` (the model, and what else varies) behind.
    """
    order = {kind: place for place, kind in enumerate((*SPLIT_KINDS, ORPHAN))}
    point = table.get("point", "")
    frame = table.assign(
        sizes=[sizes_words(*pair) for pair in zip(table["d_sae"], table["child_d_sae"], strict=True)],
        series=(table["model"] + ", " + point).str.removesuffix(", "),
        place=table["kind"].map(order),
    )
    frame = frame.sort_values(["series", "d_sae", "child_d_sae", "place"], kind="stable", ignore_index=True)
    return frame.drop(columns=["place", "point"], errors="ignore")


def agreement_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The table ``split_agreement`` as means over pairs of models, between models and within one.

    Returns:
        measure, sizes, d_sae, child_d_sae, who ("models" or "one model"), n_asked, value, chance, control, in reading
        order; shares weighted by the latents asked, missing where none were.
    """
    import pandas as pd

    who = (table["model"] == table["other_model"]).map({True: "one model", False: "models"})
    rows = []
    for (measure, small, large, name), part in table.groupby(["measure", "d_sae", "child_d_sae", who], sort=False):
        n = part["n_asked"].sum()
        means = {
            column: (part[column] * part["n_asked"]).sum() / n if n and part[column].notna().any() else float("nan")
            for column in ("value", "chance", "control")
        }
        sizes = {"sizes": sizes_words(small, large), "d_sae": small, "child_d_sae": large}
        rows.append({"measure": measure, **sizes, "who": name, "n_asked": n, **means})
    columns = ["measure", "sizes", "d_sae", "child_d_sae", "who", "n_asked", "value", "chance", "control"]
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    ranks = frame.assign(measure=frame["measure"] != "same_parent", who=frame["who"] != "models")
    return frame.loc[ranks.sort_values(["measure", "who", "d_sae", "child_d_sae"]).index].reset_index(drop=True)


def split_sentence(table: pd.DataFrame) -> str:
    """What becomes of the features of the smallest dictionaries in the largest, mean over models, control beside."""
    ends = table[(table["d_sae"] == table["d_sae"].min()) & (table["child_d_sae"] == table["child_d_sae"].max())]
    if ends.empty:
        return ""
    means = ends.groupby("kind", sort=False)[["share", "control"]].mean()
    told = [
        f"{share(means['share'][kind])} are {kind} ({share(means['control'][kind])})"
        for kind in ("kept", "split", "absorbed", "lost")
        if means["share"].notna()[kind]
    ]
    orphans = f"{share(means['share'][ORPHAN])} of the latents there have no parent ({share(means['control'][ORPHAN])})"
    small, large = int(ends["d_sae"].iloc[0]), int(ends["child_d_sae"].iloc[0])
    return (
        f"Of the features of dictionaries of {small:,} latents, in one of {large:,} (in brackets: in another one of "
        f"{small:,}) {', '.join(told)}; {orphans}."
    )


def features_to_follow(tree: pd.DataFrame, model: str) -> pd.DataFrame:
    """Features of a model's smallest dictionaries that have children at the next size, most pieces first.

    Args:
        tree: the table ``split_tree`` of one study, of one point.
        model: id of the model.

    Returns:
        d_sae, sae_seed, latent (of the feature), child_d_sae, child_sae_seed, kind, n_children, r2.
    """
    own = tree[(tree["model"] == model) & (tree["kind"] != ORPHAN)]
    own = own[own["parent_d_sae"] == tree["parent_d_sae"].min()]
    own = own[own["d_sae"] == own["d_sae"].min()].rename(columns={"d_sae": "child_d_sae", "sae_seed": "child_sae_seed"})
    own = own.drop(columns="latent")
    own = own.rename(columns=lambda name: name.removeprefix("parent_"))
    keys = ["d_sae", "sae_seed", "latent", "child_d_sae", "child_sae_seed", "kind"]
    counted = own.groupby(keys, sort=False).agg(n_children=("kind", "size"), r2=("r2", "first")).reset_index()
    counted["place"] = counted["kind"].map({"split": 0, "absorbed": 1, "kept": 2}).fillna(3)
    counted = counted.sort_values(["place", "r2", "latent"], ascending=[True, False, True], ignore_index=True)
    return counted.drop(columns="place")


def children_of(tree: pd.DataFrame, model: str, d_sae: int, sae_seed: int, latent: int) -> pd.DataFrame:
    """Children of one feature in the dictionaries of the next size, those that carry most of it first.

    Returns:
        Rows of ``split_tree`` whose parent the feature is; empty where there is no larger dictionary.
    """
    own = tree[(tree["model"] == model) & (tree["parent_d_sae"] == d_sae) & (tree["parent_sae_seed"] == sae_seed)]
    own = own[own["d_sae"] == own["d_sae"].min()]
    found = own[own["parent_latent"] == latent]
    return found.sort_values(["sae_seed", "share", "r_held_out"], ascending=[True, False, False], ignore_index=True)
