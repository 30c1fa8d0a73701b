"""Transformers: built from a seed, trained, harvested. Import what you need from the modules."""
