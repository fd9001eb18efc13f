"""Records for the company that runs the gateway: request bodies, writes, the outbox, and the status of each record."""

from __future__ import annotations

from millmark.services.gateway.recording.endpoints import add_recording
from millmark.services.gateway.recording.recorder import Recorder
from millmark.services.gateway.recording.service import GatewayFormRecorder, RecordingService

__all__ = ["GatewayFormRecorder", "Recorder", "RecordingService", "add_recording"]
