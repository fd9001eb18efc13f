"""Records that people ask for with the portal's forms: by the same service as the API's, idempotent like those."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from fastapi import Response
from pydantic import BaseModel

from millmark.ledger.records import Record
from millmark.ledger.store import Connection
from millmark.services.access import Principal
from millmark.services.gateway.http.errors import InFlightError, KeyReusedError
from millmark.services.gateway.http.idempotency import IdempotencyStore, KeyedRequest
from millmark.services.gateway.recording.attempts import Attempt
from millmark.services.gateway.recording.service import RecordingService, Wanted
from millmark.services.gateway.recording.views import RecordStatus
from millmark.services.gateway.recording.writes import WRITES, Write
from millmark.services.portal.acting.desk import FormUsedError, Preview, Wish

__all__ = ["FormDesk"]

_BY_OPERATION: Mapping[str, Write] = {write.operation: write for write in WRITES}
_Take: TypeAlias = Callable[[str], Response]
_TRIES, _PAUSE_S = 100, 0.05
"""How long a form that is sent twice at once waits for its first sending."""


class FormDesk:
    """Implements millmark.services.portal.acting.desk.Desk."""

    def __init__(self, service: RecordingService, idempotency: IdempotencyStore) -> None:
        self._service, self._idempotency = service, idempotency

    def may(self, principal: Principal, operation: str) -> bool:
        return self._service.recorder is not None and _BY_OPERATION[operation].rule.is_met_by(principal)

    def body(self, operation: str) -> type[BaseModel]:
        return _BY_OPERATION[operation].body

    def parameters(self, operation: str) -> tuple[str, ...]:
        return tuple(name for name in ("subject", "id") if f"{{{name}}}" in _BY_OPERATION[operation].path)

    def company(self, principal: Principal) -> int | None:
        return principal.participant if principal.participant is not None else self._service.company()

    def preview(self, wish: Wish, principal: Principal) -> Preview:
        record, builder = self._service.preview(_wanted(wish, _key(wish, principal), principal))
        identifiers = tuple(one.identifier for one in builder.identities)
        return Preview(record, identifiers, tuple(one.document for one in builder.documents))

    def find(self, wish: Wish, principal: Principal) -> int | None:
        asked = _key(wish, principal)
        found = self._service.find(Attempt(asked.token, asked.seed))
        return None if found is None else found.id

    def used(self, operation: str, key: str, principal: Principal) -> int | None:
        answer = self._idempotency.find(principal.participant or 0, _route(operation), key)
        return None if answer is None else _number(answer)

    def record(self, wish: Wish, principal: Principal) -> int:
        asked = _key(wish, principal)

        def take(_: str) -> Response:
            status = self._service.record(_wanted(wish, asked, principal))
            return Response(status_code=303, headers={"Location": f"/portal/records/{status.id}"})

        try:
            answer = self._respond(asked, take)
        except KeyReusedError as error:
            raise FormUsedError("the form was sent before, with other entries", hint="open the form again") from error
        return _number(answer)

    def seal(self, key: str, principal: Principal, write: Callable[[Connection], Record]) -> int:
        name = hashlib.sha256(f"{principal.participant or 0}\n{key}".encode()).hexdigest()
        return self._service.seal(f"form:{name}", principal, write).id

    def status(self, number: int) -> RecordStatus:
        return self._service.status(number)

    def _respond(self, asked: KeyedRequest, take: _Take) -> Response:
        for _ in range(_TRIES):
            try:
                return self._idempotency.respond(asked, take)
            except InFlightError:
                # Somebody pressed the button twice: the browser shows the second answer, which has to be the first's.
                time.sleep(_PAUSE_S)
        return self._idempotency.respond(asked, take)


def _wanted(wish: Wish, asked: KeyedRequest, principal: Principal) -> Wanted:
    attempt = Attempt(asked.token, asked.seed)
    return Wanted(_BY_OPERATION[wish.operation], attempt, wish.asked, wish.body, principal)


def _route(operation: str) -> str:
    """Under which answers are kept; no route of the API has such a name."""
    return f"form {operation}"


def _number(answer: Response) -> int:
    return int(answer.headers["location"].rpartition("/")[2])


def _key(wish: Wish, principal: Principal) -> KeyedRequest:
    parameters = "&".join(f"{name}={value}" for name, value in sorted(wish.asked.items()))
    digest = hashlib.sha256(f"{parameters}\n{wish.body.model_dump_json()}".encode()).digest()
    return KeyedRequest(principal.participant or 0, _route(wish.operation), wish.key, digest)
