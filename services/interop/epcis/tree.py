"""Events as trees of names, texts and children, which are the same for JSON-LD and XML.

JSON omits the names of list members (`epcList` holds strings), and XML puts some values into attributes; the tree has
the XML names for both. Standard names are bare, all others are `{namespace}local`. Texts are normalised as for the
event hash.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import Final, NamedTuple

from millmark.ledger.canonical import Json
from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import link_uri, parse_epc, split_digital_link

# Values of the Core Business Vocabulary (CBV 2.0) that events may write as bare words.

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


# Normalisation of an event's values for the event hash (CBV 2.0 section 8.9, EPCIS event hash).

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:?\d{2})", re.ASCII | re.IGNORECASE)
_NUMBERED = re.compile(r"(urn:epc:id:[a-z]+:[0-9.]+\.|https://.+/21/)([0-9A-Za-z_-]{1,20})", re.ASCII)
"""Candidates for identifiers whose serial number needs no escaping."""
_FINE: dict[str, set[str]] = {
    "01": {"10", "21", "235"},
    "414": {"254"},
    "8006": {"10", "21"},
    "8010": {"8011"},
    **{key: set() for key in ("00", "253", "255", "401", "402", "417", "8003", "8004", "8017", "8018")},
}
"""Keys that the hash normalises, with the qualifiers that identify something finer (rule 18)."""
_MAX_REMEMBERED = 200
"""Length above which values are not cached."""
_MAX_EXPONENT = 400
"""Exponents above the range of a double are left alone: writing such a number out would take unbounded memory."""


def canonical_value(text: str) -> str:
    """A value in the form in which it is hashed, without surrounding white space.

    URNs of the CBV become web URIs, GS1 keys become Digital Links, and numbers lose redundant zeros; no digit is
    rounded. All other values are unchanged."""
    if len(text) > _MAX_REMEMBERED:
        return _canonical(text)
    numbered = _NUMBERED.fullmatch(text) if text.startswith(("urn:epc:id:", "https://")) else None
    stem = numbered and _stem(numbered[1])
    return stem + numbered[2] if numbered and stem else _remembered(text)


def _canonical(text: str) -> str:
    text = expand_urn(text.strip())
    return _key(text) if ":" in text else _number(text)


_remembered = lru_cache(maxsize=4096)(_canonical)
"""Cached, because the events of one batch name the same places, kinds and steps."""


@lru_cache(maxsize=4096)
def _stem(head: str) -> str | None:
    """The normalised text before a serial number that follows `head`; None if serial numbers are not simply appended.

    A fast path: things of one kind are many, and each occurs once, so caching whole values would not help."""
    one, other = (_canonical(f"{head}{serial}") for serial in "AB")
    stem = one[:-1]
    return stem if (one, other) == (f"{stem}A", f"{stem}B") and stem.endswith("/21/") else None


@lru_cache(maxsize=1024)
def canonical_time(text: str) -> str:
    """A timestamp in UTC with milliseconds, rounded half up. Any other text is returned unchanged."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return text.strip()
    date, clock, fraction, offset = match.groups()
    millis = int((fraction or "0")[:3].ljust(3, "0")) + (len(fraction or "") > 3 and fraction[3] >= "5")
    try:
        moment = datetime.datetime.fromisoformat(f"{date}T{clock}{offset.upper().replace('Z', '+00:00')}")
        moment = moment.astimezone(datetime.UTC) + datetime.timedelta(milliseconds=millis)
    except (ValueError, OverflowError):
        return text.strip()
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > max(_MAX_EXPONENT, len(text)):
        return text
    if number == number.to_integral_value():
        return str(number.to_integral_value())
    with localcontext() as context:
        context.prec = max(28, len(text))  # `normalize` rounds to it
        return format(number.normalize(), "f")


def _key(text: str) -> str:
    """A GS1 key as the canonical link of the finest thing it identifies: without variant, and without lot if a serial
    number is present.

    Check digits are not validated: an event is hashed as it is, even with an invalid key."""
    try:
        if text.startswith("urn:epc:"):
            elements = parse_epc(text).elements
        elif text.startswith(("https://", "http://")):
            elements = split_digital_link(text, named=True)
        else:
            return text
    except IdentifierError:
        return text
    named = {ai: value for ai, value in elements if ai != "22"}
    if "21" in named:
        named.pop("10", None)
    key, *qualifiers = named
    return link_uri(named.items()) if set(qualifiers) <= _FINE.get(key, set()) else text


