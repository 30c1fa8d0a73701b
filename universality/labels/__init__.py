"""Labels of latents by rules of their text, scored by what a rule foretells of activations on rows it never saw.

:mod:`~universality.labels.views` says what a row is, :mod:`~universality.labels.rules` what of that a latent follows.
"""
