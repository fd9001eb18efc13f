"""All methods of the API. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from services.client.methods.custody import CustodyMethods
from services.client.methods.documents import DocumentsMethods
from services.client.methods.general import GeneralMethods
from services.client.methods.inspections import InspectionsMethods
from services.client.methods.lots import LotsMethods
from services.client.methods.machines import MachinesMethods
from services.client.methods.orders import OrdersMethods
from services.client.methods.planning import PlanningMethods

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
