"""A visitor that speaks Streamlit's own protocol: hundreds of pages of a real server, without a browser."""

from __future__ import annotations

from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect


def visit(address: str, screen: str, **query: str) -> list[ForwardMsg]:
    """Open a screen in a session of its own, as a tab of a browser does, and close it.

    Args:
        address: of the server, ``http://…``.
        screen: its name in the address; the empty one is the start.
        query: parameters of the address.

    Returns:
        All that the server sent until the page was drawn.
    """
    url = f"ws{address.removeprefix('http')}/_stcore/stream"
    asked = BackMsg()
    asked.rerun_script.query_string = urlencode(query)
    asked.rerun_script.page_name = screen
    messages = []
    with connect(url, subprotocols=["streamlit"], max_size=None, compression=None) as socket:  # pyright: ignore
        socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(socket.recv(timeout=120))
            messages.append(message)
            if message.WhichOneof("type") == "script_finished" and message.script_finished in _ENDS:
                return messages


_ENDS = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_WITH_COMPILE_ERROR)


def failures(messages: list[ForwardMsg]) -> list[str]:
    """What a page says has gone wrong: exceptions, and parts that could not be drawn."""
    said = []
    for message in messages:
        element = message.delta.new_element if message.WhichOneof("type") == "delta" else None
        if element is None:
            continue
        kind = element.WhichOneof("type")
        if kind == "exception":
            said.append(f"{element.exception.type}: {element.exception.message}")
        elif kind == "alert" and "could not be drawn" in element.alert.body:
            said.append(element.alert.body)
    return said
