"""Figures of a report: tidy frames in, matplotlib figures out."""
