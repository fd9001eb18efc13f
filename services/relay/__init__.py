"""The relay of another participant's gateway, as its users see it."""

from services.relay.client import HttpRelay

__all__ = ["HttpRelay"]
