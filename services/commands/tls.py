"""`millmark tls`: the certificate with which devices on a company's own network reach its gateway by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from millmark.ledger.errors import InputError, SettingsError
from millmark.services.commands.questions import parse_place
from millmark.services.files import read_bounded, write_whole
from millmark.services.home import Layout, parse_consortium, set_tls
from millmark.services.home.joining_files import MAX_CONSORTIUM_BYTES
from millmark.services.output import print_lines
from millmark.services.settings import Settings, build_origin, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

OR_NAME = ", or NAME:PORT to be reached by name over TLS"
"""What the question for a port adds, so that a name costs no question of its own."""

_MAX_SETTINGS_BYTES = 1 << 20


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Make the certificate of this home's gateway, and renew it.")
    group.command("new", epilog="Example: millmark --home alder tls new ledger.alder.example")(run_new)
    group.command("renew", epilog="Example: millmark --home alder tls renew")(run_renew)
    app.add_typer(group, name="tls")


def run_new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Host name under which devices reach the gateway: ledger.alder.example.")],
) -> None:
    """Make an authority for this one name and a certificate for the gateway, and set what the gateway needs.

    Passkeys need it where no authority is that all devices trust: home/TLS.md. Keeps an authority that is there.
    """
    settings, layout = read_settings(context.obj), Layout(context.obj)
    _verify_free(settings, layout)
    place = Place(name, settings.gateway_port, _kept_url(settings, name) or _url_of(name, settings.gateway_port))
    told = place.write_settings(layout, _read_text(layout))
    moved, url = _tell_consortium(layout, place.url), place.url
    if layout.request.exists() and url != settings.origin:
        moved = ["the directory names another address: `millmark join --renew`, and give the operator request.json"]
    print_lines(*told, *moved, f"next: millmark --home {layout.home} gateway")


def run_renew(context: typer.Context) -> None:
    """Issue the gateway's certificate again, for another 397 days, by the home's own authority and for the same key.

    Devices that trust the authority notice nothing. The gateway has to be started again.
    """
    from millmark.services.home.authority import (  # noqa: PLC0415 - X.509, used here only
        certify,
        read_authority_name,
        show_certificate,
    )

    settings, layout = read_settings(context.obj), Layout(context.obj)
    if not layout.authority.exists():
        raise SettingsError(
            f"{layout.home} has no authority of its own",
            hint="have the authority that issued the certificate renew it, or make one: `millmark tls new NAME`",
        )
    _verify_free(settings, layout)
    name = read_authority_name(layout)
    certify(layout, name, datetime.now(UTC))
    ends = show_certificate(layout.tls_certificate).ends
    print_lines(f"{layout.tls_certificate} is valid until {ends:%Y-%m-%d}; start the gateway again to use it")


@dataclass(frozen=True, slots=True)
class Place:
    """Where others reach a gateway."""

    name: str | None
    """If it is reached over TLS with a certificate of the home's own authority."""
    port: int
    url: str

    def write_settings(self, layout: Layout, text: str) -> list[str]:
        """Writes the settings file, after the certificate that it names. Returns what is to be done with that."""
        if self.name is None:
            write_whole(layout.settings, text.encode())
            return []
        from millmark.services.home.authority import certify  # noqa: PLC0415 - X.509, used here only

        fingerprint = certify(layout, self.name, datetime.now(UTC))
        write_whole(layout.settings, set_tls(text, layout, self.url).encode())
        return [
            f"the gateway's address is {self.url}: let your network's DNS name this machine so",
            f"give {layout.authority} to the devices that are to trust it, and to partners for partner_ca: home/TLS.md",
            f"its SHA-256 is {fingerprint}",
        ]


def choose_place(port: str, hostname: str | None, gateway_url: str | None) -> Place:
    """From what was answered when asked for the port, and flags. Raises InputError for what does not fit together."""
    name, number = parse_place(port, hostname)
    if name is None:
        return Place(None, number, gateway_url or build_origin("localhost", number, tls=False))
    if gateway_url is not None:
        raise InputError(
            f"the gateway's address is both {name} and {gateway_url[:80]!a}",
            hint="give a host name to have a certificate made, or the URL of a gateway that has one",
        )
    return Place(name, number, _url_of(name, number))


def _url_of(name: str, port: int) -> str:
    return f"https://{name}" if port == 443 else f"https://{name}:{port}"


def _verify_free(settings: Settings, layout: Layout) -> None:
    """Raises SettingsError if the folder is no home, or its gateway has a certificate from elsewhere."""
    if not layout.settings.exists():
        raise SettingsError(f"{layout.home} is not a home yet", hint="make one with `millmark init` or `millmark join`")
    for name, own in (("gateway_tls_certificate", layout.tls_certificate), ("gateway_tls_key", layout.tls_key)):
        path = settings.from_home(getattr(settings, name))
        if path is not None and path.resolve() != own.resolve():
            raise SettingsError(
                f"{name} is {path}, which this command did not make",
                hint=f"keep it, or remove {name} from the settings",
            )


def _kept_url(settings: Settings, name: str) -> str | None:
    """The address that the settings give already, if it is one of this name: its port may be another one's."""
    url = settings.gateway_url
    return url if url and url.startswith("https:") and urlsplit(url).hostname == name else None


def _read_text(layout: Layout) -> str:
    data = read_bounded(layout.settings, _MAX_SETTINGS_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InputError(f"{layout.settings} is not UTF-8", hint="correct the file") from None


def _tell_consortium(layout: Layout, url: str) -> Sequence[str]:
    """Writes an operator's new address into the file with which companies join."""
    if not layout.consortium.exists():
        return ()
    known = parse_consortium(read_bounded(layout.consortium, MAX_CONSORTIUM_BYTES))
    if known.gateway == url:
        return ()
    write_whole(layout.consortium, replace(known, gateway=url).to_bytes())
    return (f"wrote the address to {layout.consortium}; companies that have joined set directory_url to it",)
