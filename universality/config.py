"""What all configs have in common. Those that train and compare build on it; it imports nothing heavy."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Never changed, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
