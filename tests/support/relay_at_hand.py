"""A gateway's relay that its client calls in the same process: no HTTP in between."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.chain import RawLog
from millmark.ledger.errors import ContractRefusedError, NotFoundError
from millmark.ledger.records import Contract
from millmark.ledger.submit import Outcome, Terms
from millmark.services.access import Principal, Scope
from millmark.services.gateway.relay import Relay
from millmark.services.gateway.relay.relay import RelayedRequest

__all__ = ["RelayAtHand"]


@dataclass
class RelayAtHand:
    """The relay as one participant reaches it (`millmark.ledger.submit.Relay`)."""

    relay: Relay
    participant: int

    @property
    def _principal(self) -> Principal:
        return Principal(self.participant, 0, frozenset({Scope.RELAY}), "", owner=False, expires_at=0)

    def terms(self, key: bytes) -> Terms:
        found = self.relay.terms(key)
        return Terms(found.chain_id, found.forwarder, found.nonce, found.final_nonce, found.final_time_s, found.now_s)

    def simulate(self, contract: Contract, data: bytes, key: bytes) -> int:
        found = self.relay.simulate(contract, data, key, self._principal)
        if found.gas is None:
            raise ContractRefusedError(str(found.error_name), {"by": found.error})
        return found.gas

    def send(self, raw: bytes) -> None:
        self.relay.accept(raw, self._principal)

    def look(self, digest: bytes) -> Outcome | None:
        try:
            found = self.relay.look(digest, self._principal)
        except NotFoundError:
            return None
        return Outcome(
            found.state,
            found.error_name,
            found.error,
            found.block_number,
            found.block_hash,
            found.gas_used,
            _logs(found),
        )


def _logs(found: RelayedRequest) -> tuple[RawLog, ...]:
    number, block, transaction = found.block_number, found.block_hash, found.transaction_hash
    if number is None or block is None or transaction is None:
        return ()
    return tuple(
        RawLog(one.address, one.topics, one.data, number, block, transaction, one.log_index) for one in found.logs
    )
