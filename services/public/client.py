"""The typed client of a gateway's HTTP API.

with open_gateway(Path("home")) as gateway:
    placed = gateway.place_order(identifier="urn:example:order-1", terms=terms)
    print(gateway.wait(placed).sequence)
"""

from millmark.services.client import (
    Client,
    GatewayError,
    GatewayUnreachableError,
    ProblemError,
    RecordRefusedError,
    RecordWaitingError,
    Retries,
    open_gateway,
)

__all__ = [
    "Client",
    "GatewayError",
    "GatewayUnreachableError",
    "ProblemError",
    "RecordRefusedError",
    "RecordWaitingError",
    "Retries",
    "open_gateway",
]
