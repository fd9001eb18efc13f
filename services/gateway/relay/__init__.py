"""Sending requests that other participants signed."""

from millmark.services.gateway.relay.endpoints import add_relay
from millmark.services.gateway.relay.relay import Relay

__all__ = ["Relay", "add_relay"]
