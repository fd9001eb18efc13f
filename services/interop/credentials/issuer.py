"""Credentials that one company issues: its DID document, signed credentials, and status lists.

A credential is built from the index at every request, with the same bytes for the same certificate. Whether it still
holds is stated by its status list alone, which is built from the index too. So a credential becomes invalid together
with its certificate: revoked, refuted, not opened before its deadline, or fallen with its model.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from millmark.ledger import provenance
from millmark.ledger.canonical import Json
from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import Certificate
from millmark.ledger.provenance.reader import open_reader
from millmark.ledger.records import CertificateState, CertificateStatus
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow
from millmark.services.interop.credentials import certificate
from millmark.services.interop.credentials.keys import CredentialKey, add_proof, build_did_document


def read_facts(store: Store, sequence: int, *, chain_id: int, ledger: bytes) -> certificate.CertificateFacts:
    """The facts of the certificate that record `sequence` issued, at the index's block.

    Raises NotFoundError if the record issued none, or if the lot's identifier is not known here; a credential needs a
    subject that its reader can name."""
    found = provenance.certificate(store, sequence)
    if found.identifier is None:
        raise NotFoundError(
            f"the identifier of certificate {sequence}'s lot is not known here",
            hint="ask the lot's maker for identifier and salt",
        )
    return build_facts(found, chain_id=chain_id, ledger=ledger)


def build_facts(found: Certificate, *, chain_id: int, ledger: bytes) -> certificate.CertificateFacts:
    """The facts of a certificate whose lot has an identifier: what has the same name in both is the same."""
    stated: dict[str, Any] = {
        "chain_id": chain_id,
        "ledger": ledger,
        "sequence": found.certificate,
        "inspector": found.inspector.participant,
        "model": 0 if found.model is None else found.model.model,
        "issued_at": _seconds(found.issued_at),
        "expires_at": _seconds(found.expires_at),
    }
    names = (one.name for one in fields(certificate.CertificateFacts))
    return certificate.CertificateFacts(
        **{name: stated[name] if name in stated else getattr(found, name) for name in names}
    )


def read_statuses(store: Store) -> dict[int, CertificateStatus]:
    """Status of every certificate at the index's block, by sequence. Raises NotFoundError if nothing is indexed."""
    with open_reader(store) as reader:
        return {row.sequence: reader.status(row) for row in reader.rows.find(CertificateRow)}


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp())


STATUS_PATH: Final = "/v1/status-lists"


_MAX_LISTS: Final = 16
"""Signed status lists in the cache; each covers 131,072 certificates and takes at most about 17 KB."""


class Issuer:
    """Issues the credentials of one company at one site. Thread-safe.

    `origin` is the scheme, host and port under which callers reach it. `keys` are named as in the DID document; the
    first one signs. Only certificates of `participant` are served; with None, on a gateway that is open on the
    loopback, those of all participants."""

    def __init__(self, store: Store, origin: str, keys: Mapping[str, CredentialKey], participant: int | None) -> None:
        self.store, self.origin, self.keys, self.participant = store, origin, keys, participant
        self._lock = threading.Lock()
        self._lists: OrderedDict[tuple[bytes, int], tuple[dict[str, Json], float]] = OrderedDict()
        """LRU cache by index digest and list number; each list with the block time at which it lapses."""

    @property
    def did(self) -> str:
        """The site's did:web (did:web method, section 3: the port's colon is percent-encoded)."""
        return "did:web:" + quote(urlsplit(self.origin).netloc, safe="")

    def document(self) -> dict[str, Json]:
        """The DID document with the public keys. Raises NotFoundError if there are no keys."""
        self._verify_keys()
        return build_did_document(self.did, {name: key.public for name, key in self.keys.items()})

    def credential(self, sequence: int, viewer: int | None) -> dict[str, Json]:
        """The signed credential of a certificate that is visible to the viewer and was issued by this company.

        Raises NotFoundError."""
        self._verify_keys()
        name, key = next(iter(self.keys.items()))
        url = f"{self.origin}{STATUS_PATH}/{sequence // certificate.SIZE}"
        facts = self._facts(sequence, viewer)
        return certificate.issue_credential(facts, self.did, key, f"{self.did}#{name}", status_list_url=url)

    def status_list(self, number: int) -> dict[str, Json]:
        """The signed status list at the index's block. Raises NotFoundError for a list without any certificate yet."""
        self._verify_keys()
        with open_reader(self.store) as reader:
            cursor = reader.cursor
        # Built under the lock: concurrent requests for one list wait for a single build instead of repeating it.
        with self._lock:
            # Popped, and put back at the end: the dictionary is ordered by last use. No record announces that a
            # certificate lapses unopened, so the index digest alone does not tell whether a list is current.
            found, until = self._lists.pop((cursor.digest, number), (None, 0))
            if found is None or until <= cursor.block_time:
                found = self._build_list(number, cursor.ledger_sequence, cursor.block_time)
                until = self._next_lapse(cursor.block_time)
            self._lists[cursor.digest, number] = found, until
            while len(self._lists) > _MAX_LISTS:
                self._lists.popitem(last=False)
        return found

    def _next_lapse(self, block_time: int) -> float:
        """Block time at which the next certificate lapses because it was not opened, which no record announces."""
        with open_reader(self.store) as reader:
            demanded = reader.rows.find(CertificateRow, state=CertificateState.DEMANDED)
            deadlines = [row.opening_deadline for row in demanded]
        return min((one for one in deadlines if one > block_time), default=math.inf)

    def _build_list(self, number: int, last: int, block_time: int) -> dict[str, Json]:
        if number > last // certificate.SIZE:
            raise NotFoundError(f"status list {number} does not exist", hint="use the URL in a credential")
        name, key = next(iter(self.keys.items()))
        url = f"{self.origin}{STATUS_PATH}/{number}"
        made = datetime.fromtimestamp(block_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        unsigned = certificate.build_status_list(
            url, self.did, certificate.status_bits(number, read_statuses(self.store)), valid_from=made
        )
        return add_proof(unsigned, key, f"{self.did}#{name}", created=made)

    def _facts(self, sequence: int, viewer: int | None) -> certificate.CertificateFacts:
        # This query enforces the viewer's permission; the facts below are read without it.
        found = provenance.certificate(self.store, sequence, viewer=viewer)
        if self.participant not in (None, found.inspector.participant):
            raise NotFoundError(
                f"certificate {sequence} was issued by participant {found.inspector.participant}",
                hint="request it from that participant's gateway",
            )
        with open_reader(self.store) as reader:
            identity = reader.identity
        return read_facts(self.store, sequence, chain_id=identity.chain_id, ledger=identity.ledger)

    def _verify_keys(self) -> None:
        if not self.keys:
            raise NotFoundError("this gateway signs no credentials", hint="its operator must set credential_keys")