LINKED: Final = {"bizTransaction", "source", "destination"}
"""Members that consist of an identifier and a type."""

_STANDARD: Final = {
    "cbv": CBV,
    "cbvmda": "urn:epcglobal:cbv:mda",
    "epcis": EPCIS,
    "gs1": GS1,
}
_TIMES: Final = {"eventTime", "time", "startTime", "endTime"}
_MEMBERS: Final = {
    "inputEPC": "epc",
    "outputEPC": "epc",
    "quantity": "quantityElement",
    "inputQuantity": "quantityElement",
    "outputQuantity": "quantityElement",
    "childQuantity": "quantityElement",
}
"""Names of list members derived from JSON, and their names in XML. A plain number is not a member."""
_COMMENTS: Final = {"comment", "rdfs:comment", "@context"}


def _expansions(start: str, known: Sequence[str]) -> dict[str, str]:
    return {word: start + word for word in known}


_DISPOSITION_URIS = _expansions(CBV + "Disp-", DISPOSITIONS)
_PARTIES = _expansions(CBV + "SDT-", PARTY_TYPES)
_BARE: Final[Mapping[str, Mapping[str, str]]] = {
    "bizStep": _expansions(CBV + "BizStep-", BIZ_STEPS),
    "disposition": _DISPOSITION_URIS,
    "set": _DISPOSITION_URIS,
    "unset": _DISPOSITION_URIS,
    "bizTransaction": _expansions(CBV + "BTT-", BIZ_TRANSACTION_TYPES),
    "source": _PARTIES,
    "destination": _PARTIES,
    "sensorReport": _expansions(GS1, MEASUREMENTS),
    "exception": _expansions(GS1, SENSOR_ALERTS),
    "component": _expansions(CBV + "Comp-", COMPONENTS),
}
"""For each field, or for the owner of a field "type": its bare words and their URIs."""


class Node(NamedTuple):
    """An element of the tree. Nodes are ordered by name, text, children."""

    name: str
    text: str
    children: list[Node]


Namespaces = Mapping[str, str]
"""Namespaces by prefix."""


def namespaces_of(context: Json) -> Namespaces:
    """The prefixes that a JSON-LD context declares, and the standard ones. A context cannot redefine `gs1`."""
    found = {}
    for part in context if isinstance(context, list) else [context]:
        if isinstance(part, dict):
            found.update({key: value for key, value in part.items() if isinstance(value, str)})
    return {**_STANDARD, **found, "gs1": GS1}


def text_of(value: str, *, owner: str, name: str, namespaces: Namespaces) -> str:
    """Normalises one value. `name` is its field, `owner` the object that the field belongs to."""
    if name in _TIMES:
        return canonical_time(value)
    if ":" in value:
        prefix, _, local = value.partition(":")
        space = namespaces.get(prefix)
        if space is not None and space.startswith(("https://ref.gs1.org", "https://gs1.org")):
            value = space + local
        return canonical_value(value)
    known = _BARE.get(owner if name == "type" else name)
    return (known and known.get(value)) or canonical_value(value)


def json_event(event: Mapping[str, Json], namespaces: Namespaces) -> Node:
    """The tree of a JSON-LD event; the root's name is the event's type."""
    kind = event.get("type")
    return Node(kind if isinstance(kind, str) else "", "", _members(event, "", namespaces))


def _members(value: Mapping[str, Json], owner: str, namespaces: Namespaces) -> list[Node]:
    # JSON that was converted from XML may declare prefixes like this, anywhere.
    if any(key.startswith("@xmlns") for key in value):
        declared = {key[7:]: item for key, item in value.items() if key.startswith("@xmlns") and isinstance(item, str)}
        namespaces = {**namespaces, **declared}
    nodes: list[Node] = []
    for key, item in value.items():
        if key not in _COMMENTS and key != "#text" and not key.startswith("@xmlns"):
            name = _expanded(key, namespaces) if ":" in key else key
            nodes.extend(_field(name, item, owner, namespaces))
    return sorted(nodes)  # the order of members has no meaning in JSON


def _field(name: str, item: Json, owner: str, namespaces: Namespaces) -> list[Node]:
    """The nodes of one JSON member: one for each item of an array; none for null or an empty array."""
    if name == "childEPCs" or name.endswith("List"):
        member = "epc" if name == "childEPCs" else name.removesuffix("List")
        inside = _nodes(member, item, owner, namespaces)
        return [Node(name, "", sorted(inside))] if inside else []
    return _nodes(name, item, owner, namespaces)


