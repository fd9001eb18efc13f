"""The page on which a person lets a program on their machine sign in: `millmark login`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form, Query, Request
from starlette.responses import Response

from millmark.services.access.people.pairing import CHALLENGE, Pairing, digits_of
from millmark.services.access.rules import Rule, Without
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import PageRoute
from millmark.services.serving.parameters import WholeNumber

__all__ = ["PairingPages"]

_RULE = Rule(Without.SCOPE, page=True, owner=True)
_MAX_TOKEN = 128
_LEAST_PORT, _MOST_PORT = 1024, 65_535


@dataclass(frozen=True, slots=True)
class PairingPages:
    pairing: Pairing
    pages: Pages
    forms: Forms
    clock: Callable[[], int]

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute("/portal/pairing", self.ask, _RULE),
            PageRoute("/portal/pairing", self.agree, _RULE, method="POST"),
        )

    def ask(
        self,
        request: Request,
        challenge: Annotated[str, Query(pattern=f"^{CHALLENGE}$")],
        port: Annotated[WholeNumber, Query(ge=0, le=_MOST_PORT)] = 0,
    ) -> Response:
        values: dict[str, Any] = {"challenge": challenge, "port": port, "digits": digits_of(challenge)}
        return self.pages.render(request, "pairing.html", forms=self.forms, code="", address="", **values)

    def agree(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_MAX_TOKEN)],
        challenge: Annotated[str, Form(pattern=f"^{CHALLENGE}$")],
        port: Annotated[int, Form(ge=0, le=_MOST_PORT)] = 0,
    ) -> Response:
        """Shows the code, and sends the browser with it to the program, if that listens on this machine. Sent again, it
        shows another code of the same challenge; nothing is stored before a code is used. Raises FormRefusedError, and
        NotFoundError for whoever signed in with the company's key."""
        self.forms.verify(request, token)
        code = self.pairing.approve(principal_of(request).person, challenge, self.clock())
        # To the loopback alone: a link that somebody was sent cannot have the code sent to anybody else.
        address = f"http://127.0.0.1:{port}/?code={code}" if port >= _LEAST_PORT else ""
        headers = {"Refresh": f"0; url={address}"} if address else {}
        values: dict[str, Any] = {"challenge": challenge, "port": port, "digits": digits_of(challenge)}
        return self.pages.render(
            request, "pairing.html", headers=headers, forms=self.forms, code=code, address=address, **values
        )
