"""What a delivery is, a CloudEvent in HTTP, and what its receiver may answer."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.canonical import Json

__all__ = ["Answer", "Mode", "build_request"]


class Mode(enum.StrEnum):
    """How a CloudEvent is put into HTTP (CloudEvents HTTP protocol binding 1.0)."""

    STRUCTURED = "structured"
    """All of it in the body."""
    BINARY = "binary"
    """Its data in the body, the rest in `ce-` headers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said, or why nothing was heard of it."""

    status: int
    """0 when there was no answer."""
    reason: str

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_final(self) -> bool:
        """Whether another try would be of no use: 410 is how a receiver ends its subscription."""
        return self.status == 410


def build_request(event: Mapping[str, Json], mode: Mode) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event."""
    if mode is Mode.STRUCTURED:
        return {"content-type": "application/cloudevents+json"}, _encode(event)
    named = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    headers = {f"ce-{name}": str(value) for name, value in named.items()}
    return {"content-type": str(event["datacontenttype"]), **headers}, _encode(event["data"])


def _encode(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
