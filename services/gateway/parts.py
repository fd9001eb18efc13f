"""The parts of which a gateway consists."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

from millmark.ledger.chain import Chain
from millmark.ledger.keys import Signer
from millmark.ledger.names import NameKey
from millmark.ledger.products import FindProduct
from millmark.ledger.store import Store
from millmark.services.access.people.openid import Provider
from millmark.services.audit import AuditLog
from millmark.services.check.build import BUILT
from millmark.services.documents import KeyRing
from millmark.services.gateway.audit_anchors import AnchorRule
from millmark.services.gateway.directory_follower import DirectorySource
from millmark.services.gateway.follower import FollowedChain
from millmark.services.gateway.http.authentication import Clock
from millmark.services.gateway.http.policy import Policy
from millmark.services.gateway.http.rate_limits import Limiter, Rates
from millmark.services.gateway.relay import Relay
from millmark.services.handover.delivering import Deliveries
from millmark.services.handover.receiving import Receiver
from millmark.services.interop.credentials.keys import CredentialKey
from millmark.services.planning.feedback.taking import SetpointDesk
from millmark.services.portal import Proofs
from millmark.services.products import Catalogue
from millmark.services.webhooks.dispatcher import DeliveryPolicy


def _now_s() -> int:
    return int(time.time())


def _default_limiter() -> Limiter:
    return Limiter(Rates())


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """Store and policy are required. A gateway lacks the features whose parts are left out."""

    store: Store
    """An open store. The gateway does not close it."""
    policy: Policy
    _: KW_ONLY
    keys: KeyRing | None = None
    """Without a key ring, documents can be neither added nor fetched."""
    chain: FollowedChain | None = None
    """With a chain, a thread keeps the index up to date with its final blocks. Without, the index stays as it is."""
    follow_interval_s: float = 1.0
    clock: Clock = _now_s
    limiter: Limiter = field(default_factory=_default_limiter)
    absent_every_s: float = 0.025
    """Responses to participants that something does not exist leave at multiples of this time after the request, so
    that it does not tell whether something exists that they must not see. Several times what a look-up takes."""
    recording: tuple[Chain, Signer] | None = None
    """With it, a thread sends the records that callers request, signed with this key."""
    operator: tuple[Chain, Signer] | None = None
    """With it, people who may record act as the consortium's operator, with this key."""
    governing: Callable[[], Chain] | None = None
    """Connects to the chain. With it, the page of the consortium says who decides, and members of its council vote
    there."""
    captured: bool = False
    """Whether a node captures the streams of the company, so that nothing else may be added to them."""
    name_keys: Sequence[NameKey] = ()
    """All name keys of the company, without which `recording` creates nothing with an identifier."""
    relay: Relay | None = None
    """With it, the gateway sends requests that other participants signed."""
    proofs: Proofs | None = None
    """What passports disclose, and where their proofs come from. Without it, passports have no proofs."""
    audit: AuditLog | None = None
    """With it, no response is sent before its audit entry is written."""
    anchoring: AnchorRule | None = None
    """With it, `audit` and `recording`, a thread anchors the audit log's head on the ledger."""
    setpoints: SetpointDesk | None = None
    """With it and `recording`, a thread closes the loop; settings of machines are proposed to operators there."""
    drift_notes: bool = False
    """Whether alarms of the company's inspections become notes on what others made, which that thread records."""
    receiver: Receiver | None = None
    """With it, the gateway takes what other companies hand over to its own."""
    deliveries: Deliveries | None = None
    """With it, a thread hands over to other companies what its own company owes them."""
    partner_tls: ssl.SSLContext | None = None
    """For what is asked of the gateways of other companies; by default, the machine's authorities are believed."""
    directory: DirectorySource | None = None
    """With it, a thread keeps the directory up to date."""
    delivery_policy: DeliveryPolicy | None = None
    """With it, a thread delivers webhooks."""
    find_product: FindProduct = Catalogue().find_digest
    """Finds the product that an order's specification names."""
    credential_keys: Mapping[str, CredentialKey] = field(default_factory=dict)
    """Keys that sign credentials, by their names in the DID document."""
    provider: Provider | None = None
    """With it, people sign in with their accounts at the company's OpenID Connect provider too."""
    home: Path | None = None
    """Folder with the company's products, calendar and objective, for the pages that order and plan."""
    contact: str | None = None
    """Where readers of pages report a problem. None for the contact that the directory has, empty for none."""
    check_page: Path = BUILT
    """Folder of the page that verifies in a browser. If it has none, passports do not offer it."""

    @property
    def proving_chain(self) -> Chain | None:
        """The chain, if bundles can be built from it. Tests index simpler chains."""
        return self.chain if isinstance(self.chain, Chain) else None
