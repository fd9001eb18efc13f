"""Records for the company that runs the gateway: request bodies, writes, the outbox, and the status of each record."""

from __future__ import annotations

from services.gateway.recording.endpoints import add_recording
from services.gateway.recording.recorder import Recorder

__all__ = ["Recorder", "add_recording"]
