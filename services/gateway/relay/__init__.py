"""The gateway sends what other participants signed."""

from services.gateway.relay.endpoints import add_relay
from services.gateway.relay.relay import Relaying

__all__ = ["Relaying", "add_relay"]
