"""The memory: immutable artifacts, runs and their tables."""
