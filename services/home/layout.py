"""Where things are in a home that `millmark init` or `millmark join` made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.errors import SettingsError
from millmark.services.settings import AUTHORITY_FILES, SETTINGS_FILE


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of a home. Settings name them, so that a user may move them later."""

    home: Path

    @property
    def settings(self) -> Path:
        return self.home / SETTINGS_FILE

    @property
    def deployment(self) -> Path:
        return self.home / "deployment.json"

    @property
    def consortium(self) -> Path:
        """What the operator gives to the companies."""
        return self.home / "consortium.json"

    @property
    def request(self) -> Path:
        """What a company gives to the operator."""
        return self.home / "request.json"

    @property
    def key(self) -> Path:
        """Keystore of the key that signs records: the operator's, or the company's."""
        return self.home / "key.json"

    @property
    def name_key(self) -> Path:
        """Keystore of the key from which the salts of a company's identifiers derive."""
        return self.home / "names.json"

    @property
    def recipient_key(self) -> Path:
        """The key that opens what others encrypt for the company."""
        return self.home / "recipient.json"

    @property
    def tls_certificate(self) -> Path:
        """The certificate of a gateway that terminates TLS itself."""
        return self.home / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """The key of that certificate."""
        return self.home / "tls-key.pem"

    @property
    def authority(self) -> Path:
        """The certificate of the authority that issued it: what devices and partners trust."""
        return self.home / AUTHORITY_FILES[0]

    @property
    def authority_key(self) -> Path:
        """The key of that authority."""
        return self.home / AUTHORITY_FILES[1]

    def create_folder(self) -> None:
        """Creates the home, for its owner alone if it does not exist. Raises SettingsError."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"{self.home} cannot be created: {error.strerror}", hint="name another folder"
            ) from None
