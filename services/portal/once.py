"""Forms whose answer is a page with a secret on it: sent again, they change nothing, and show the same secret again.

What leads elsewhere afterwards is safe from a reload by its redirect. A secret cannot be redirected to without being
stored, and a page that was lost on its way must not leave a secret behind that nobody has. So the secret is made from
the form: of a one-time code in it, what was entered, the browser's cookie, and a key that only this gateway has. Nobody
else, and nothing that is stored, can make it again. The same page with other entries, as after the browser's Back, is
another form.

A form is spent in the transaction that does what it asks for. So neither is ever there without the other, even if the
process is killed in between; of two that are sent at once, the second finds what the first did; and one that is refused
or fails counts as not sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.store import Connection, Store
from millmark.services.access.repository import AccessRepository
from millmark.services.access.signin import Key, Nonces
from millmark.services.portal.forms import FormRefusedError, Forms

__all__ = ["MAX_CODE", "Once", "Use"]

FORM_LIFE_S = 86_400
MAX_CODE = 128
"""Most characters of a one-time code."""


@dataclass(frozen=True, slots=True)
class Use:
    """A form that was sent."""

    again: bool
    """Whether it was sent before, and what it asks for was done: then nothing may be done."""
    seed: bytes
    """32 secret bytes, the same whenever this form is sent from this browser and session with these entries."""
    connection: Connection
    """In whose transaction it is spent, and what it asks for has to be done."""


class Once:
    """Issues one-time codes and spends them. `key` is that of `forms`."""

    def __init__(self, store: Store, forms: Forms, key: Key, clock: Callable[[], int]) -> None:
        self._store, self._forms, self._clock = store, forms, clock
        # A key of their own: they live longer than the codes of sign-in, and must not pass for them.
        self._nonces = Nonces(lambda: hmac.digest(key(), b"millmark.once.v1", "sha256"), FORM_LIFE_S)

    def issue(self) -> str:
        """The code to put into a form."""
        return self._nonces.issue(self._clock())

    @contextmanager
    def spend(self, request: Request, token: str, code: str, *entries: Json) -> Iterator[Use]:
        """Verifies the form's token, and spends its code for these entries; both stay undone if the block raises.
        Raises FormRefusedError for a form of elsewhere, or older than a day."""
        self._forms.verify(request, token)
        now_s, expires_at = self._clock(), self._nonces.expiry(code)
        if expires_at is None or now_s >= expires_at:
            raise FormRefusedError("the form is too old", hint="load the form again")
        mark = hashlib.sha256(code.encode() + canonical_json(list(entries))).hexdigest()
        with self._store.transaction() as connection:
            access = AccessRepository(connection)
            # As with all spent codes: one that was forgotten must not be judged by a clock that was set back.
            if access.newest_time() >= expires_at:
                raise FormRefusedError("the form is too old", hint="load the form again")
            is_first = access.spend_nonce(mark, expires_at, now_s)
            yield Use(not is_first, self._forms.seed(request, mark), connection)
