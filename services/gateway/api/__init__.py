"""Routes of the partner API: lots, orders, certificates, traces, bundles, documents, events, credentials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from fastapi import Request

from millmark.ledger.chain import Chain
from millmark.ledger.products import FindProduct
from millmark.ledger.store import Store
from millmark.services.access import SignIn
from millmark.services.access.people.people import Pairing
from millmark.services.documents import Documents, KeyRing, Recipients
from millmark.services.gateway.api.consortium import add_consortium, add_directory
from millmark.services.gateway.api.credentials import add_contexts, add_credentials
from millmark.services.gateway.api.documents import add_documents, add_handovers, add_recipient_keys
from millmark.services.gateway.api.events import SseConnections, add_events, add_webhooks
from millmark.services.gateway.api.plans import add_forecasts, add_orders, add_plans, add_setpoints
from millmark.services.gateway.api.proofs import add_bundles, add_proofs
from millmark.services.gateway.api.provenance import CauseService, add_causes, add_lots, add_provenance, add_search
from millmark.services.gateway.api.sessions import add_sessions
from millmark.services.gateway.api.status import StatusReader, add_status, fetch_gateway_status
from millmark.services.gateway.http.authentication import Clock, Policy
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.handover.delivering import ask_others_to_erase_all
from millmark.services.handover.receiving import Receiver
from millmark.services.interop.credentials.issuer import Issuer
from millmark.services.interop.credentials.keys import CredentialKey
from millmark.services.planning.making import Ties
from millmark.services.setpoints import Inbox
from millmark.services.webhooks.subscriptions import Subscriptions

__all__ = ["ApiParts", "SseConnections", "add_api", "fetch_gateway_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """What the routes of the API depend on."""

    store: Store
    policy: Policy
    clock: Clock
    sign_in: SignIn
    pairing: Pairing
    keys: KeyRing | None
    """Without a key ring, documents can be neither added nor fetched."""
    chain: Chain | None
    """Without a chain, there are neither bundles nor trust files, and no scores of forecasts."""
    find_product: FindProduct
    ties: Ties
    causes: CauseService | None
    """Without it, causes are only read."""
    credential_keys: Mapping[str, CredentialKey]
    receiver: Receiver | None
    """Without it, nothing is taken from other companies."""
    verify_fresh: Callable[[], None]
    follow_now: Callable[[], None]
    loopback_webhooks: bool
    read_status: StatusReader
    connections: SseConnections
    authenticate: Callable[[Request], Awaitable[None]]


def add_api(table: RouteTable, parts: ApiParts) -> None:
    store, clock = parts.store, parts.clock
    add_provenance(table, store)
    add_search(table, store)
    add_status(table, parts.read_status)
    add_sessions(table, store, parts.sign_in, clock, parts.pairing)
    ask_to_erase = partial(ask_others_to_erase_all, store, participant=parts.policy.owner)
    add_documents(table, Documents(store, parts.keys), clock, ask_to_erase)
    add_recipient_keys(table, Recipients(store), clock)
    add_handovers(table, parts.receiver, parts.verify_fresh, parts.follow_now)
    add_consortium(table, store)
    add_directory(table, store)
    add_orders(table, store)
    add_plans(table, store, parts.ties)
    add_causes(table, store, parts.causes)
    add_forecasts(table, store, parts.chain, parts.policy.owner, parts.find_product)
    add_lots(table, store)
    add_setpoints(table, Inbox(store), parts.policy.owner)
    add_proofs(table, store)
    add_bundles(table, store, parts.chain)
    add_credentials(table, Issuer(store, parts.policy.origin, parts.credential_keys, parts.policy.owner))
    add_contexts(table)
    add_events(table, store, parts.connections, parts.authenticate)
    add_webhooks(table, Subscriptions(store, loopback=parts.loopback_webhooks))
