"""What one gateway is put together from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from ledger.chain import Chain
from ledger.keys import Signer
from ledger.store import Store
from services.audit import AuditLog
from services.documents import KeyRing
from services.gateway.audit_anchors import AnchorRule
from services.gateway.follower import FollowedChain
from services.gateway.http.authentication import Clock
from services.gateway.http.policy import Policy
from services.gateway.http.rate_limits import Limiter, Rates
from services.gateway.relay import Relaying
from services.interop.credentials.keys import CredentialKey
from services.portal import Proofs
from services.webhooks.dispatcher import DeliveryPolicy

__all__ = ["GatewayParts"]


def _now_s() -> int:
    return int(time.time())


def _default_limiter() -> Limiter:
    return Limiter(Rates())


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """Store and policy are needed; what is left out is not offered."""

    store: Store
    """Open; the gateway leaves it open."""
    policy: Policy
    _: KW_ONLY
    keys: KeyRing | None = None
    """Without it, documents are neither added nor fetched."""
    chain: FollowedChain | None = None
    """With it, a thread brings the index up to its last final block; without it, the index is served as it is."""
    follow_interval_s: float = 1.0
    clock: Clock = _now_s
    limiter: Limiter = field(default_factory=_default_limiter)
    recording: tuple[Chain, Signer] | None = None
    """With it, a thread records what callers ask for, signed with that key."""
    relaying: Relaying | None = None
    """With it, a thread sends what other participants signed."""
    proofs: Proofs | None = None
    """What passports disclose, and where their proofs come from; without it they have none."""
    audit: AuditLog | None = None
    """With it, nothing is answered that it does not have."""
    anchoring: AnchorRule | None = None
    """With it, `audit` and `recording`, a thread has the audit log's head anchored on the ledger."""
    delivery_policy: DeliveryPolicy | None = None
    """With it, a thread delivers webhooks."""
    credential_keys: Mapping[str, CredentialKey] = field(default_factory=dict)
    """Sign credentials, by their name in the DID document."""

    @property
    def proving_chain(self) -> Chain | None:
        """The chain, if bundles can be made of it: tests follow simpler ones."""
        return self.chain if isinstance(self.chain, Chain) else None
