"""Do independently trained transformers learn the same features?

The science room: pure functions of arrays and configs. Nothing heavy is imported here, so that
``import universality`` stays instant; import what you need from its modules, for example
``from universality.compare import compare``.
"""

__version__ = "0.1.0"
