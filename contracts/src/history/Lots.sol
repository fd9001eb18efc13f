// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Lots: how they come to be, are packed, set apart and scrapped
abstract contract Lots is Verdicts, ILots {
    /// @dev Keeps one record within a block, and its replay within bounds; also what lots are numbered by.
    uint40 internal constant MOST_LOTS = 64;

    /// @inheritdoc ILots
    function commissionLot(
        bytes32 identifierHash,
        bytes32 order,
        uint16 operation,
        uint40 quantity,
        bytes3 unit,
        bytes32 claimsRoot
    ) external returns (bytes32 lot) {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        IAssignments.Assignment storage current = _making(order, operation, actor);
        lot = _createLot(identifierHash, current.order, quantity, unit, actor.participant, 0);
        bytes memory data = abi.encode(actor.key, _touching(lot), order, current.sequence, quantity, unit, claimsRoot);
        _recordOne(LotCommissioned.selector, actor, lot, data);
    }

    /// @inheritdoc ILots
    function receiveLot(bytes32 identifierHash, uint40 quantity, bytes3 unit, bytes32 claimsRoot)
        external
        returns (bytes32 lot)
    {
        Actor memory actor = _actor(Roles.HOLDER);
        address successor = registry.successor();
        if (successor != address(0)) revert HistoryClosed(successor);
        lot = _createLot(identifierHash, 0, quantity, unit, actor.participant, 0);
        _recordOne(LotReceived.selector, actor, lot, abi.encode(actor.key, _touching(lot), quantity, unit, claimsRoot));
    }

    /// @inheritdoc ILots
    function scrapLot(bytes32 lot, uint40 quantity, Disposition disposition, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        (Lot storage entry, LotState state) = _mineIn(lot, actor);
        bool handedOn = disposition == Disposition.Exported || disposition == Disposition.Sold;
        bool free = state == LotState.Held || (state == LotState.Quarantined && !handedOn);
        if (!free) revert LotStateWrong(lot, state);
        _consume(lot, entry, quantity);
        bytes memory data = abi.encode(actor.key, _touching(lot), quantity, disposition, reasonRoot);
        _recordOne(LotScrapped.selector, actor, lot, data);
    }

    /// @inheritdoc ILots
    function packLots(bytes32 parent, bytes32[] calldata lots) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage into = _held(parent, actor);
        uint40 number = into.number;
        bytes32[] memory histories = _packing(parent, lots);
        for (uint256 i; i < lots.length; ++i) {
            Lot storage entry = _held(lots[i], actor);
            if (lots[i] == parent) revert LotPacked(parent, number);
            (entry.holder, entry.packed) = (number, true);
        }
        into.contents += uint16(lots.length);
        _record(LotsPacked.selector, actor, parent, histories, abi.encode(actor.key, histories));
    }

    /// @inheritdoc ILots
    function unpackLots(bytes32 parent, bytes32[] calldata lots) external {
        Actor memory actor = _actor(Roles.HOLDER);
        (Lot storage from, LotState state) = _mineIn(parent, actor);
        if (state != LotState.Held && state != LotState.Quarantined) revert LotStateWrong(parent, state);
        _unpack(parent, from, lots, actor, actor.participant);
    }

    /// @inheritdoc ILots
    function unpackReclaimable(bytes32 lot, bytes32 order, bytes32[] calldata lots) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage from = _existingLot(lot);
        _requireOrder(lot, from, order);
        (uint40 holder, bool packed, LotState state) = (from.holder, from.packed, from.state);
        if (packed) revert LotPacked(lot, holder);
        // forge-lint: disable-next-line(unsafe-typecast) - of a lot that is not packed, a participant
        uint32 custodian = uint32(holder);
        _requireReclaimable(lot, order, custodian, actor.participant);
        if (_isOffered(state)) _endOffer(from, state);
        _unpack(lot, from, lots, actor, custodian);
    }

    /// @inheritdoc ILots
    /// @dev The gate's inspector may quarantine a packed lot, too: its parent then moves no more.
    function quarantineLot(bytes32 lot, bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _existingLot(lot);
        _requireOrder(lot, entry, order);
        if (!_inspects(order, actor.participant)) _mine(lot, actor);
        LotState state = entry.state;
        if (state != LotState.Held && state != LotState.Offered) revert LotStateWrong(lot, state);
        _quarantineAs(lot, entry, actor.participant, 0);
        _recordRoot(LotQuarantined.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ILots
    function releaseLot(bytes32 lot, bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _existingLot(lot);
        _requireOrder(lot, entry, order);
        (LotState state, uint32 by) = (entry.state, entry.counterparty);
        if (state != LotState.Quarantined) revert LotStateWrong(lot, state);
        if (by != actor.participant) {
            if (!_isLiftable(lot, order, by)) revert LotQuarantineForeign(lot, by);
            _mine(lot, actor);
        }
        (entry.state, entry.counterparty) = (LotState.Held, 0);
        _recordRoot(LotReleased.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ILots
    function lotOf(bytes32 lot) external view returns (Lot memory) {
        return _lots[lot];
    }

    /// @dev The actor's started assignment of an operation of an order that has not ended: what lots of an order are made
    /// under, and what stock is allocated under.
    function _making(bytes32 order, uint16 operation, Actor memory actor)
        internal
        view
        returns (IAssignments.Assignment storage current)
    {
        current = _started(order, operation, actor);
        IOrders.OrderState state = _orders[order].state;
        if (state == IOrders.OrderState.Ended) revert IOrders.OrderStateWrong(order, state);
    }

    /// @dev The actor's started assignment of an operation: what reworking a lot of an order needs. Judged here, not by
    /// _owned, which would look it up and read it again: 500 gas in each record of making.
    function _started(bytes32 order, uint16 operation, Actor memory actor)
        internal
        view
        returns (IAssignments.Assignment storage current)
    {
        current = _assignments[order][operation];
        (uint40 number, uint32 owner, IAssignments.AssignmentState state) =
            (current.sequence, current.owner, current.state);
        if (number == 0) {
            _existingOrder(order);
            revert IAssignments.AssignmentNotCurrent(order, operation, 0, 0);
        }
        if (owner != actor.participant) revert IAssignments.AssignmentForeign(order, operation, owner);
        if (state != IAssignments.AssignmentState.Started) {
            revert IAssignments.AssignmentStateWrong(order, operation, state);
        }
    }

    /// @dev Outputs of one record share its sequence, so a lot's number adds its place among them: a parent must not be
    /// mistaken for its sibling.
    function _createLot(bytes32 identifierHash, uint40 order, uint40 quantity, bytes3 unit, uint32 maker, uint40 place)
        internal
        returns (bytes32 lot)
    {
        if (quantity == 0) revert LotQuantityZero();
        if (unit == 0) revert LotUnitMissing();
        lot = Subjects.derive(Subjects.Kind.Lot, maker, identifierHash);
        if (_lots[lot].number != 0) revert HistorySubjectTaken(lot);
        _lots[lot] = Lot({
            number: _next() * MOST_LOTS + place,
            order: order,
            quantity: quantity,
            holder: maker,
            counterparty: 0,
            contents: 0,
            unit: unit,
            packed: false,
            reworks: 0,
            state: LotState.Held
        });
    }

    /// @dev Takes `quantity` out of a lot; the last of it spends the lot.
    function _consume(bytes32 lot, Lot storage entry, uint40 quantity) internal {
        if (quantity == 0) revert LotQuantityZero();
        (uint40 held, uint16 contents) = (entry.quantity, entry.contents);
        if (quantity > held) revert LotOverConsumed(lot, held, quantity);
        if (contents != 0) revert LotNotEmpty(lot, contents);
        entry.quantity = held - quantity;
        if (quantity == held) (entry.state, entry.counterparty) = (LotState.Spent, 0);
    }

    /// @dev The lot, when the actor has custody of it and it is not packed.
    function _mine(bytes32 lot, Actor memory actor) internal view returns (Lot storage entry) {
        (entry,) = _mineIn(lot, actor);
    }

    function _unpack(bytes32 parent, Lot storage from, bytes32[] calldata lots, Actor memory actor, uint32 custodian)
        private
    {
        uint40 number = from.number;
        bytes32[] memory histories = _packing(parent, lots);
        for (uint256 i; i < lots.length; ++i) {
            Lot storage entry = _requireIn(lots[i], number);
            (entry.holder, entry.packed) = (custodian, false);
        }
        from.contents -= uint16(lots.length);
        _record(LotsUnpacked.selector, actor, parent, histories, abi.encode(actor.key, histories, custodian));
    }

    /// @dev A parent and the lots that go in or out of it, each once.
    function _packing(bytes32 parent, bytes32[] calldata lots) private pure returns (bytes32[] memory histories) {
        if (lots.length == 0) revert LotsMissing();
        if (lots.length > MOST_LOTS) revert LotsTooMany(lots.length, MOST_LOTS);
        histories = new bytes32[](lots.length + 1);
        histories[0] = parent;
        for (uint256 i; i < lots.length; ++i) {
            if (i != 0 && lots[i] <= lots[i - 1]) revert LotsNotAscending(lots[i]);
            histories[i + 1] = lots[i];
        }
    }
}
