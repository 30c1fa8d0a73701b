"""What screens and reports show: tidy frames, colours, token text, figures and LaTeX, all pure functions.

Nothing is imported here: the figures need matplotlib, the screens do not. Import the module that you need,
for example ``from universality.exhibits.frames import headline_frame``.
"""
