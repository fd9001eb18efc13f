"""What a product's constraints leave of each option, once some are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger.errors import SpecificationError
from millmark.ledger.products._domains import Domain
from millmark.ledger.products._model import Condition, Constraint, Product
from millmark.ledger.products._values import Value, describe, domain_of, full_domain

Domains: TypeAlias = dict[str, Domain]


@dataclass(frozen=True, slots=True)
class Part:
    """Whether an option has one of some values, or, not `wanted`, none of them."""

    key: str
    allowed: Domain
    wanted: bool

    def is_sure(self, domain: Domain) -> bool:
        return domain.within(self.allowed) if self.wanted else domain.apart(self.allowed)

    def deny(self, domain: Domain) -> Domain:
        """What is left of the option if this must not be so."""
        return domain.drop(self.allowed) if self.wanted else domain.keep(self.allowed)

    def grant(self, domain: Domain) -> Domain:
        """What is left of the option if this must be so."""
        return domain.keep(self.allowed) if self.wanted else domain.drop(self.allowed)


_Clause: TypeAlias = tuple[Part, ...]
"""Parts that must not all be so."""


def holds(condition: Condition, domains: Domains) -> bool:
    """Whether a condition certainly holds."""
    return all(domains[key].within(allowed) for key, allowed in condition.items())


def narrow(product: Product, chosen: Mapping[str, Value]) -> Domains:
    """The values that each option can still have, chosen ones included. The values must have been checked.

    Raises SpecificationError naming the constraint that cannot hold any more. Only what follows from one constraint at
    a time is found: with options left open, no error does not mean that a specification exists.
    """
    known = product.by_key
    return narrow_from(
        product,
        {
            key: domain_of(option, chosen[key]) if key in chosen else full_domain(option)
            for key, option in known.items()
        },
    )


def narrow_from(product: Product, domains: Domains) -> Domains:
    """As `narrow`, from what is left of each option."""
    clauses = [(constraint, clause) for constraint in product.constraints for clause in _clauses(constraint)]
    changed = True
    # Every round but the last takes a value away, and there are finitely many; a span shrinks to a constraint's edge.
    while changed:
        changed = False
        for constraint, clause in clauses:
            open_parts = [part for part in clause if not part.is_sure(domains[part.key])]
            if not open_parts:
                raise _violation(product, constraint, domains)
            if len(open_parts) == 1:  # denying one that is impossible anyway takes nothing away
                [part] = open_parts
                left = part.deny(domains[part.key])
                changed |= left != domains[part.key]
                domains = {**domains, part.key: left}
    return domains


def find_broken(product: Product, domains: Domains) -> _Clause:
    """Parts that must not all be so, and certainly are; empty if the constraints leave none such."""
    clauses = (clause for constraint in product.constraints for clause in _clauses(constraint))
    return next((one for one in clauses if all(part.is_sure(domains[part.key]) for part in one)), ())


def _clauses(constraint: Constraint) -> Iterator[_Clause]:
    given = tuple(Part(key, allowed, True) for condition in constraint.conditions for key, allowed in condition.items())
    if constraint.then is None:
        yield given
        return
    for key, allowed in constraint.then.items():
        yield (*given, Part(key, allowed, False))


def _violation(product: Product, constraint: Constraint, domains: Domains) -> SpecificationError:
    known = product.by_key
    given = [
        " with ".join(f"{key} {describe(known[key], domains[key])}" for key in condition)
        for condition in constraint.conditions
    ]
    hint = "change one of them"
    if constraint.then is None:
        return SpecificationError(f"{' and '.join(given)} exclude each other", hint=hint)
    broken = [key for key, allowed in constraint.then.items() if not domains[key].within(allowed)]
    needs = " and ".join(f"{key} {describe(known[key], constraint.then[key])}" for key in broken)
    instead = " and ".join(describe(known[key], domains[key]) for key in broken)
    return SpecificationError(f"{given[0]} needs {needs}, not {instead}", hint=hint)
