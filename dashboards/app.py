"""The window's server: ``python -m streamlit run app.py -- --store URL``.

Streamlit serves ``window.py`` behind :mod:`dashboards.gate`, whoever starts it and with whatever options.
"""

import asyncio
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from dashboards.gate import OnlyThisMachine


@asynccontextmanager
async def _open_browser(_: st.App) -> AsyncIterator[None]:
    """Unless the server is headless, open a browser once it listens, which is just after this."""
    if not config.get_option("server.headless"):
        address = f"http://127.0.0.1:{config.get_option('server.port')}"
        asyncio.get_running_loop().call_later(0.5, webbrowser.open, address)
    yield


app = st.App(Path(__file__).with_name("window.py"), middleware=[Middleware(OnlyThisMachine)], lifespan=_open_browser)
