"""Client of another participant's relay, and the file format of records to be signed offline."""

from millmark.services.relay.client import HttpRelay

__all__ = ["HttpRelay"]
