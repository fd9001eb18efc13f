"""Sending requests that other participants signed."""

from services.gateway.relay.endpoints import add_relay
from services.gateway.relay.relay import Relay

__all__ = ["Relay", "add_relay"]
