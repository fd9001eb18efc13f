"""Captured EPCIS events over HTTP: capture, queries, recording, and the responses that the standard specifies."""

from __future__ import annotations

from services.gateway.epcis.endpoints import add_epcis
from services.gateway.epcis.negotiation import reword_problem

__all__ = ["add_epcis", "reword_problem"]
