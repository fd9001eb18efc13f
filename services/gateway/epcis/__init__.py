"""EPCIS 2.0 over HTTP (REST bindings): capture, capture jobs, events, and the queries that events can be found by."""

from __future__ import annotations

from services.gateway.epcis.endpoints import add_epcis
from services.gateway.epcis.problems import reword_problem

__all__ = ["add_epcis", "reword_problem"]
