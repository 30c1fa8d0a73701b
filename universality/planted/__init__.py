"""Planted truth: synthetic models whose shared, specific, split and decoy features are known."""

from universality.planted.planted_config import PlantConfig
from universality.planted.world import Planted, plant

__all__ = ["PlantConfig", "Planted", "plant"]
