"""Methods of the API: lots. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

from millmark.services.client.shapes import (
    CustodyChange,
    InputBody,
    Lot,
    LotFootprint,
    OutputBody,
    PageOfCustodyChange,
    PageOfLot,
    RecordStatus,
)
from millmark.services.client.transport import Methods

__all__ = ["LotsMethods"]


class LotsMethods(Methods):
    def iterate_lots(
        self,
        *,
        state: Literal["held", "offered", "quarantined", "spent", "returning"] | None = None,
        custodian: int | None = None,
        order: str | None = None,
        assignment: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Lot]:
        """All pages: List lots.

        GET /v1/lots
        """
        return self._pages(
            "/v1/lots",
            state=state,
            custodian=custodian,
            order=order,
            assignment=assignment,
            identifier=identifier,
            limit=limit,
        )

    def list_lots(
        self,
        *,
        state: Literal["held", "offered", "quarantined", "spent", "returning"] | None = None,
        custodian: int | None = None,
        order: str | None = None,
        assignment: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfLot:
        """List lots.

        GET /v1/lots
        """
        return cast(
            "PageOfLot",
            self._ask(
                "GET",
                "/v1/lots",
                state=state,
                custodian=custodian,
                order=order,
                assignment=assignment,
                identifier=identifier,
                limit=limit,
                cursor=cursor,
            ),
        )

    def commission_lot(
        self,
        *,
        identifier: str,
        order: str,
        operation: int,
        quantity: int,
        unit: str,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Create a lot under an assignment.

        POST /v1/lots/commission
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/lots/commission",
                body={
                    "identifier": identifier,
                    "order": order,
                    "operation": operation,
                    "quantity": quantity,
                    "unit": unit,
                    "claims": claims,
                    "claims_root": claims_root,
                },
                key=self.key(key),
            ),
        )

    def receive_lot(
        self,
        *,
        identifier: str,
        quantity: int,
        unit: str,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Receive a lot from outside.

        POST /v1/lots/receive
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/lots/receive",
                body={
                    "identifier": identifier,
                    "quantity": quantity,
                    "unit": unit,
                    "claims": claims,
                    "claims_root": claims_root,
                },
                key=self.key(key),
            ),
        )

    def transform_lots(
        self,
        *,
        kind: str,
        operation: int,
        unit: str,
        output_unit: str,
        loss: int,
        yield_in: int,
        yield_out: int,
        inputs: list[InputBody],
        outputs: list[OutputBody],
        order: str | None = None,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Split, merge, convert or rework lots.

        POST /v1/lots/transform
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/lots/transform",
                body={
                    "kind": kind,
                    "order": order,
                    "operation": operation,
                    "unit": unit,
                    "output_unit": output_unit,
                    "loss": loss,
                    "yield_in": yield_in,
                    "yield_out": yield_out,
                    "claims": claims,
                    "claims_root": claims_root,
                    "inputs": inputs,
                    "outputs": outputs,
                },
                key=self.key(key),
            ),
        )

    def get_lot(self, subject: str) -> Lot:
        """Get a lot.

        GET /v1/lots/{subject}
        """
        return cast("Lot", self._ask("GET", f"/v1/lots/{self.quote(subject)}"))

    def iterate_custody(self, subject: str, *, limit: int | None = None) -> Iterator[CustodyChange]:
        """All pages: List a lot's changes of custody.

        GET /v1/lots/{subject}/custody
        """
        return self._pages(f"/v1/lots/{self.quote(subject)}/custody", limit=limit)

    def list_custody(self, subject: str, *, limit: int | None = None, cursor: str | None = None) -> PageOfCustodyChange:
        """List a lot's changes of custody.

        GET /v1/lots/{subject}/custody
        """
        return cast(
            "PageOfCustodyChange",
            self._ask("GET", f"/v1/lots/{self.quote(subject)}/custody", limit=limit, cursor=cursor),
        )

    def decline_custody(
        self,
        subject: str,
        *,
        offer: int,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Decline an offered lot.

        POST /v1/lots/{subject}/custody/decline
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/custody/decline",
                body={"offer": offer, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def withdraw_custody(
        self,
        subject: str,
        *,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Withdraw the offer of a lot.

        POST /v1/lots/{subject}/custody/withdraw
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/custody/withdraw",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def deallocate_lot(
        self,
        subject: str,
        *,
        order: str | None = None,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Take a lot out of its order, into stock.

        POST /v1/lots/{subject}/deallocate
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/deallocate",
                body={"order": order, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def get_footprint(self, subject: str) -> LotFootprint:
        """Get the energy and emissions of a lot.

        GET /v1/lots/{subject}/footprint
        """
        return cast("LotFootprint", self._ask("GET", f"/v1/lots/{self.quote(subject)}/footprint"))

    def pack_lots(self, subject: str, *, lots: list[str], key: str | None = None) -> RecordStatus:
        """Pack lots into this one.

        POST /v1/lots/{subject}/pack
        """
        return cast(
            "RecordStatus",
            self._ask("POST", f"/v1/lots/{self.quote(subject)}/pack", body={"lots": lots}, key=self.key(key)),
        )

    def quarantine_lot(
        self,
        subject: str,
        *,
        order: str | None = None,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Quarantine a lot.

        POST /v1/lots/{subject}/quarantine
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/quarantine",
                body={"order": order, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def release_lot(
        self,
        subject: str,
        *,
        order: str | None = None,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Release a lot from quarantine.

        POST /v1/lots/{subject}/release
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/release",
                body={"order": order, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def return_lot(
        self,
        subject: str,
        *,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Offer a quarantined lot to its maker.

        POST /v1/lots/{subject}/return
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/return",
                body={"claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def rework_lot(
        self,
        subject: str,
        *,
        operation: int,
        order: str | None = None,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        components: list[InputBody] | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Record the rework of a lot that keeps its identifier.

        POST /v1/lots/{subject}/rework
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/rework",
                body={
                    "order": order,
                    "operation": operation,
                    "claims": claims,
                    "claims_root": claims_root,
                    "components": components,
                },
                key=self.key(key),
            ),
        )

    def scrap_lot(
        self,
        subject: str,
        *,
        quantity: int,
        disposition: str,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Take some of a lot out for good: scrapped, exported, sold, lost or recycled.

        POST /v1/lots/{subject}/scrap
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/scrap",
                body={"quantity": quantity, "disposition": disposition, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def unpack_lots(self, subject: str, *, lots: list[str], key: str | None = None) -> RecordStatus:
        """Unpack lots from this one.

        POST /v1/lots/{subject}/unpack
        """
        return cast(
            "RecordStatus",
            self._ask("POST", f"/v1/lots/{self.quote(subject)}/unpack", body={"lots": lots}, key=self.key(key)),
        )

    def waive_gate(
        self,
        subject: str,
        *,
        inspector: int,
        order: str | None = None,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Take a lot without what one gate of its order asks for.

        POST /v1/lots/{subject}/waive
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/lots/{self.quote(subject)}/waive",
                body={"order": order, "inspector": inspector, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )
