"""Documentation of the HTTP API: the OpenAPI document, its HTML page, and the table in ACCESS.md."""

from __future__ import annotations

from millmark.services.gateway.docs.openapi import add_documentation, complete_document

__all__ = ["add_documentation", "complete_document"]
