"""Stored responses to writes, by the caller's idempotency key.

The gateway replays them (millmark.services.gateway.http.middleware). They are a package of their own because erasing a
document, over HTTP or not, has to delete the responses that mention it.
"""
