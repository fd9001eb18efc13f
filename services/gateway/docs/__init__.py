"""The documentation of the HTTP API: the OpenAPI document, its page, and its examples."""
