"""Setpoints that are proposed for a machine, and what its operator answered: SETPOINTS.md."""

from __future__ import annotations

from services.setpoints.document import SetpointDocument, SetpointValue, parse_setpoint
from services.setpoints.inbox import Inbox
from services.setpoints.views import SetpointShown, SetpointState

__all__ = ["Inbox", "SetpointDocument", "SetpointShown", "SetpointState", "SetpointValue", "parse_setpoint"]
