"""The table in ACCESS.md: what a caller needs for each route of the API, derived from the route table."""

from __future__ import annotations

from millmark.services.access import ANY_ROLE, Scope
from millmark.services.access.rules import MAX_BODY_BYTES, Rule
from millmark.services.gateway.http.route_table import Route, RouteTable

BEGIN, END = "<!-- routes -->", "<!-- end of routes -->"
"""Lines that enclose the table in ACCESS.md."""
_HEAD = ("| route | for | scope | roles | cost | body |", "|---|---|---|---|---|---|")


def build_access_table(routes: RouteTable) -> str:
    """One line per route of the API. Pages are left out; ACCESS.md describes them in prose."""
    lines = [_describe(route) for route in routes if not route.rule.page]
    return "\n".join((*_HEAD, *sorted(lines, key=lambda line: line.split("`")[1].split()[::-1])))


def replace_table(text: str, table: str) -> str:
    """ACCESS.md with a new table. Raises ValueError if the text lacks the two enclosing lines."""
    before, found, rest = text.partition(f"{BEGIN}\n")
    _, closed, after = rest.partition(f"\n{END}")
    if not found or not closed:
        raise ValueError(f"the text lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _describe(route: Route) -> str:
    rule = route.rule
    body = "" if rule.body_bytes == MAX_BODY_BYTES else f"{rule.body_bytes // 1024:,} KiB"
    scope = rule.scope if isinstance(rule.scope, Scope) else ""
    cells = (f"`{route.method} {route.path}`", _audience(rule), scope, _roles(rule), rule.cost, body)
    return "| " + " | ".join(str(cell) or "–" for cell in cells) + " |"


def _audience(rule: Rule) -> str:
    if rule.public:
        return "anybody"
    return "owner" if rule.owner else "participants"


def _roles(rule: Rule) -> str:
    if rule.public:
        return ""
    if rule.roles == ANY_ROLE:
        return "any"
    missing = ANY_ROLE & ~rule.roles
    if len(missing) == 1:
        return f"any but {(missing.name or '').lower()}"
    return ", ".join((role.name or "").lower() for role in rule.roles)
