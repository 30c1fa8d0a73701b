"""``python -m dashboards.launch run app.py …``: ``streamlit`` that imports what screens need before anybody asks.

Streamlit runs the app when the first browser connects; while that one still loads its own scripts, the libraries
that every screen needs are imported here.
"""

import sys
from importlib import import_module
from threading import Thread

#: In this order, one after the other: none of them waits for a later one.
LIBRARIES = ("pandas", "pyarrow.dataset", "scipy.sparse", "altair")


def prepare() -> None:
    """Import the libraries; a missing one is the screens' to tell."""
    for library in LIBRARIES:
        try:
            import_module(library)
        except ImportError:
            return


def main() -> None:
    """Entry of ``python -m dashboards.launch``."""
    from streamlit.web.cli import main as streamlit

    Thread(target=prepare, daemon=True, name="prepare").start()
    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    sys.exit(main())
