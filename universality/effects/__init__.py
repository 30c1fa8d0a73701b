"""What features do: ablated, in each other's place, turned up.

Names are looked up when they are asked for: the judge of domains needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universality.effects.api import Ablation, Attribution, ablate, attribute, substitute
    from universality.effects.continuations import Continuations, continue_prompt
    from universality.effects.domain_judge import DomainJudge, fit_judge
    from universality.effects.push import Push, latent_push, push_along, random_push
    from universality.effects.steering import SteeringEffect, steer
    from universality.effects.transfer import RidgeMap, Transferred, measure_transfer, ridge_map

_HOMES = {
    "Ablation": "api",
    "Attribution": "api",
    "Continuations": "continuations",
    "DomainJudge": "domain_judge",
    "Push": "push",
    "RidgeMap": "transfer",
    "SteeringEffect": "steering",
    "Transferred": "transfer",
    "ablate": "api",
    "attribute": "api",
    "continue_prompt": "continuations",
    "fit_judge": "domain_judge",
    "latent_push": "push",
    "measure_transfer": "transfer",
    "push_along": "push",
    "random_push": "push",
    "ridge_map": "transfer",
    "steer": "steering",
    "substitute": "api",
}
__all__ = [
    "Ablation", "Attribution", "Continuations", "DomainJudge", "Push", "RidgeMap", "SteeringEffect", "Transferred",
    "ablate", "attribute", "continue_prompt", "fit_judge", "latent_push", "measure_transfer", "push_along",
    "random_push", "ridge_map", "steer", "substitute",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
