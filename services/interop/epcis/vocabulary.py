"""Values of the Core Business Vocabulary (CBV 2.0) that events may write as bare words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CBV: Final = "https://ref.gs1.org/cbv/"
EPCIS: Final = "https://ref.gs1.org/epcis/"
GS1: Final = "https://ref.gs1.org/voc/"
"""Namespace of the GS1 web vocabulary in the event hash."""
GS1_DOCUMENTS: Final = "https://gs1.org/voc/"
"""Namespace of the same vocabulary in JSON-LD."""

_BIZ_STEPS = (
    "accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting "
    "decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting "
    "installing killing loading other packing picking receiving removing repackaging repairing replacing reserving "
    "retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting "
    "unloading unpacking void_shipping"
)
_DISPOSITIONS = (
    "active available completeness_inferred completeness_verified conformant container_closed container_open damaged "
    "destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class mismatch_instance "
    "mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other partially_dispensed "
    "recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown"
)
_BIZ_TRANSACTION_TYPES = "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt"
_COMPONENTS = (
    "altitude axial_distance azimuth easting elevation_angle height latitude longitude northing polar_angle "
    "spherical_radius x y z"
)
_MEASUREMENTS = (
    "AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance "
    "AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance "
    "Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity "
    "ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency "
    "Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux "
    "LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration MassFlowRate "
    "MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux "
    "RadiantIntensity Radioactivity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume Speed "
    "SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction "
    "VolumetricFlux Wavenumber"
)

BIZ_STEPS: Final = tuple(_BIZ_STEPS.split())
DISPOSITIONS: Final = tuple(_DISPOSITIONS.split())
BIZ_TRANSACTION_TYPES: Final = tuple(_BIZ_TRANSACTION_TYPES.split())
PARTY_TYPES: Final = ("location", "owning_party", "possessing_party")
"""Kinds of source and destination."""
COMPONENTS: Final = tuple(_COMPONENTS.split())
MEASUREMENTS: Final = tuple(_MEASUREMENTS.split())
SENSOR_ALERTS: Final = ("ALARM_CONDITION", "ERROR_CONDITION")
ERROR_REASONS: Final = ("did_not_occur", "incorrect_data")

_URNS: Mapping[str, str] = {
    "urn:epcglobal:cbv:bizstep:": CBV + "BizStep-",
    "urn:epcglobal:cbv:disp:": CBV + "Disp-",
    "urn:epcglobal:cbv:btt:": CBV + "BTT-",
    "urn:epcglobal:cbv:sdt:": CBV + "SDT-",
    "urn:epcglobal:cbv:er:": CBV + "ER-",
}


def expand_urn(text: str) -> str:
    """The web URI of a standard value written as a URN of CBV 1.x; any other text unchanged."""
    if text.startswith("urn:epcglobal:cbv:"):
        for urn, web in _URNS.items():
            if text.startswith(urn):
                return web + text.removeprefix(urn)
    return text
