"""What goes to a gateway and comes back, as JSON. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "About",
    "Anchor",
    "AsOf",
    "Assignment",
    "AssignmentEnergy",
    "CallShown",
    "Caller",
    "CapacityShown",
    "CauseFound",
    "CauseShown",
    "Certificate",
    "ChainState",
    "ConsistencyProof",
    "Context",
    "Contexts",
    "ContributionOf",
    "CustodyChange",
    "Cut",
    "Document",
    "DocumentVersion",
    "FactorOf",
    "FailureState",
    "FollowerState",
    "ForecastFound",
    "ForecastListed",
    "ForecastShown",
    "Found",
    "FoundThings",
    "Gate",
    "GateBody",
    "GatewayStatus",
    "Grant",
    "Health",
    "HistoryRecord",
    "Holder",
    "InclusionProof",
    "IndexState",
    "InputBody",
    "Key",
    "LegShown",
    "Lot",
    "LotFootprint",
    "Machine",
    "MessageToSign",
    "Model",
    "Name",
    "NewWebhook",
    "OfferShown",
    "OpenedSession",
    "OpenedStream",
    "Order",
    "OrderTermsBody",
    "OrderTrace",
    "OutputBody",
    "PageOfAnchor",
    "PageOfAssignment",
    "PageOfCallShown",
    "PageOfCauseFound",
    "PageOfCertificate",
    "PageOfCustodyChange",
    "PageOfDocument",
    "PageOfForecastListed",
    "PageOfLot",
    "PageOfModel",
    "PageOfOfferShown",
    "PageOfOpenedStream",
    "PageOfOrder",
    "PageOfParticipant",
    "PageOfRecordStatus",
    "PageOfRegisteredMachine",
    "PageOfSetpointShown",
    "Participant",
    "Party",
    "PersonSession",
    "PlanCheckShown",
    "PlanShown",
    "Ready",
    "Recall",
    "RecallCounts",
    "RecipientKey",
    "RecordStatus",
    "Recovery",
    "Refusal",
    "RegisteredMachine",
    "RelatedLot",
    "RowShown",
    "ScoreFound",
    "ScoredShown",
    "SeriesShown",
    "SetpointShown",
    "ShareShown",
    "SharedMeasurement",
    "ShownEntry",
    "StepShown",
    "Stream",
    "Trace",
    "Transformation",
    "TransformedQuantity",
    "TroubleState",
    "ValueShown",
    "Waiver",
    "WantedForecast",
    "WantedValue",
    "Webhook",
    "Webhooks",
    "WindowShown",
]


class About(TypedDict):
    kind: Literal["order", "lot", "stream", "machine", "model"]
    subject: str
    identifier: str | None


class Anchor(TypedDict):
    sequence: int
    size: int
    root: str
    time: str | None


class AsOf(TypedDict):
    chain_id: int
    ledger: str
    block_number: int
    block_hash: str
    time: str | None
    registry_sequence: int
    ledger_sequence: int
    digest: str


class Assignment(TypedDict):
    assignment: int
    order: str
    identifier: str | None
    operation: int
    current: bool
    state: Literal["none", "proposed", "accepted", "declined", "started", "finished", "cancelled"]
    machine: Machine
    owner: Party
    proposed_at: str | None
    accepted_at: str | None
    started_at: str | None
    ended_at: str | None
    stream: str | None
    leaf_index: int | None
    leaf_hash: str | None
    claims_root: str


class AssignmentEnergy(TypedDict):
    assignment: int
    stream: str
    start: int
    finish: int
    quantity: int | None
    made: int
    wh: int


class CallShown(TypedDict):
    call: str
    coordinator: Party
    closes_at: str
    origin_at: str
    slot_s: int
    slots: int
    unit: str
    readers: list[Party]
    orders: int
    operations: int
    offers: int
    plans: list[str]


class Caller(TypedDict):
    participant: int | None
    roles: list[str]
    scopes: list[str]
    owner: bool
    expires_at: str | None


class CapacityShown(TypedDict):
    kind: str
    minutes: list[int]
    low: list[int]
    high: list[int]


class CauseFound(TypedDict):
    cause: str
    kind: str
    machine: int
    text: str
    began_at: str
    at: str
    record: int | None
    stream: str | None
    leaf: int | None
    outcome: str
    reason: str
    rung: int
    efficiency_per_mille: int
    steps: list[StepShown]


class CauseShown(TypedDict):
    kind: str
    text: str
    stream: str | None
    leaf: int | None
    record: int | None


class Certificate(TypedDict):
    certificate: int
    lot: str
    identifier: str | None
    inspector: Party
    model: Model | None
    verdict: Literal["none", "pass", "fail"]
    status: Literal["none", "valid", "expired", "revoked", "fallen", "refuted", "unopened", "voided"]
    latest: bool
    issued_at: str | None
    expires_at: str | None
    opening_deadline: str | None
    opened_at: str | None
    executed: Literal["none", "pass", "fail"]
    revoked_at: str | None
    inference_digest: str
    stream: str
    leaf_index: int
    leaf_hash: str
    anchor_size: int
    anchor_root: str
    claims_root: str


class ChainState(TypedDict):
    chain_id: int
    block_number: int
    block_hash: str
    block_time: str | None
    registry_sequence: int
    ledger_sequence: int
    seen_at: str | None


class ConsistencyProof(TypedDict):
    stream: str
    first: Anchor
    second: Anchor
    consistency: list[str]


class Context(TypedDict):
    url: str
    path: str
    source: str
    sha256: str


class Contexts(TypedDict):
    contexts: list[Context]


class ContributionOf(TypedDict):
    source: Literal["operation", "stated_operation", "material", "transport", "lot"]
    lot: str
    identifier: str | None
    assignment: int | None
    what: str | None
    wh: int
    location_mg: int
    market_mg: int
    metered_mg: int


CustodyChange = TypedDict(
    "CustodyChange",
    {"sequence": "int", "kind": "str", "lot": "str", "from": "Party | None", "to": "Party", "time": "str | None"},
)


class Cut(TypedDict):
    part: str
    limit: str
    at: int


class Document(TypedDict):
    document: str
    mode: Literal["private", "restricted", "linked", "consortium"]
    about: About | None
    versions: list[DocumentVersion]
    grants: list[Grant] | None
    added_at: str | None
    erased_at: str | None


class DocumentVersion(TypedDict):
    version: int
    name: str | None
    media_type: str | None
    size: int | None
    root: str
    added_at: str | None


class FactorOf(TypedDict):
    key: str
    kind: str
    value: int
    unit: str
    source: str
    region: str
    first_day: str
    last_day: str


class FailureState(TypedDict):
    code: str
    detail: str
    hint: str | None
    failed_at: str | None


class FollowerState(TypedDict):
    followed_at: str | None
    last_failure: FailureState | None


class ForecastFound(TypedDict):
    forecast: str
    first_week: str
    weeks: int
    level_percent: int
    orders: int
    block: int
    block_hash: str
    model: str
    method: str
    anchored: bool
    series: list[SeriesShown]
    capacity: list[CapacityShown]


class ForecastListed(TypedDict):
    forecast: str
    first_week: str
    weeks: int
    products: int
    orders: int
    block: int
    level_percent: int
    anchored: bool


class ForecastShown(TypedDict):
    cost: int
    energy_wh: int
    eta_ppm: int
    e_ppm: int
    oee_ppm: int


class Found(TypedDict):
    kind: Literal["order", "lot", "machine", "stream", "participant", "model", "certificate"]
    key: str
    name: str | None
    number: int


class FoundThings(TypedDict):
    found: list[Found]
    truncated: bool


class Gate(TypedDict):
    inspector: Party
    model: int | None


class GateBody(TypedDict):
    inspector: int
    model: NotRequired[int]


class GatewayStatus(TypedDict):
    index: IndexState | None
    chain: ChainState | None
    chain_failure: FailureState | None
    equal: bool | None
    follower: FollowerState | None
    outbox: dict[str, int]


class Grant(TypedDict):
    participant: Party
    granted_at: str | None


class Health(TypedDict):
    status: str


class HistoryRecord(TypedDict):
    sequence: int
    kind: str
    participant: Party
    subject: str
    key: str
    time: str | None
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int
    superseded_by: int | None
    fields: dict[str, Any]


class Holder(TypedDict):
    participant: int
    name: str | None
    lots: int
    quarantined: int


class InclusionProof(TypedDict):
    stream: str
    leaf_index: int
    leaf_hash: str
    anchor: Anchor
    inclusion: list[str]
    latest: Anchor
    consistency: list[str]
    shown: ShownEntry | None


class IndexState(TypedDict):
    chain_id: int
    registry: str
    ledger: str
    block_number: int
    block_hash: str
    block_time: str | None
    registry_sequence: int
    ledger_sequence: int
    digest: str


class InputBody(TypedDict):
    lot: str
    order: NotRequired[str | None]
    quantity: int
    component: NotRequired[bool]


class Key(TypedDict):
    address: str
    roles: list[str]
    admin: bool
    added_at: str | None


class LegShown(TypedDict):
    order: str
    after: int
    origin: Party
    destination: Party
    carrier: Party | None
    starts_at: str
    ends_at: str
    cost: int


class Lot(TypedDict):
    subject: str
    identifier: str | None
    sequence: int
    unit: str
    quantity: int
    quantity_created: int
    state: Literal["none", "held", "offered", "quarantined", "spent", "returning"]
    custodian: Party
    holder: Party
    counterparty: Party | None
    offer: int | None
    order: str | None
    parent: str | None
    assignment: int | None
    created_at: str | None
    claims_root: str


class LotFootprint(TypedDict):
    lot: str
    identifier: str | None
    record: int
    quantity: int
    unit: str
    taken: int
    scrapped: int
    wh: int
    location_mg: int
    market_mg: int
    metered_mg: int
    recycled_permille: int | None
    first_time: int
    time: int
    table: str
    factors: list[FactorOf]
    contributions: list[ContributionOf]


class Machine(TypedDict):
    machine: int
    identifier: str | None
    owner: Party


class MessageToSign(TypedDict):
    message: str
    expires_at: str | None


class Model(TypedDict):
    model: int
    digest: str
    code: str | None
    state: Literal["none", "registered", "approved", "retired", "withdrawn"]
    inspector: Party
    approver: Party | None
    open: bool
    retired_at: str | None
    withdrawn_at: str | None
    defective_since: str | None


class Name(TypedDict):
    kind: str
    creator: int
    identifier: str
    subject: str
    identifier_hash: str
    salt: str
    proofs: list[str]


class NewWebhook(TypedDict):
    secret: str
    webhook: Webhook


class OfferShown(TypedDict):
    offer: str
    call: str
    owner: Party
    machine: int
    order: str
    operation: int
    duration: int
    setup: int
    family: str
    windows: list[WindowShown]
    wh: int
    co2e_mg: int
    until_at: str
    anchored_at: str | None
    received_at: str | None
    counts: bool
    reason: str | None


class OpenedSession(TypedDict):
    token: str
    participant: int
    roles: list[str]
    expires_at: str | None


class OpenedStream(TypedDict):
    subject: str
    identifier: str | None
    sequence: int
    owner: Party
    machine: Machine | None
    size: int
    opened_at: str | None


class Order(TypedDict):
    subject: str
    identifier: str | None
    sequence: int
    state: Literal[
        "none", "placed", "accepted", "rejected", "in_production", "completed", "delivered", "cancelled", "ended"
    ]
    buyer: Party
    coordinator: Party
    gates: list[Gate]
    quantity: int
    unit: str | None
    operations: int
    finished: int
    live: int
    placed_at: str | None
    due_at: str | None
    claims_root: str


class OrderTermsBody(TypedDict):
    operations: int
    coordinator: int
    gates: NotRequired[list[GateBody]]
    due_at: str
    quantity: NotRequired[int]
    unit: NotRequired[str | None]
    claims: NotRequired[dict[str, Any] | None]
    claims_root: NotRequired[str | None]


class OrderTrace(TypedDict):
    as_of: AsOf
    order: Order
    head: str
    assignments: list[Assignment]
    lots: list[RelatedLot]
    certificates: list[Certificate]
    shared_measurements: list[SharedMeasurement]
    upstream: list[RelatedLot]
    downstream: list[RelatedLot]
    transformations: list[Transformation]
    truncated: bool
    cuts: list[Cut]
    streams: list[Stream]
    records: list[HistoryRecord]


class OutputBody(TypedDict):
    identifier: str
    quantity: int
    unit: str
    claims: NotRequired[dict[str, Any] | None]
    claims_root: NotRequired[str | None]


class PageOfAnchor(TypedDict):
    items: list[Anchor]
    next: str | None


class PageOfAssignment(TypedDict):
    items: list[Assignment]
    next: str | None


class PageOfCallShown(TypedDict):
    items: list[CallShown]
    next: str | None


class PageOfCauseFound(TypedDict):
    items: list[CauseFound]
    next: str | None


class PageOfCertificate(TypedDict):
    items: list[Certificate]
    next: str | None


class PageOfCustodyChange(TypedDict):
    items: list[CustodyChange]
    next: str | None


class PageOfDocument(TypedDict):
    items: list[Document]
    next: str | None


class PageOfForecastListed(TypedDict):
    items: list[ForecastListed]
    next: str | None


class PageOfLot(TypedDict):
    items: list[Lot]
    next: str | None


class PageOfModel(TypedDict):
    items: list[Model]
    next: str | None


class PageOfOfferShown(TypedDict):
    items: list[OfferShown]
    next: str | None


class PageOfOpenedStream(TypedDict):
    items: list[OpenedStream]
    next: str | None


class PageOfOrder(TypedDict):
    items: list[Order]
    next: str | None


class PageOfParticipant(TypedDict):
    items: list[Participant]
    next: str | None


class PageOfRecordStatus(TypedDict):
    items: list[RecordStatus]
    next: str | None


class PageOfRegisteredMachine(TypedDict):
    items: list[RegisteredMachine]
    next: str | None


class PageOfSetpointShown(TypedDict):
    items: list[SetpointShown]
    next: str | None


class Participant(TypedDict):
    participant: int
    name: str | None
    roles: list[str]
    suspended: bool
    departed: bool
    keys: list[Key]
    recovery: Recovery | None
    admitted_at: str | None


class Party(TypedDict):
    participant: int
    name: str | None


class PersonSession(TypedDict):
    token: str
    participant: int
    name: str
    expires_at: str | None


class PlanCheckShown(TypedDict):
    plan: str
    holds: bool
    whole: bool
    rule: str | None
    reason: str | None
    gap_per_mille: int | None
    shares: list[ShareShown]
    fairness_per_mille: int | None
    moved: int | None
    unsold: int | None
    compared: list[str]
    not_checked: list[str]


class PlanShown(TypedDict):
    plan: str
    call: str
    coordinator: Party
    before: str | None
    cause: CauseShown | None
    latest: bool
    whole: bool
    anchored_at: str | None
    unit: str
    total: int
    bound: int
    spent: int
    gap_per_mille: int
    offers: int
    rows: list[RowShown]
    reworked: list[RowShown]
    legs: list[LegShown]


class Ready(TypedDict):
    status: str
    troubles: list[TroubleState]
    alarms: list[TroubleState]


class Recall(TypedDict):
    as_of: AsOf
    model: Model | None
    lot: Lot | None
    machine: Machine | None
    since: str | None
    until: str | None
    counts: RecallCounts
    certificates: list[Certificate]
    lots: list[RelatedLot]
    orders: list[Order]
    holders: list[Holder]
    truncated: bool
    cuts: list[Cut]


class RecallCounts(TypedDict):
    lots: int
    unspent: int
    quarantined: int
    certificates: int
    valid: int
    orders: int
    holders: int


class RecipientKey(TypedDict):
    participant: int
    public_key: str
    issued_at: int
    signature: str
    signer: str


class RecordStatus(TypedDict):
    id: int
    kind: str
    contract: str
    state: str
    done: bool
    sequence: int | None
    subjects: list[str]
    refusal: Refusal | None
    queued_at: str | None
    changed_at: str | None


class Recovery(TypedDict):
    key: str
    effective_at: str | None
    objected: bool
    overruled: bool


class Refusal(TypedDict):
    name: str
    values: dict[str, Any]
    detail: str


class RegisteredMachine(TypedDict):
    machine: int
    subject: str
    identifier: str | None
    owner: Party
    registered_at: str | None
    retired_at: str | None
    waiting: int
    working: int
    claims_root: str


class RelatedLot(TypedDict):
    subject: str
    identifier: str | None
    depth: int
    unit: str
    quantity: int
    state: Literal["none", "held", "offered", "quarantined", "spent", "returning"]
    holder: Party
    quarantined: bool
    parent: str | None
    order: str | None
    assignment: int | None
    machine: Machine | None
    certificate: int | None
    verdict: Literal["none", "pass", "fail"]
    status: Literal["none", "valid", "expired", "revoked", "fallen", "refuted", "unopened", "voided"]


class RowShown(TypedDict):
    order: str
    identifier: str | None
    operation: int
    machine: int
    owner: Party
    offer: str
    start: int
    end: int
    starts_at: str
    ends_at: str
    price: int
    wh: int
    co2e_mg: int
    assignment: int | None
    state: str
    rework: int


class ScoreFound(TypedDict):
    forecast: str
    block: int
    weeks: int
    skipped: int
    bias_permille: int | None
    error: int
    naive_error: int
    series: list[ScoredShown]


class ScoredShown(TypedDict):
    product: str
    unit: str
    option: str
    value: str
    weeks: int
    forecast: int
    actual: int
    error: int
    naive_error: int
    covered: int | None


class SeriesShown(TypedDict):
    product: str
    unit: str
    option: str
    value: str
    history_weeks: int
    method: str
    note: str
    quantities: list[int]
    low: list[int] | None
    high: list[int] | None


class SetpointShown(TypedDict):
    setpoint: int
    machine: int
    state: str
    stream: str
    entry: int | None
    reason: str | None
    proposed_at: str
    until_at: str
    model: str
    values: list[ValueShown]
    horizon_s: int
    expected: ForecastShown
    kept: ForecastShown
    unit: str
    cause: str
    document: str


class ShareShown(TypedDict):
    owner: Party
    offered: int
    used: int


class SharedMeasurement(TypedDict):
    stream: str
    leaf_index: int
    certificates: list[int]
    assignments: list[int]
    others: int


class ShownEntry(TypedDict):
    salt: str
    entry: dict[str, Any]


class StepShown(TypedDict):
    step: str
    state: str
    at: str
    stream: str | None
    leaf: int | None
    detail: str


class Stream(TypedDict):
    subject: str
    identifier: str | None
    machine: Machine | None
    size: int
    root: str
    opened_at: str | None
    anchors: list[Anchor]


class Trace(TypedDict):
    as_of: AsOf
    lot: Lot
    head: str
    order: Order | None
    assignments: list[Assignment]
    certificates: list[Certificate]
    shared_measurements: list[SharedMeasurement]
    waivers: list[Waiver]
    custody: list[CustodyChange]
    packed_in: list[RelatedLot]
    contents: list[RelatedLot]
    upstream: list[RelatedLot]
    downstream: list[RelatedLot]
    transformations: list[Transformation]
    truncated: bool
    cuts: list[Cut]
    streams: list[Stream]
    records: list[HistoryRecord]


class Transformation(TypedDict):
    sequence: int
    kind: Literal["split", "merge", "conversion", "rework"]
    participant: Party
    order: str | None
    unit: str
    output_unit: str
    loss: int
    yield_in: int
    yield_out: int
    time: str | None
    inputs: list[TransformedQuantity]
    outputs: list[TransformedQuantity]


class TransformedQuantity(TypedDict):
    lot: str
    identifier: str | None
    quantity: int
    unit: str
    component: bool


class TroubleState(TypedDict):
    where: str
    code: str
    detail: str
    hint: str | None
    since: str


class ValueShown(TypedDict):
    name: str
    decimals: int
    before: int
    value: int


class Waiver(TypedDict):
    sequence: int
    lot: str
    buyer: Party
    inspector: Party
    certificate: int | None
    holds: bool
    time: str | None
    reason_root: str


class WantedForecast(TypedDict):
    cost: int
    energy_wh: int
    eta_ppm: int
    e_ppm: int


class WantedValue(TypedDict):
    name: str
    decimals: int
    before: int
    value: int


class Webhook(TypedDict):
    id: str
    participant: int
    url: str
    mode: str
    kinds: list[str]
    subjects: list[str]
    state: str
    reason: str | None
    attempts: int
    position: str
    api_key: str | None
    created_at: str | None
    delivered_at: str | None
    person: int | None


class Webhooks(TypedDict):
    items: list[Webhook]


class WindowShown(TypedDict):
    first: int
    last: int
    price: int