def _nodes(name: str, item: Json, owner: str, namespaces: Namespaces) -> list[Node]:
    if isinstance(item, (list, tuple)):
        return [node for part in item for node in _nodes(name, part, owner, namespaces)]
    if item is None:
        return []
    if isinstance(item, dict):
        return [_object(name, item, namespaces)]
    text = ("true" if item else "false") if isinstance(item, bool) else str(item)
    return [Node(_MEMBERS.get(name, name) if name.endswith("EPC") else name, _text(text, owner, name, namespaces), [])]


def _object(name: str, item: Mapping[str, Json], namespaces: Namespaces) -> Node:
    if name in LINKED:
        linked, kind = item.get(name), item.get("type")
        types = [Node("type", _text(kind, name, "type", namespaces), [])] if isinstance(kind, str) else []
        return Node(name, _text(linked, name, name, namespaces) if isinstance(linked, str) else "", types)
    text = item.get("#text")
    return Node(
        _MEMBERS.get(name, name),
        _text(text, "", name, namespaces) if isinstance(text, str) else "",
        _members(item, name, namespaces),
    )


def _text(value: str, owner: str, name: str, namespaces: Namespaces) -> str:
    return text_of(value, owner=owner, name=name, namespaces=namespaces)


def _expanded(key: str, namespaces: Namespaces) -> str:
    prefix, _, local = key.partition(":")
    return f"{{{namespaces[prefix]}}}{local}" if prefix in namespaces else key


# Terms of an event: the fields and values by which queries find it, normalised as for the event hash.
#
# Normalisation makes equivalent spellings equal: EPC URN and Digital Link of a key, bare word and URI of a step, times
# in different zones.

_SCALARS: Final = frozenset({"action", "bizStep", "disposition", "parentID", "transformationID"})
EPC_LISTS: Final[Mapping[str, str]] = {
    "epcList": "epc",
    "childEPCs": "epc",
    "inputEPCList": "inputEPC",
    "outputEPCList": "outputEPC",
}
CLASS_LISTS: Final[Mapping[str, str]] = {
    "quantityList": "epcClass",
    "childQuantityList": "epcClass",
    "inputQuantityList": "inputEPCClass",
    "outputQuantityList": "outputEPCClass",
}
LINKED_LISTS: Final[Mapping[str, str]] = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}
THINGS: Final = ("epc", "parentID", "inputEPC", "outputEPC")
"""Fields that name individual things."""
CLASSES: Final = ("epcClass", "inputEPCClass", "outputEPCClass")
"""Fields that name lots and kinds of things."""


def build_terms(tree: Node) -> list[tuple[str, str]]:
    """Pairs of field and value of a valid event; a pair may occur twice."""
    return [("type", tree.name), *(term for node in tree.children for term in _of(node))]


def _of(node: Node) -> Iterator[tuple[str, str]]:
    name = node.name
    if name in _SCALARS:
        yield name, node.text
    elif name in EPC_LISTS:
        yield from ((EPC_LISTS[name], child.text) for child in node.children)
    elif name in CLASS_LISTS:
        parts = (one for each in node.children for one in each.children)
        yield from ((CLASS_LISTS[name], one.text) for one in parts if one.name == "epcClass")
    elif name in ("readPoint", "bizLocation"):
        yield from ((name, child.text) for child in node.children if child.name == "id")
    elif name == "persistentDisposition":
        yield from ((f"{name}_{child.name}", child.text) for child in node.children)
    elif name in LINKED_LISTS:
        for each in node.children:
            kinds = [child.text for child in each.children] or [""]  # the type of a business transaction is optional
            yield f"{LINKED_LISTS[name]}_{kinds[0]}", each.text
    elif name == "errorDeclaration":
        yield name, "true"
        for one in node.children:
            if one.name in ("reason", "correctiveEventIDs"):
                yield f"{name}_{one.name}", one.text.removeprefix(CBV + "ER-")


def event_id_of(event: Mapping[str, Json], event_hash: str) -> str:
    """The event's `eventID`, or else its hash, which the standard allows as an id (CBV 2.0 section 8.9)."""
    found = event.get("eventID")
    return found if isinstance(found, str) else event_hash


def millis_of(time: str) -> int:
    """Unix time in milliseconds; a leap second counts as the second before it. Raises ValueError if the time does not
    exist."""
    text = canonical_time(time)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.datetime.fromisoformat(canonical_time(time.replace(":60", ":59")))
    return int((moment - _EPOCH) / _MILLISECOND)


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND: Final = datetime.timedelta(milliseconds=1)
