"""What the operator of the consortium, and members of its council, do on the portal's page."""

from __future__ import annotations

from millmark.services.gateway.consortium.desk import GatewayConsortiumDesk
from millmark.services.gateway.consortium.upkeep import Upkeep

__all__ = ["GatewayConsortiumDesk", "Upkeep"]
