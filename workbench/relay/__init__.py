"""A relay: it passes a provider's stream on to a browser, by server-sent events or by a WebSocket.

passing.py   one event at a time, until somebody leaves
app.py       who may ask, and how: the ASGI application
serving.py   the application on a port of this machine
page/        what the browser shows
"""

from workbench.relay.app import Relay
from workbench.relay.serving import serve_relay

__all__ = ["Relay", "serve_relay"]
