"""The documentation of the HTTP API: the OpenAPI document, its page, and the table of ACCESS.md."""

from __future__ import annotations

from services.gateway.docs.documentation import add_documentation
from services.gateway.docs.openapi import complete_document

__all__ = ["add_documentation", "complete_document"]
