"""Methods of the API: inspections. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

from millmark.services.client.shapes import (
    Certificate,
    InclusionProof,
    Model,
    PageOfCertificate,
    PageOfModel,
    RecordStatus,
)
from millmark.services.client.transport import Methods

__all__ = ["InspectionsMethods"]


class InspectionsMethods(Methods):
    def iterate_certificates(
        self,
        *,
        lot: str | None = None,
        inspector: int | None = None,
        model: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Certificate]:
        """All pages: List certificates.

        GET /v1/certificates
        """
        return self._pages("/v1/certificates", lot=lot, inspector=inspector, model=model, limit=limit)

    def list_certificates(
        self,
        *,
        lot: str | None = None,
        inspector: int | None = None,
        model: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfCertificate:
        """List certificates.

        GET /v1/certificates
        """
        return cast(
            "PageOfCertificate",
            self._ask("GET", "/v1/certificates", lot=lot, inspector=inspector, model=model, limit=limit, cursor=cursor),
        )

    def issue_certificate(
        self,
        *,
        lots: list[str],
        model: int,
        verdict: str,
        expires_at: str,
        inference_digest: str,
        stream: str,
        event: str | None = None,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        leaf_index: int | None = None,
        leaf_hash: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Issue a certificate.

        POST /v1/certificates
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/certificates",
                body={
                    "event": event,
                    "lots": lots,
                    "model": model,
                    "verdict": verdict,
                    "expires_at": expires_at,
                    "inference_digest": inference_digest,
                    "claims": claims,
                    "claims_root": claims_root,
                    "stream": stream,
                    "leaf_index": leaf_index,
                    "leaf_hash": leaf_hash,
                },
                key=self.key(key),
            ),
        )

    def get_certificate(self, id: int) -> Certificate:
        """Get a certificate and its validity.

        GET /v1/certificates/{id}
        """
        return cast("Certificate", self._ask("GET", f"/v1/certificates/{self.quote(id)}"))

    def get_credential(self, id: int) -> dict[str, Any]:
        """Get a certificate as a verifiable credential.

        GET /v1/certificates/{id}/credential
        """
        return cast("dict[str, Any]", self._ask("GET", f"/v1/certificates/{self.quote(id)}/credential"))

    def demand_opening(self, id: int, *, key: str | None = None) -> RecordStatus:
        """Demand the opening of a certificate's inference.

        POST /v1/certificates/{id}/demand-opening
        """
        return cast(
            "RecordStatus",
            self._ask("POST", f"/v1/certificates/{self.quote(id)}/demand-opening", body={}, key=self.key(key)),
        )

    def prove_certificate(self, id: int) -> InclusionProof:
        """Prove the evidence of a certificate.

        GET /v1/certificates/{id}/evidence
        """
        return cast("InclusionProof", self._ask("GET", f"/v1/certificates/{self.quote(id)}/evidence"))

    def open_certificate(self, id: int, *, publish_window: bool, key: str | None = None) -> RecordStatus:
        """Open a certificate of your company, as is demanded, which publishes what was measured.

        POST /v1/certificates/{id}/open
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/certificates/{self.quote(id)}/open",
                body={"publish_window": publish_window},
                key=self.key(key),
            ),
        )

    def revoke_certificate(
        self, id: int, *, reason: dict[str, Any] | None = None, reason_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Revoke a certificate.

        POST /v1/certificates/{id}/revoke
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/certificates/{self.quote(id)}/revoke",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def iterate_models(
        self,
        *,
        state: Literal["registered", "approved", "retired", "withdrawn"] | None = None,
        inspector: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Model]:
        """All pages: List quality models.

        GET /v1/models
        """
        return self._pages("/v1/models", state=state, inspector=inspector, limit=limit)

    def list_models(
        self,
        *,
        state: Literal["registered", "approved", "retired", "withdrawn"] | None = None,
        inspector: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfModel:
        """List quality models.

        GET /v1/models
        """
        return cast(
            "PageOfModel", self._ask("GET", "/v1/models", state=state, inspector=inspector, limit=limit, cursor=cursor)
        )

    def register_model(
        self, *, digest: str, card: dict[str, Any] | None = None, card_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Register a quality model by its digest.

        POST /v1/models
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST", "/v1/models", body={"digest": digest, "card": card, "card_root": card_root}, key=self.key(key)
            ),
        )

    def publish_model(
        self, *, content: str, card: dict[str, Any] | None = None, card_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Register a quality model and publish it on the chain.

        POST /v1/models/publish
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/models/publish",
                body={"content": content, "card": card, "card_root": card_root},
                key=self.key(key),
            ),
        )

    def get_model(self, id: int) -> Model:
        """Get a quality model.

        GET /v1/models/{id}
        """
        return cast("Model", self._ask("GET", f"/v1/models/{self.quote(id)}"))

    def approve_model(
        self, id: int, *, report: dict[str, Any] | None = None, report_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Approve a quality model.

        POST /v1/models/{id}/approve
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/models/{self.quote(id)}/approve",
                body={"report": report, "report_root": report_root},
                key=self.key(key),
            ),
        )

    def open_model(self, id: int, *, open: bool | None = None, key: str | None = None) -> RecordStatus:
        """Open a quality model to other inspectors, or close it.

        POST /v1/models/{id}/open
        """
        return cast(
            "RecordStatus",
            self._ask("POST", f"/v1/models/{self.quote(id)}/open", body={"open": open}, key=self.key(key)),
        )

    def retire_model(
        self, id: int, *, reason: dict[str, Any] | None = None, reason_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Retire a quality model: its verdicts stand.

        POST /v1/models/{id}/retire
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/models/{self.quote(id)}/retire",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def withdraw_model(
        self,
        id: int,
        *,
        defective_since: str,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Withdraw a quality model.

        POST /v1/models/{id}/withdraw
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/models/{self.quote(id)}/withdraw",
                body={"defective_since": defective_since, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )
