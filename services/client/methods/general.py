"""Methods of the API: general. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

from millmark.services.client.shapes import (
    Caller,
    CauseFound,
    Contexts,
    FoundThings,
    GatewayStatus,
    Health,
    MessageToSign,
    Name,
    OpenedSession,
    OrderTrace,
    PageOfCauseFound,
    PageOfParticipant,
    PageOfRecordStatus,
    PageOfSetpointShown,
    Participant,
    PersonSession,
    Ready,
    Recall,
    RecordStatus,
    SetpointShown,
    Trace,
    WantedForecast,
    WantedValue,
)
from millmark.services.client.transport import Methods

__all__ = ["GeneralMethods"]


class GeneralMethods(Methods):
    def get_did_document(self) -> dict[str, Any]:
        """Get the company's DID document.

        GET /.well-known/did.json
        """
        return cast("dict[str, Any]", self._ask("GET", "/.well-known/did.json"))

    def get_health(self) -> Health:
        """Check that the process responds.

        GET /health
        """
        return cast("Health", self._ask("GET", "/health"))

    def get_readiness(self) -> Ready:
        """Check that the gateway does its work.

        GET /ready
        """
        return cast("Ready", self._ask("GET", "/ready"))

    def get_bundle(self, *, lot: list[str], disclose: list[str] | None = None) -> dict[str, Any]:
        """Get the provenance bundle of lots.

        GET /v1/bundles
        """
        return cast("dict[str, Any]", self._ask("GET", "/v1/bundles", lot=lot, disclose=disclose))

    def iterate_causes(self, *, limit: int | None = None) -> Iterator[CauseFound]:
        """All pages: List causes.

        GET /v1/causes
        """
        return self._pages("/v1/causes", limit=limit)

    def list_causes(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfCauseFound:
        """List causes.

        GET /v1/causes
        """
        return cast("PageOfCauseFound", self._ask("GET", "/v1/causes", limit=limit, cursor=cursor))

    def report_cause(self, *, machine: int, kind: str, text: str) -> CauseFound:
        """Report a cause.

        POST /v1/causes
        """
        return cast(
            "CauseFound", self._ask("POST", "/v1/causes", body={"machine": machine, "kind": kind, "text": text})
        )

    def get_cause(self, id: str) -> CauseFound:
        """Get a cause.

        GET /v1/causes/{id}
        """
        return cast("CauseFound", self._ask("GET", f"/v1/causes/{self.quote(id)}"))

    def dismiss_cause(self, id: str, *, reason: str) -> CauseFound:
        """Dismiss a cause.

        POST /v1/causes/{id}/dismissal
        """
        return cast("CauseFound", self._ask("POST", f"/v1/causes/{self.quote(id)}/dismissal", body={"reason": reason}))

    def list_contexts(self) -> Contexts:
        """List JSON-LD contexts.

        GET /v1/contexts
        """
        return cast("Contexts", self._ask("GET", "/v1/contexts"))

    def get_context(self, name: str) -> dict[str, Any]:
        """Get a JSON-LD context.

        GET /v1/contexts/{name}
        """
        return cast("dict[str, Any]", self._ask("GET", f"/v1/contexts/{self.quote(name)}"))

    def get_directory(self) -> dict[str, Any]:
        """Get the directory of participants.

        GET /v1/directory
        """
        return cast("dict[str, Any]", self._ask("GET", "/v1/directory"))

    def make_name(self, *, kind: Literal["order", "lot", "stream", "machine"], identifier: str) -> Name:
        """Name a thing that the company is going to record.

        POST /v1/names
        """
        return cast("Name", self._ask("POST", "/v1/names", body={"kind": kind, "identifier": identifier}))

    def note(
        self,
        *,
        subjects: list[str],
        kind: int,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Say something about orders or lots that your company has a part in.

        POST /v1/notes
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/notes",
                body={"subjects": subjects, "kind": kind, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def iterate_participants(self, *, limit: int | None = None) -> Iterator[Participant]:
        """All pages: List participants.

        GET /v1/participants
        """
        return self._pages("/v1/participants", limit=limit)

    def list_participants(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfParticipant:
        """List participants.

        GET /v1/participants
        """
        return cast("PageOfParticipant", self._ask("GET", "/v1/participants", limit=limit, cursor=cursor))

    def get_participant(self, number: int) -> Participant:
        """Get a participant.

        GET /v1/participants/{number}
        """
        return cast("Participant", self._ask("GET", f"/v1/participants/{self.quote(number)}"))

    def open_person_session(self, *, code: str, verifier: str) -> PersonSession:
        """Sign in a person's program.

        POST /v1/people/sessions
        """
        return cast(
            "PersonSession", self._ask("POST", "/v1/people/sessions", body={"code": code, "verifier": verifier})
        )

    def recall(
        self,
        *,
        model: int | None = None,
        lot: str | None = None,
        machine: str | None = None,
        since: str | None = None,
        until: str | None = None,
        depth: int | None = None,
        lots: int | None = None,
    ) -> Recall:
        """Find what a bad model, lot or machine affected.

        GET /v1/recall
        """
        return cast(
            "Recall",
            self._ask(
                "GET",
                "/v1/recall",
                model=model,
                lot=lot,
                machine=machine,
                since=since,
                until=until,
                depth=depth,
                lots=lots,
            ),
        )

    def iterate_records(
        self,
        *,
        state: Literal[
            "queued", "paused", "blocked", "nonced", "signed", "sent", "mined", "final", "failed", "cancelled"
        ]
        | None = None,
        limit: int | None = None,
    ) -> Iterator[RecordStatus]:
        """All pages: List the company's records with their status.

        GET /v1/records
        """
        return self._pages("/v1/records", state=state, limit=limit)

    def list_records(
        self,
        *,
        state: Literal[
            "queued", "paused", "blocked", "nonced", "signed", "sent", "mined", "final", "failed", "cancelled"
        ]
        | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfRecordStatus:
        """List the company's records with their status.

        GET /v1/records
        """
        return cast("PageOfRecordStatus", self._ask("GET", "/v1/records", state=state, limit=limit, cursor=cursor))

    def get_record(self, id: int) -> RecordStatus:
        """Get the status of a record.

        GET /v1/records/{id}
        """
        return cast("RecordStatus", self._ask("GET", f"/v1/records/{self.quote(id)}"))

    def object_to_recovery(self, *, key: str | None = None) -> RecordStatus:
        """Object to the recovery of your company's keys.

        POST /v1/recovery/objection
        """
        return cast("RecordStatus", self._ask("POST", "/v1/recovery/objection", body={}, key=self.key(key)))

    def search(self, *, text: str) -> FoundThings:
        """Find what a text names.

        GET /v1/search
        """
        return cast("FoundThings", self._ask("GET", "/v1/search", text=text))

    def get_session(self) -> Caller:
        """Get the caller's identity.

        GET /v1/session
        """
        return cast("Caller", self._ask("GET", "/v1/session"))

    def close_session(self) -> None:
        """Sign out.

        DELETE /v1/session
        """
        self._ask("DELETE", "/v1/session")

    def open_session(self, *, message: str, signature: str) -> OpenedSession:
        """Sign in with a signed message.

        POST /v1/sessions
        """
        return cast(
            "OpenedSession", self._ask("POST", "/v1/sessions", body={"message": message, "signature": signature})
        )

    def iterate_setpoints(self, *, limit: int | None = None) -> Iterator[SetpointShown]:
        """All pages: List proposed setpoints.

        GET /v1/setpoints
        """
        return self._pages("/v1/setpoints", limit=limit)

    def list_setpoints(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfSetpointShown:
        """List proposed setpoints.

        GET /v1/setpoints
        """
        return cast("PageOfSetpointShown", self._ask("GET", "/v1/setpoints", limit=limit, cursor=cursor))

    def propose_setpoint(
        self,
        *,
        machine: int,
        model: str,
        values: list[WantedValue],
        horizon_s: int,
        expected: WantedForecast,
        kept: WantedForecast,
        unit: str,
        cause: str | None = None,
        open_s: int | None = None,
        stream: str | None = None,
    ) -> SetpointShown:
        """Propose setpoints for a machine.

        POST /v1/setpoints
        """
        return cast(
            "SetpointShown",
            self._ask(
                "POST",
                "/v1/setpoints",
                body={
                    "machine": machine,
                    "model": model,
                    "values": values,
                    "horizon_s": horizon_s,
                    "expected": expected,
                    "kept": kept,
                    "unit": unit,
                    "cause": cause,
                    "open_s": open_s,
                    "stream": stream,
                },
            ),
        )

    def get_setpoint(self, id: int) -> SetpointShown:
        """Get proposed setpoints.

        GET /v1/setpoints/{id}
        """
        return cast("SetpointShown", self._ask("GET", f"/v1/setpoints/{self.quote(id)}"))

    def answer_setpoint(
        self, id: int, *, answer: str, reason_text: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Accept or refuse proposed setpoints.

        POST /v1/setpoints/{id}/answer
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/setpoints/{self.quote(id)}/answer",
                body={"answer": answer, "reason_text": reason_text},
                key=self.key(key),
            ),
        )

    def offer_sign_in(self, *, address: str) -> MessageToSign:
        """Get a message to sign in with.

        GET /v1/sign-in
        """
        return cast("MessageToSign", self._ask("GET", "/v1/sign-in", address=address))

    def get_status(self) -> GatewayStatus:
        """Get the progress of index, chain and outbox.

        GET /v1/status
        """
        return cast("GatewayStatus", self._ask("GET", "/v1/status"))

    def get_status_list(self, number: int) -> dict[str, Any]:
        """Get a credential status list.

        GET /v1/status-lists/{number}
        """
        return cast("dict[str, Any]", self._ask("GET", f"/v1/status-lists/{self.quote(number)}"))

    def supersede(
        self,
        *,
        subject: str,
        sequence: int,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Correct an earlier record of your company.

        POST /v1/supersessions
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/supersessions",
                body={"subject": subject, "sequence": sequence, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def trace_lot_or_order(
        self,
        identifier: str,
        *,
        direction: Literal["up", "down", "both"] | None = None,
        depth: int | None = None,
        lots: int | None = None,
    ) -> Trace | OrderTrace:
        """Trace a lot or an order.

        GET /v1/trace/{identifier}
        """
        return cast(
            "Trace | OrderTrace",
            self._ask("GET", f"/v1/trace/{self.quote(identifier)}", direction=direction, depth=depth, lots=lots),
        )

    def get_trust(self, *, quorum: int | None = None, validators: bool | None = None) -> dict[str, Any]:
        """Get a trust file.

        GET /v1/trust
        """
        return cast("dict[str, Any]", self._ask("GET", "/v1/trust", quorum=quorum, validators=validators))
