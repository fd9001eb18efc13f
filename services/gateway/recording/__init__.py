"""Recording in the name of the company that runs the gateway: bodies, writes, the outbox, and the records' fate."""

from __future__ import annotations

from services.gateway.recording.endpoints import add_recording
from services.gateway.recording.recorder import Recorder

__all__ = ["Recorder", "add_recording"]
