"""Answers that were given to writes, kept under the caller's Idempotency-Key to be given again.

Apart from the gateway, which replays them (services.gateway.http.idempotency), because erasing a document deletes the
answers that mention it, over HTTP or not.
"""
