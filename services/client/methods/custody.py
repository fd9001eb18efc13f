"""Methods of the API: custody. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from typing import Any, cast

from millmark.services.client.shapes import RecordStatus
from millmark.services.client.transport import Methods

__all__ = ["CustodyMethods"]


class CustodyMethods(Methods):
    def accept_custody(
        self,
        *,
        lots: list[str],
        offer: int,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Accept offered lots.

        POST /v1/custody/accept
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/custody/accept",
                body={"lots": lots, "offer": offer, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def accept_in_part(
        self,
        *,
        lots: list[str],
        offer: int,
        accepted: int,
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Accept offered lots, of which some are missing or bad.

        POST /v1/custody/accept-in-part
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/custody/accept-in-part",
                body={"lots": lots, "offer": offer, "accepted": accepted, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def offer_custody(
        self,
        *,
        lots: list[str],
        to: int,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Offer lots to another company, or return them.

        POST /v1/custody/offer
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/custody/offer",
                body={"lots": lots, "to": to, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def reclaim_custody(
        self,
        *,
        lots: list[str],
        reason: dict[str, Any] | None = None,
        reason_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Reclaim lots from a company that has not been able to act for 14 days.

        POST /v1/custody/reclaim
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/custody/reclaim",
                body={"lots": lots, "reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )
