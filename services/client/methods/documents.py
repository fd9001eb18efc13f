"""Methods of the API: documents. Written by scripts/generate_client: change the API, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from millmark.services.client.shapes import Document, NewWebhook, PageOfDocument, RecipientKey, Webhook, Webhooks
from millmark.services.client.transport import Methods

__all__ = ["DocumentsMethods"]


class DocumentsMethods(Methods):
    def iterate_documents(self, *, about: str | None = None, limit: int | None = None) -> Iterator[Document]:
        """All pages: List documents.

        GET /v1/documents
        """
        return self._pages("/v1/documents", about=about, limit=limit)

    def list_documents(
        self, *, about: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> PageOfDocument:
        """List documents.

        GET /v1/documents
        """
        return cast("PageOfDocument", self._ask("GET", "/v1/documents", about=about, limit=limit, cursor=cursor))

    def get_document(self, id: str) -> Document:
        """Get a document and its versions.

        GET /v1/documents/{id}
        """
        return cast("Document", self._ask("GET", f"/v1/documents/{self.quote(id)}"))

    def set_document_mode(self, id: str, *, mode: Literal["private", "restricted", "linked", "consortium"]) -> Document:
        """Change who may read a document.

        PATCH /v1/documents/{id}
        """
        return cast("Document", self._ask("PATCH", f"/v1/documents/{self.quote(id)}", body={"mode": mode}))

    def erase_document(self, id: str) -> Document:
        """Erase a document.

        DELETE /v1/documents/{id}
        """
        return cast("Document", self._ask("DELETE", f"/v1/documents/{self.quote(id)}"))

    def grant_document(self, id: str, participant: int) -> Document:
        """Grant a participant access.

        PUT /v1/documents/{id}/grants/{participant}
        """
        return cast("Document", self._ask("PUT", f"/v1/documents/{self.quote(id)}/grants/{self.quote(participant)}"))

    def revoke_document(self, id: str, participant: int) -> Document:
        """Revoke a participant's access.

        DELETE /v1/documents/{id}/grants/{participant}
        """
        return cast("Document", self._ask("DELETE", f"/v1/documents/{self.quote(id)}/grants/{self.quote(participant)}"))

    def publish_recipient_key(self, *, public_key: str, issued_at: int, signature: str) -> RecipientKey:
        """Publish your recipient key.

        PUT /v1/recipient-key
        """
        return cast(
            "RecipientKey",
            self._ask(
                "PUT",
                "/v1/recipient-key",
                body={"public_key": public_key, "issued_at": issued_at, "signature": signature},
            ),
        )

    def get_recipient_key(self, participant: int) -> RecipientKey:
        """Get a participant's recipient key.

        GET /v1/recipient-keys/{participant}
        """
        return cast("RecipientKey", self._ask("GET", f"/v1/recipient-keys/{self.quote(participant)}"))

    def list_webhooks(self) -> Webhooks:
        """List webhooks with their progress.

        GET /v1/webhooks
        """
        return cast("Webhooks", self._ask("GET", "/v1/webhooks"))

    def add_webhook(
        self,
        *,
        url: str,
        mode: Literal["structured", "binary"] | None = None,
        kinds: list[str] | None = None,
        subjects: list[str] | None = None,
        after: str | None = None,
    ) -> NewWebhook:
        """Add a webhook.

        POST /v1/webhooks
        """
        return cast(
            "NewWebhook",
            self._ask(
                "POST",
                "/v1/webhooks",
                body={"url": url, "mode": mode, "kinds": kinds, "subjects": subjects, "after": after},
            ),
        )

    def get_webhook(self, id: str) -> Webhook:
        """Get a webhook with its progress.

        GET /v1/webhooks/{id}
        """
        return cast("Webhook", self._ask("GET", f"/v1/webhooks/{self.quote(id)}"))

    def remove_webhook(self, id: str) -> None:
        """Remove a webhook.

        DELETE /v1/webhooks/{id}
        """
        self._ask("DELETE", f"/v1/webhooks/{self.quote(id)}")

    def resume_webhook(self, id: str) -> Webhook:
        """Resume a parked webhook.

        POST /v1/webhooks/{id}/resume
        """
        return cast("Webhook", self._ask("POST", f"/v1/webhooks/{self.quote(id)}/resume"))

    def renew_webhook_secret(self, id: str) -> NewWebhook:
        """Rotate the secret of a webhook.

        POST /v1/webhooks/{id}/secret
        """
        return cast("NewWebhook", self._ask("POST", f"/v1/webhooks/{self.quote(id)}/secret"))
