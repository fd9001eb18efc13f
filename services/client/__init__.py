"""A typed client of the gateway's HTTP API.

with open_gateway(Path("home")) as gateway:
    placed = gateway.place_order(identifier="urn:example:order-1", terms=terms)
    print(gateway.wait(placed).sequence)
"""

from millmark.services.client.client import Client
from millmark.services.client.errors import (
    GatewayError,
    GatewayUnreachableError,
    ProblemError,
    RecordRefusedError,
    RecordWaitingError,
)
from millmark.services.client.local import ensure_gateway_key, open_gateway
from millmark.services.client.transport import Retries

__all__ = [
    "Client",
    "GatewayError",
    "GatewayUnreachableError",
    "ProblemError",
    "RecordRefusedError",
    "RecordWaitingError",
    "Retries",
    "ensure_gateway_key",
    "open_gateway",
]
