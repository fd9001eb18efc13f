"""Methods of the API: machines. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from millmark.services.client.shapes import (
    Anchor,
    ConsistencyProof,
    InclusionProof,
    OpenedStream,
    PageOfAnchor,
    PageOfOpenedStream,
    PageOfRegisteredMachine,
    RecordStatus,
    RegisteredMachine,
    Stream,
)
from millmark.services.client.transport import Methods

__all__ = ["MachinesMethods"]


class MachinesMethods(Methods):
    def iterate_machines(
        self, *, owner: int | None = None, identifier: str | None = None, limit: int | None = None
    ) -> Iterator[RegisteredMachine]:
        """All pages: List machines.

        GET /v1/machines
        """
        return self._pages("/v1/machines", owner=owner, identifier=identifier, limit=limit)

    def list_machines(
        self,
        *,
        owner: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfRegisteredMachine:
        """List machines.

        GET /v1/machines
        """
        return cast(
            "PageOfRegisteredMachine",
            self._ask("GET", "/v1/machines", owner=owner, identifier=identifier, limit=limit, cursor=cursor),
        )

    def register_machine(
        self,
        *,
        identifier: str,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Register a machine.

        POST /v1/machines
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/machines",
                body={"identifier": identifier, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def get_machine(self, id: int) -> RegisteredMachine:
        """Get a machine.

        GET /v1/machines/{id}
        """
        return cast("RegisteredMachine", self._ask("GET", f"/v1/machines/{self.quote(id)}"))

    def retire_machine(
        self, id: int, *, reason: dict[str, Any] | None = None, reason_root: str | None = None, key: str | None = None
    ) -> RecordStatus:
        """Retire a machine.

        POST /v1/machines/{id}/retire
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/machines/{self.quote(id)}/retire",
                body={"reason": reason, "reason_root": reason_root},
                key=self.key(key),
            ),
        )

    def mend_machine(self, machine: int, *, reason: str, overhauled: bool | None = None) -> None:
        """Say that a machine is mended.

        POST /v1/machines/{machine}/mended
        """
        self._ask(
            "POST", f"/v1/machines/{self.quote(machine)}/mended", body={"reason": reason, "overhauled": overhauled}
        )

    def iterate_streams(
        self,
        *,
        machine: int | None = None,
        owner: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
    ) -> Iterator[OpenedStream]:
        """All pages: List evidence streams.

        GET /v1/streams
        """
        return self._pages("/v1/streams", machine=machine, owner=owner, identifier=identifier, limit=limit)

    def list_streams(
        self,
        *,
        machine: int | None = None,
        owner: int | None = None,
        identifier: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> PageOfOpenedStream:
        """List evidence streams.

        GET /v1/streams
        """
        return cast(
            "PageOfOpenedStream",
            self._ask(
                "GET", "/v1/streams", machine=machine, owner=owner, identifier=identifier, limit=limit, cursor=cursor
            ),
        )

    def open_stream(
        self,
        *,
        identifier: str,
        machine: int,
        claims: dict[str, Any] | None = None,
        claims_root: str | None = None,
        key: str | None = None,
    ) -> RecordStatus:
        """Open an evidence stream for a machine, or for none.

        POST /v1/streams
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                "/v1/streams",
                body={"identifier": identifier, "machine": machine, "claims": claims, "claims_root": claims_root},
                key=self.key(key),
            ),
        )

    def get_stream(self, subject: str) -> Stream:
        """Get an evidence stream.

        GET /v1/streams/{subject}
        """
        return cast("Stream", self._ask("GET", f"/v1/streams/{self.quote(subject)}"))

    def iterate_anchors(self, subject: str, *, limit: int | None = None) -> Iterator[Anchor]:
        """All pages: List the anchors of an evidence stream.

        GET /v1/streams/{subject}/anchors
        """
        return self._pages(f"/v1/streams/{self.quote(subject)}/anchors", limit=limit)

    def list_anchors(self, subject: str, *, limit: int | None = None, cursor: str | None = None) -> PageOfAnchor:
        """List the anchors of an evidence stream.

        GET /v1/streams/{subject}/anchors
        """
        return cast(
            "PageOfAnchor", self._ask("GET", f"/v1/streams/{self.quote(subject)}/anchors", limit=limit, cursor=cursor)
        )

    def anchor(self, subject: str, *, size: int, root: str, key: str | None = None) -> RecordStatus:
        """Anchor an evidence stream.

        POST /v1/streams/{subject}/anchors
        """
        return cast(
            "RecordStatus",
            self._ask(
                "POST",
                f"/v1/streams/{self.quote(subject)}/anchors",
                body={"size": size, "root": root},
                key=self.key(key),
            ),
        )

    def prove_consistency(self, subject: str, *, first: int, second: int) -> ConsistencyProof:
        """Prove that a stream has only grown.

        GET /v1/streams/{subject}/consistency
        """
        return cast(
            "ConsistencyProof",
            self._ask("GET", f"/v1/streams/{self.quote(subject)}/consistency", first=first, second=second),
        )

    def prove_inclusion(self, subject: str, *, index: int, anchor: int) -> InclusionProof:
        """Prove that an entry is in a stream.

        GET /v1/streams/{subject}/inclusion
        """
        return cast(
            "InclusionProof",
            self._ask("GET", f"/v1/streams/{self.quote(subject)}/inclusion", index=index, anchor=anchor),
        )
