"""Utilisation and effectiveness of a machine from times and quantities, named as in ISO 22400-2. Python alone.

Shares are integers in millionths, rounded down: what is recorded has no floats.
"""

from __future__ import annotations

from dataclasses import dataclass

from millmark.quality.errors import InputError

_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Times:
    """What a machine did in a period: seconds, and quantities in one unit. Raises InputError if that cannot be so."""

    planned_busy_s: int
    """PBT: that it was planned to be busy, from the calendar."""
    busy_s: int
    """AUBT: that it was busy with orders, from the start to the finish of its assignments."""
    production_s: int
    """APT: that it produced, from its telemetry."""
    execution_s: int
    """AOET: that its orders were under way, waiting included."""
    run_s_per_item: int
    """PRI: planned run time per item."""
    produced: int
    """PQ"""
    good: int
    """GQ"""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if type(getattr(self, name)) is not int or not 0 <= getattr(self, name) < 2**53:
                raise InputError(f"{name} is {getattr(self, name)!r}", hint="whole numbers of 0 and above")
        for small, large in (
            ("production_s", "busy_s"),
            ("busy_s", "execution_s"),
            ("production_s", "planned_busy_s"),
            ("good", "produced"),
        ):
            if getattr(self, small) > getattr(self, large):
                raise InputError(f"{small} is above {large}", hint="correct the records of this period")
        if self.run_s_per_item * self.produced > self.production_s:
            raise InputError(
                f"{self.produced} items of {self.run_s_per_item} s were made in {self.production_s} s",
                hint="the planned run time per item is too long, or quantities are counted twice",
            )


@dataclass(frozen=True, slots=True)
class Kpis:
    """Key performance indicators, each in 0..1,000,000 millionths; 0 where there is nothing to divide by."""

    availability_ppm: int
    """APT / PBT: eta."""
    allocation_ratio_ppm: int
    """AUBT / AOET"""
    utilization_efficiency_ppm: int
    """APT / AUBT"""
    effectiveness_ppm: int
    """PRI x PQ / APT"""
    quality_ratio_ppm: int
    """GQ / PQ"""
    oee_ppm: int
    """Availability x effectiveness x quality ratio."""

    @property
    def e_ppm(self) -> int:
        """Effectiveness x quality ratio."""
        return self.effectiveness_ppm * self.quality_ratio_ppm // _PPM


def read_kpis(times: Times) -> Kpis:
    """The indicators of a period."""
    planned = times.run_s_per_item * times.produced
    # One division: the product of rounded shares would lose a millionth here and there. APT and PQ cancel.
    good, all_ = times.run_s_per_item * times.good, times.planned_busy_s
    return Kpis(
        availability_ppm=_share(times.production_s, times.planned_busy_s),
        allocation_ratio_ppm=_share(times.busy_s, times.execution_s),
        utilization_efficiency_ppm=_share(times.production_s, times.busy_s),
        effectiveness_ppm=_share(planned, times.production_s),
        quality_ratio_ppm=_share(times.good, times.produced),
        oee_ppm=_share(good, all_),
    )


def _share(part: int, whole: int) -> int:
    return part * _PPM // whole if whole else 0
