"""The two ceremonies of WebAuthn Level 3, registration and authentication, as the library has them.

The only module that imports the library, which is several megabytes large: `passkeys` loads it when a browser asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import webauthn
from webauthn import helpers
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import structs
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.registration.verify_registration_response import VerifiedRegistration

from millmark.services.access import errors, signin

_TIMEOUT_MS = signin.NONCE_LIFE_S * 1000
C = TypeVar("C", structs.RegistrationCredential, structs.AuthenticationCredential)


class Ceremonies:
    """The ceremonies of one gateway, whose public URL is `origin`, at `host`. `hint`: that of each refusal."""

    def __init__(self, host: str, origin: str, hint: str) -> None:
        self._host, self._origin, self._hint = host, origin, hint

    def build_authentication_options(self, challenge: str) -> str:
        """The options of `navigator.credentials.get`, as JSON. They name no person and no passkey."""
        options = webauthn.generate_authentication_options(
            rp_id=self._host,
            challenge=challenge.encode(),
            timeout=_TIMEOUT_MS,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        return webauthn.options_to_json(options)

    def build_registration_options(self, challenge: str, label: str, handle: bytes, known: Sequence[bytes]) -> str:
        """The options of `navigator.credentials.create`, as JSON, for a person who has the passkeys `known` already.
        `label`: what the person chooses the new one by."""
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name="Millmark",
            user_name=label,
            user_id=handle,
            challenge=challenge.encode(),
            timeout=_TIMEOUT_MS,
            # What the authenticator is made of is nobody's business here.
            attestation=structs.AttestationConveyancePreference.NONE,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return webauthn.options_to_json(options)

    def parse_registration(self, answer: str) -> structs.RegistrationCredential:
        """Raises SignInError."""
        return self._parse(helpers.parse_registration_credential_json, answer)

    def parse_authentication(self, answer: str) -> structs.AuthenticationCredential:
        """Raises SignInError."""
        return self._parse(helpers.parse_authentication_credential_json, answer)

    def challenge_of(self, credential: structs.RegistrationCredential | structs.AuthenticationCredential) -> str:
        """The challenge that the browser signed; a text that is not ours is nobody's nonce. Raises SignInError."""
        with self._refusing():
            found = helpers.parse_client_data_json(credential.response.client_data_json)
            return found.challenge.decode("ascii", "replace")

    def verify_registration(self, credential: structs.RegistrationCredential) -> VerifiedRegistration:
        """Raises SignInError. Not established: that the challenge was issued here, and is new."""
        with self._refusing():
            return webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=self.challenge_of(credential).encode(),
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )

    def verify_authentication(
        self, credential: structs.AuthenticationCredential, public_key: bytes, uses: int
    ) -> VerifiedAuthentication:
        """Verifies the signature of the passkey with this public key, which was used `uses` times before. Raises
        SignInError. Not established: that the challenge was issued here, and is new."""
        with self._refusing():
            return webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=self.challenge_of(credential).encode(),
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=public_key,
                credential_current_sign_count=uses,
                require_user_verification=True,
            )

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What strangers send may fail in any way in the library: as its own errors, or those of its parsers."""
        try:
            yield
        except Exception as error:
            cause = str(error) if isinstance(error, WebAuthnException) else "it is malformed"
            raise errors.SignInError(errors.Ground.PASSKEY.write(words=cause), hint=self._hint) from None

    def _parse(self, parse: Callable[[str], C], answer: str) -> C:
        with self._refusing():
            return parse(answer)
