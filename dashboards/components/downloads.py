"""Buttons that save something as a file. The file is made on click, never before."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from results.export import csv_bytes

#: Ending of a file -> what it is to a browser.
_KINDS = {
    "csv": "text/csv",
    "json": "application/json",
    "yaml": "application/yaml",
    "graphml": "application/graphml+xml",
    "html": "text/html",
}


def download(
    label: str,
    make: Callable[[], bytes | str],
    file_name: str,
    *,
    key: str | None = None,
    quiet: bool = False,
) -> None:
    """A button that saves a file.

    Args:
        label: what the button says.
        make: the content, asked for when the button is pressed.
        file_name: its ending tells what kind of file it is.
        key: key of the button.
        quiet: without a frame, for buttons beside a caption.
    """
    st.download_button(
        label, data=make, file_name=file_name, mime=_KINDS[file_name.rpartition(".")[2]], key=key,
        on_click="ignore", icon=":material/download:", type="tertiary" if quiet else "secondary",
    )  # fmt: skip


def csv_button(
    make: Callable[[], pd.DataFrame], file_name: str, *, key: str, quiet: bool = False, label: str = "CSV"
) -> None:
    """A button that saves a table as CSV (see :func:`download`)."""
    download(label, lambda: csv_bytes(make()), file_name, key=key, quiet=quiet)
