"""What every test of a border shares: how many inputs, and the one way in which something may be refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

from universality.errors import UniversalityError

#: Inputs of `make test`.
quick = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


def at_length(n_tests: int = 1) -> settings:
    """Inputs of `make test-slow`: at least 10,000 for a border, in equal parts for the tests that hold it."""
    return settings(deadline=None, max_examples=-(-10_000 // n_tests), suppress_health_check=list(HealthCheck))


def outcome(act: Callable[[], Any]) -> tuple[Any, str | None]:
    """What an act gives, or the one sentence in which it refuses; any other exception goes through."""
    try:
        return act(), None
    except UniversalityError as error:
        return None, str(error)
