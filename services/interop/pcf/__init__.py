"""Product carbon footprints for partners' systems: Catena-X Pcf 9.0.0 and PACT 3.0.3. See PCF.md."""

from millmark.services.interop.pcf.about import MAX_ABOUT_BYTES, About, Basis, parse_about
from millmark.services.interop.pcf.exports import build_catena_x, build_pact

__all__ = ["MAX_ABOUT_BYTES", "About", "Basis", "build_catena_x", "build_pact", "parse_about"]
