"""The report of a run: a folder that stands on its own beside a paper."""
