"""Footprints in the portal's languages: the rows of a waterfall."""

from __future__ import annotations

from urllib.parse import unquote

from millmark.ledger.footprint import Source
from millmark.ledger.footprint.figures import kilograms
from millmark.ledger.provenance.footprints import ContributionOf, LotFootprint
from millmark.services.pictures import Bar, draw_waterfall
from millmark.services.portal.language import Catalogue

__all__ = ["build_waterfall", "describe_contribution"]


def build_waterfall(footprint: LotFootprint, catalogue: Catalogue) -> str:
    """The SVG of a lot's location-based emissions."""
    bars = [
        Bar(
            describe_contribution(one, catalogue),
            f"{kilograms(one.location_mg)} kg",
            one.location_mg,
            "metered" if one.source is Source.OPERATION else "stated",
        )
        for one in footprint.contributions
    ]
    total = f"{kilograms(footprint.location_mg)} kg"
    whole = Bar(catalogue.say("footprint.whole"), total, footprint.location_mg, "whole")
    return draw_waterfall([*bars, whole], catalogue.say("footprint.title"), catalogue.language.value)


def describe_contribution(one: ContributionOf, catalogue: Catalogue) -> str:
    """What it is of, and of which lot."""
    named = unquote(one.identifier.rpartition("/")[2]) if one.identifier else f"0x{one.lot.hex()[:8]}"
    return catalogue.say(f"footprint.{one.source.value}", what=one.what or "", lot=named)
