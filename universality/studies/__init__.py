"""Studies: what a difference in data, seed, size or training does to what models share."""
