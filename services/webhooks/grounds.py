"""Why a webhook is refused, or a delivery failed: each ground is declared once."""

from __future__ import annotations

from millmark.ledger.phrases import Phrase


class WebhookGround(Phrase):
    """A ground. Its value is the error's cause, or the reason that is kept with the webhook. `words` are those of the
    operating system or of another program."""

    # The receiver
    NO_URL = "not an https URL with a lower-case host, and without user or fragment"
    NOT_CANONICAL = "{host:s} is not in canonical form"
    NOT_HTTPS = "the URL is not https"
    PORT = "port {port:d} is not allowed"
    LOCALHOST = "localhost is not allowed"
    UNRESOLVED = "{host:s} does not resolve to an address"
    NO_ADDRESS = "{text} is not an IP address"
    NOT_PUBLIC = "{address:s} is not on the public internet"
    NO_HOST = "{host:s} is not a host name"
    NO_PUBLIC_NAME = "{host:s} is not a public name"
    # What is sent
    MANY_WEBHOOKS = "the participant has {most:d} webhooks already"
    LONG_FILTER = "the filter has more than {most:d} kinds or subjects"
    NO_KIND = "{text} is not a kind of record"
    # Deliveries
    PARTICIPANT_SUSPENDED = "its participant is suspended"
    PERSON_GONE = "the person who had it was removed, or may no longer receive records"
    KEY_ENDED = "API key {key:s} was revoked, or has expired"
    NO_KEY_SCOPE = "API key {key:s} lacks the scope {scope:s}"
    NO_ANSWER = "no answer within {seconds:s} s"
    NO_HTTP = "the response is not valid HTTP"
    REDIRECTED = "answered {status:d}: redirects are not followed"
    ANSWERED = "answered {status:d}"
    NO_TLS = "no TLS: {words}"
    NO_CONNECTION = "no connection: {words}"
