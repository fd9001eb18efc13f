"""Methods of the API: orders. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

from millmark.services.client.shapes import (
    Assignment,
    AssignmentEnergy,
    InclusionProof,
    Order,
    OrderTermsBody,
    PageOfAssignment,
    PageOfOrder,
    RecordStatus,
)
from millmark.services.client.transport import Methods

__all__ = ["OrdersMethods"]


class OrdersMethods(Methods):
    def iterate_assignments(
        self,
        *,
        order: str | None = None,
        machine: int | None = None,
        owner: int | None = None,
        state: Literal["proposed", "accepted", "declined", "started", "finished", "cancelled"] | None = None,
        limit: int | None = None,
    ) -> Iterator[Assignment]:
        """All pages: List assignments.

        GET /v1/assignments
        """
        return self._pages("/v1/assignments", order=order, machine=machine, owner=owner, state=state, limit=limit)

    def list_assignments(
        self,
        *,
        order: str | None = None,
        machine: int | None = None,
        owner: int | None = None,
        state: Literal["proposed", "accepted", "declined", "started", "finished", "cancelled"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfAssignment:
        """List assignments.

        GET /v1/assignments
        """
        return cast(
            "PageOfAssignment",
            self._ask(
                "GET",
                "/v1/assignments",
                order=order,
                machine=machine,
                owner=owner,
                state=state,
                limit=limit,
                cursor=cursor,
            ),
        )

    def propose_assignment(
        self,
        *,
        order: str,
        operation: int,
        machine: int,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Assign an operation of an order to a machine.

        POST /v1/assignments
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/assignments",
                body={
                    "order": order,
                    "operation": operation,
                    "machine": machine,
                    "claims": claims,
                    "claims_root": claims_root,
                },
                key=self.key(key),
            ),
        )

    def get_assignment(self, id: int) -> Assignment:
        """Get an assignment.

        GET /v1/assignments/{id}
        """
        return cast("Assignment", self._ask("GET", f"/v1/assignments/{self.quote(id)}"))

    def accept_assignment(
        self, id: int, *, claims: dict[str, Any] | None = None, claims_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Accept an assignment.

        POST /v1/assignments/{id}/accept
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/assignments/{self.quote(id)}/accept",
                body={"claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def cancel_assignment(
        self, id: int, *, reason: dict[str, Any] | None = None, reason_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Cancel an assignment.

        POST /v1/assignments/{id}/cancel
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/assignments/{self.quote(id)}/cancel",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def decline_assignment(
        self, id: int, *, reason: dict[str, Any] | None = None, reason_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Decline an assignment.

        POST /v1/assignments/{id}/decline
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/assignments/{self.quote(id)}/decline",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def prove_assignment(self, id: int) -> InclusionProof:
        """Prove the evidence of a finished assignment.

        GET /v1/assignments/{id}/evidence
        """
        return cast("InclusionProof", self._ask("GET", f"/v1/assignments/{self.quote(id)}/evidence"))

    def finish_assignment(
        self,
        id: int,
        *,
        event: str | None = None,
        stream: str | None = None,
        leaf_index: int | None = None,
        leaf_hash: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Finish an assignment, with its evidence.

        POST /v1/assignments/{id}/finish
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/assignments/{self.quote(id)}/finish",
                body={"event": event, "stream": stream, "leaf_index": leaf_index, "leaf_hash": leaf_hash},
                key=self.key(key),
            ),
        )

    def get_assignment_energy(self, id: int) -> AssignmentEnergy:
        """Get the metered energy of an assignment.

        GET /v1/assignments/{id}/registers
        """
        return cast("AssignmentEnergy", self._ask("GET", f"/v1/assignments/{self.quote(id)}/registers"))

    def read_register(
        self,
        id: int,
        *,
        moment: str,
        register_wh: int,
        quantity: int | None = None,
        reset: list[int] | None = None,
        stream: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Read the energy register of an assignment's machine.

        POST /v1/assignments/{id}/registers
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/assignments/{self.quote(id)}/registers",
                body={
                    "moment": moment,
                    "register_wh": register_wh,
                    "quantity": quantity,
                    "reset": reset,
                    "stream": stream,
                },
                key=self.key(key),
            ),
        )

    def start_assignment(
        self,
        id: int,
        *,
        stream: str,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Start an assignment.

        POST /v1/assignments/{id}/start
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/assignments/{self.quote(id)}/start",
                body={"stream": stream, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def iterate_orders(
        self,
        *,
        state: Literal[
            "placed", "accepted", "rejected", "in_production", "completed", "delivered", "cancelled", "ended"
        ]
        | None = None,
        buyer: int | None = None,
        coordinator: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Order]:
        """All pages: List orders.

        GET /v1/orders
        """
        return self._pages(
            "/v1/orders", state=state, buyer=buyer, coordinator=coordinator, identifier=identifier, limit=limit
        )

    def list_orders(
        self,
        *,
        state: Literal[
            "placed", "accepted", "rejected", "in_production", "completed", "delivered", "cancelled", "ended"
        ]
        | None = None,
        buyer: int | None = None,
        coordinator: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfOrder:
        """List orders.

        GET /v1/orders
        """
        return cast(
            "PageOfOrder",
            self._ask(
                "GET",
                "/v1/orders",
                state=state,
                buyer=buyer,
                coordinator=coordinator,
                identifier=identifier,
                limit=limit,
                cursor=cursor,
            ),
        )

    def place_order(self, *, identifier: str, terms: OrderTermsBody, key: str | None = None) -> RecordStatus:
        """Place an order.

        POST /v1/orders
        """
        return cast(
            "RecordStatus",
            self._ask("POST", "/v1/orders", body={"identifier": identifier, "terms": terms}, key=self.key(key)),
        )

    def get_order(self, subject: str) -> Order:
        """Get an order.

        GET /v1/orders/{subject}
        """
        return cast("Order", self._ask("GET", f"/v1/orders/{self.quote(subject)}"))

    def accept_order(
        self,
        subject: str,
        *,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Accept an order.

        POST /v1/orders/{subject}/accept
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/accept",
                body={"claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def allocate_lot(
        self,
        subject: str,
        *,
        lot: str,
        operation: int,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Allocate a lot of no order to an order.

        POST /v1/orders/{subject}/allocate
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/allocate",
                body={"lot": lot, "operation": operation, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def cancel_order(
        self,
        subject: str,
        *,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Cancel an order.

        POST /v1/orders/{subject}/cancel
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/cancel",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def complete_order(
        self,
        subject: str,
        *,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Declare an order complete.

        POST /v1/orders/{subject}/complete
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/complete",
                body={"claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def confirm_delivery(
        self,
        subject: str,
        *,
        lots: list[str] | None = None,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Confirm that an order was delivered, with the lots that were.

        POST /v1/orders/{subject}/confirm-delivery
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/confirm-delivery",
                body={"lots": lots, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def propose_end(
        self,
        subject: str,
        *,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Propose to end an order in production.

        POST /v1/orders/{subject}/ends
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/ends",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def end_order(
        self,
        subject: str,
        id: int,
        *,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """End an order as proposed, by the other side, or alone once that is gone; 0 when both sides are.

        POST /v1/orders/{subject}/ends/{id}/accept
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/ends/{self.quote(id)}/accept",
                body={"claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def reject_order(
        self,
        subject: str,
        *,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Reject an order.

        POST /v1/orders/{subject}/reject
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/reject",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def propose_revision(self, subject: str, *, terms: OrderTermsBody, key: str | None = None) -> RecordStatus:
        """Propose a revision of an order.

        POST /v1/orders/{subject}/revisions
        """
        return cast(
            "RecordStatus",
            self._ask("POST", f"/v1/orders/{self.quote(subject)}/revisions", body={"terms": terms}, key=self.key(key)),
        )

    def accept_revision(self, subject: str, id: int, *, key: str | None = None) -> RecordStatus:
        """Accept a proposed revision of an order.

        POST /v1/orders/{subject}/revisions/{id}/accept
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/orders/{self.quote(subject)}/revisions/{self.quote(id)}/accept",
                body={},
                key=self.key(key),
            ),
        )
