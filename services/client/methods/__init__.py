"""All methods of the API. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from millmark.services.client.methods.custody import CustodyMethods
from millmark.services.client.methods.documents import DocumentsMethods
from millmark.services.client.methods.general import GeneralMethods
from millmark.services.client.methods.inspections import InspectionsMethods
from millmark.services.client.methods.lots import LotsMethods
from millmark.services.client.methods.machines import MachinesMethods
from millmark.services.client.methods.orders import OrdersMethods
from millmark.services.client.methods.planning import PlanningMethods

__all__ = ["AllMethods"]


class AllMethods(
    CustodyMethods,
    DocumentsMethods,
    GeneralMethods,
    InspectionsMethods,
    LotsMethods,
    MachinesMethods,
    OrdersMethods,
    PlanningMethods,
):
    """Every operation of the API."""
