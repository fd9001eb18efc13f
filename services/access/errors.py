"""Errors of access, below the root in `millmark.ledger.errors`.

    MillmarkError
      AccessError                access is denied
        UnauthenticatedError     the caller could not be authenticated
          SignInError            a sign-in message or its signature is not valid
        ForbiddenError           the caller is authenticated, but lacks a permission

An error states its reason only if the caller can act on it and nobody else learns from it. A refused credential has no
reason: unknown, altered, expired and revoked ones look alike.
"""

from __future__ import annotations

from millmark.ledger import errors, phrases


class AccessError(errors.MillmarkError):
    """Access is denied."""

    code = "access-refused"


class UnauthenticatedError(AccessError):
    """The caller could not be authenticated."""

    code = "unauthenticated"


class SignInError(UnauthenticatedError):
    """The sign-in message or its signature is not valid."""

    code = "sign-in-refused"


class ForbiddenError(AccessError):
    """The caller lacks a permission."""

    code = "forbidden"


# Why a gateway lets nobody in, or leaves its people and keys as they are: each ground is declared once. Errors are
# raised in its words, and pages recognise them and say them in the reader's language.


class Ground(phrases.Phrase):
    """A ground. Its value is the error's cause; `words` are those of another program, `why` stands for a ground."""

    # Invitations and people
    INVITATION = "the invitation was used, has expired, or does not exist"
    NOT_OPEN = "there is no such open invitation"
    NAME = "a name has to have 1 to {value:d} printable characters"
    NO_PERSON = "there is no person {value:d}"
    LAST_ADMINISTRATOR = "nobody could invite or remove people any more"
    SUSPENDED = "the company of this gateway is suspended, or the settings do not say which it is"
    # Passkeys
    PASSKEY = "the passkey was refused: {words}"
    PASSKEY_ID = "the passkey's id is too long"
    UNKNOWN = "the passkey is not one of this gateway's people"
    STALE = "the request was not made here, or is too old"
    REPEATED = "the answer was used before"
    LONG = "the browser's answer is too long"
    REGISTERED = "this passkey is registered already"
    MANY = "a person can have {value:d} passkeys"
    LAST_WAY = "this is the last way in"
    NO_PASSKEY = "there is no such passkey"
    # Accounts at the company's provider
    FOREIGN = "the answer is not to a question of this browser, or is too old"
    TAKEN = "this account is somebody's here already"
    UNINVITED = "nobody was invited with this account"
    DECLINED = "the provider refused: {said}"
    SLOW = "the provider is slow, and others wait for it"
    SILENT = "the provider did not answer: {fault:s}"
    LARGE_ANSWER = "the provider's answer is too large or too slow"
    PROVIDER_ANSWERED = "the provider answered with status {status:d}"
    PROVIDER_SAID = "the provider answered with status {status:d} ({said})"
    OTHER_PROVIDER = "the provider describes another issuer"
    NO_ENDPOINT = "the provider names no {name:s} by https"
    NO_TOKEN = "the provider gave no ID token"  # noqa: S105  # a sentence
    TOKEN = "the provider's ID token was refused: {why}"  # noqa: S105  # a sentence
    TOKEN_UNREADABLE = "it cannot be read or verified: {fault:s}"  # noqa: S105  # a sentence
    TOKEN_OF_OTHER_ISSUER = "it is by another issuer"  # noqa: S105  # a sentence
    TOKEN_FOR_OTHER_PROGRAM = "it is for another program"  # noqa: S105  # a sentence
    TOKEN_FOR_SEVERAL = "it is for several programs"  # noqa: S105  # a sentence
    TOKEN_TO_OTHER_QUESTION = "it answers another question"  # noqa: S105  # a sentence
    TOKEN_EXPIRED = "it has expired"  # noqa: S105  # a sentence
    TOKEN_OF_OTHER_TIME = "it is from another time"  # noqa: S105  # a sentence
    TOKEN_OF_NOBODY = "it names nobody"  # noqa: S105  # a sentence
    # API keys
    NO_SCOPE = "an API key needs at least one scope"
    KEY_LIFE = "an API key can be valid for 1 to {value:d} days"
    LABEL = "a label has to have 1 to {value:d} printable characters"
    NO_COMPANY = "participant {value:d} is suspended, or has accepted no key yet"
    # Messages that a company's key signs
    NO_MESSAGE = "not a sign-in message in the form that this site issues"
    MESSAGE_UNREADABLE = "the message contains an invalid address or timestamp"
    MESSAGE_OTHERWISE = "the message is not in canonical form"
    MESSAGE_LIFE = "the message does not expire within {seconds:d} s"
    MESSAGE_YEARS = "the message has a time outside the years 1970 to 9999"
    SIGNATURE_INVALID = "the signature is not valid: {words}"
    UNINDEXED = "nothing is indexed yet"
    SIGNATURE = "the signature is not 0x and 130 lower-case hex digits"
    OTHER_KEY = "the signature was not made with the key that the message names"
    OTHER_SITE = "the message is for another site"
    OTHER_CHAIN = "the message is for another chain"
    OLD_MESSAGE = "the message is too old, or its issue time is in the future"
    OLD_NONCE = "the nonce was not issued here, or has expired"
    USED_NONCE = "the nonce was used before"
    NO_PARTICIPANT = "the key does not sign for an active participant"
