"""Why a model lacks a feature, in words: the latents that the verdict is about, and what has them instead."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from results import words
from results.feature_lists import candidates_of, find_feature, partners_of
from results.ids import feature_id, feature_ids
from results.stored_comparison import StoredComparison

#: A bound nearer to the threshold than this gets a further digit, so that 0.497 is not said to be 0.50 and below it.
_CLOSE = 0.01

#: assigned, assigned_r, edge, cluster and rival of a :class:`Reason`.
_Held = tuple[str | None, float, bool, int | None, str | None]
_NOBODY: _Held = (None, float("nan"), False, None, None)


@dataclass(frozen=True)
class Reason:
    """The verdict on one feature in one model that lacks it.

    Attributes:
        feature: the feature ("m0:12").
        model: the model that lacks it.
        verdict, statistic: as the table ``verdicts`` has them.
        about: the latents that the verdict is about ("m1:40"); of runs of earlier versions, which do not name them, the
            nearest by fit r.
        fit_r: r on fit rows to that nearest latent; None where the run names the latents.
        assigned: the feature that the first of them was assigned to in the feature's own model; None where to none.
        assigned_r: held-out r of that pair.
        edge: whether that pair counts as one feature.
        cluster: the cluster that the first of them is in; None where in none.
        rival: another feature of the feature's own model in that cluster; None where there is none.
        tau: threshold on r.
    """

    feature: str
    model: str
    verdict: str
    statistic: float
    about: tuple[str, ...]
    fit_r: float | None
    assigned: str | None
    assigned_r: float
    edge: bool
    cluster: int | None
    rival: str | None
    tau: float

    @property
    def winner(self) -> str | None:
        """The feature that has the contested latent instead; None where nobody has it, and of other verdicts."""
        if self.verdict != "contested":
            return None
        return self.rival if self.assigned in (None, self.feature) else self.assigned

    @property
    def features(self) -> tuple[str, ...]:
        """What to look at beside the feature: the latents that the verdict is about, and who has a contested one."""
        return (*self.about, *([self.winner] if self.winner else []))

    @property
    def sentence(self) -> str:
        """What the verdict rests on, with its latents and its number."""
        if not self.about:
            return "no latent there comes near it"
        near, r = self.about[0], self._r(self.statistic)
        if self.fit_r is not None:
            return f"nearest is {near}, fit r {self._r(self.fit_r)}; this run does not name what its verdict is about"
        r2 = words.number(self.statistic)
        said = {
            "unstable": f"nearest in a second dictionary of its own model is {near}, r {r}, below {self.tau:.2f}",
            "contested": f"{near} has r {r} with it, {self._instead}",
            "split": f"{' + '.join(self.about)} together make it up, R² {r2}",
            "part_of": f"it is one of the pieces that make up {near}, R² {r2}",
            "decodable": f"a linear probe finds it there, r {r}, but no latent; nearest is {near}",
        }
        return said.get(self.verdict, f"nearest is {near}, r {r}")

    @property
    def _instead(self) -> str:
        if self.assigned is None:
            return "but was assigned to no feature of this model"
        if self.assigned != self.feature:
            return f"but was assigned to {self.assigned}, r {words.number(self.assigned_r)}"
        if not self.edge:
            return "and was assigned to it, but one half of the text or one source makes that r"
        why = f"has {self.rival} of this model" if self.rival else "agrees too little with it as a whole"
        return f"and was assigned to it, but cluster {self.cluster} {why}"

    def _r(self, value: float) -> str:
        return words.number(value, 3 if abs(value - self.tau) < _CLOSE else 2)


def reasons_of(stored: StoredComparison, model: str, latent: int) -> list[Reason]:
    """Why each model lacks a feature, in the order of the run; none for a feature that every model has."""
    table = stored.table("verdicts")
    rows = table[(table["latent"].to_numpy() == latent) & (table["model"] == model).to_numpy()]
    named = table["about"].notna().any()
    candidates = None if named else stored.optional("candidates")
    reasons = []
    for row in rows.to_dict("records"):
        about, fit_r = tuple(str(row["about"]).split(";")) if pd.notna(row["about"]) else (), None
        if candidates is not None:
            near = candidates_of(candidates, model, latent, str(row["other_model"]))
            if len(near):
                about, fit_r = (feature_id(row["other_model"], near["latent"].iloc[0]),), float(near["r"].iloc[0])
        held = _held_by(stored, about[0], feature_id(model, latent)) if about else _NOBODY
        said = (str(row["other_model"]), str(row["verdict"]), float(row["statistic"]))
        reasons.append(Reason(feature_id(model, latent), *said, about, fit_r, *held, stored.tau))
    return reasons


def _held_by(stored: StoredComparison, there: str, feature: str) -> _Held:
    """Who has a latent of another model."""
    row, model = find_feature(stored, there), feature.partition(":")[0]
    if row is None:  # a latent of a replicate
        return _NOBODY
    partners = partners_of(stored.table("pairs"), str(row["model"]), int(row["latent"]))
    partner = partners[partners["model"] == model]
    assigned, r, edge = _NOBODY[:3]
    if len(partner):
        of = partner.iloc[0]
        assigned, r, edge = feature_id(model, of["latent"]), float(of["r_held_out"]), bool(of["edge"])
    if pd.isna(row["cluster"]):
        return assigned, r, edge, None, None
    features = stored.table("features")
    own = features[(features["cluster"] == row["cluster"]).fillna(False).to_numpy(bool) & (features["model"] == model)]
    rivals = [str(name) for name in feature_ids(own) if name != feature]
    return assigned, r, edge, int(row["cluster"]), rivals[0] if rivals else None
