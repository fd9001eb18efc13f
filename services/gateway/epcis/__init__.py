"""Captured EPCIS events over HTTP: capture, queries, recording, and the responses that the standard specifies."""

from __future__ import annotations

from services.gateway.epcis.endpoints import add_epcis
from services.gateway.epcis.negotiation import reword_problem
from services.gateway.epcis.standing_queries import QuerySource

__all__ = ["QuerySource", "add_epcis", "reword_problem"]
