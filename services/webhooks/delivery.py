"""CloudEvents over HTTP: the request of a delivery, and its result."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.canonical import Json

__all__ = ["DeliveryResult", "Mode", "build_request"]


class Mode(enum.StrEnum):
    """How a CloudEvent is put into HTTP (CloudEvents HTTP protocol binding 1.0)."""

    STRUCTURED = "structured"
    """The whole event is in the body."""
    BINARY = "binary"
    """The event's data is in the body, its other attributes in `ce-` headers."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The receiver's status, or why there was none."""

    status: int
    """0 if the receiver sent no usable response."""
    reason: str

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def ends_subscription(self) -> bool:
        """Whether retries are pointless: 410 Gone is how a receiver ends its subscription."""
        return self.status == 410


def build_request(event: Mapping[str, Json], mode: Mode) -> tuple[dict[str, str], bytes]:
    """Builds headers and body of the request, without the signature headers."""
    if mode is Mode.STRUCTURED:
        return {"content-type": "application/cloudevents+json"}, _encode(event)
    named = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    headers = {f"ce-{name}": str(value) for name, value in named.items()}
    return {"content-type": str(event["datacontenttype"]), **headers}, _encode(event["data"])


def _encode(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
