"""Captured EPCIS events over HTTP: capture, queries, recording, and the responses that the standard specifies."""

from __future__ import annotations

from millmark.services.gateway.epcis.endpoints import add_epcis
from millmark.services.gateway.epcis.search import reword_problem

__all__ = ["add_epcis", "reword_problem"]
