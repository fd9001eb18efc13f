"""The gateway sends what other participants signed."""

from services.gateway.relay.endpoints import build_relay
from services.gateway.relay.relay import Relaying

__all__ = ["Relaying", "build_relay"]
