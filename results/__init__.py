"""A finished run, as science reads it: what both the screens and the report show of it.

Nothing is imported here. Import the module that you need, for example ``from results.frames import headline_frame``.
"""
