"""Lineage by SQLAlchemy: a recursive query, and each lot loaded as an object, or its subject alone. On the store's own
file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import CTE, BigInteger, Column, Engine, ForeignKey, LargeBinary, Table, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.bench.peers.answer import Prepare
from tests.bench.peers.walks import build_tasks


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    peer = Peer(arguments["database"])
    ways = {
        f"{how}{name}": partial(query, up=up)
        for how, query in (("", peer.query_objects), ("subjects of ", peer.query_subjects))
        for name, up in (("ancestors", True), ("descendants", False))
    }
    return build_tasks(ways, arguments["lots"])


class _Base(DeclarativeBase):
    """The tables of millmark.ledger.store that the queries need."""


def _link(name: str) -> Table:
    return Table(
        name,
        _Base.metadata,
        Column("sequence", BigInteger, ForeignKey("transformations.sequence"), primary_key=True),
        Column("lot", LargeBinary, ForeignKey("lots.subject"), primary_key=True),
    )


_INPUTS, _OUTPUTS = _link("lot_inputs"), _link("lot_outputs")


class Transformation(_Base):
    """A transformation, with its input and output lots."""

    __tablename__ = "transformations"

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    inputs: Mapped[list[Lot]] = relationship(secondary=_INPUTS, back_populates="went_into")
    outputs: Mapped[list[Lot]] = relationship(secondary=_OUTPUTS, back_populates="made_by")


class Lot(_Base):
    """A lot, with the transformations that made it and that used it."""

    __tablename__ = "lots"

    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    quantity: Mapped[int] = mapped_column(BigInteger)
    custodian: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[int] = mapped_column(BigInteger)
    made_by: Mapped[list[Transformation]] = relationship(secondary=_OUTPUTS, back_populates="outputs")
    went_into: Mapped[list[Transformation]] = relationship(secondary=_INPUTS, back_populates="inputs")


class Peer:
    """Queries one database, with a session per query, like a service with a session per request."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = create_engine(url)

    def query_objects(self, subject: bytes, *, up: bool) -> set[bytes]:
        """The ancestors (`up`) or descendants of a lot, found by one recursive query."""
        walk = _walk(subject, up=up)
        with Session(self._engine) as session:
            lots = session.scalars(select(Lot).join(walk, walk.c.lot == Lot.subject)).all()
            return {lot.subject for lot in lots} - {subject}

    def query_subjects(self, subject: bytes, *, up: bool) -> set[bytes]:
        """As `query_objects`, without loading the lots."""
        with Session(self._engine) as session:
            return set(session.scalars(select(_walk(subject, up=up).c.lot))) - {subject}


def _walk(subject: bytes, *, up: bool) -> CTE:
    near, far = (_OUTPUTS, _INPUTS) if up else (_INPUTS, _OUTPUTS)
    walk = select(Lot.subject.label("lot")).where(Lot.subject == subject).cte("walk", recursive=True)
    step = select(far.c.lot).join(near, near.c.sequence == far.c.sequence).join(walk, walk.c.lot == near.c.lot)
    return walk.union(step)
