// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {ILots} from "../interfaces/ILots.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Book} from "./Book.sol";

/// @title Lots: how they come to be, are packed, set apart and scrapped
abstract contract Lots is Book, ILots {
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
        IAssignments.Assignment storage current = _started(order, operation, actor);
        lot = _createLot(identifierHash, current.order, quantity, unit, actor.participant, 0);
        bytes32[] memory histories = _touching(lot);
        bytes memory data = abi.encode(actor.key, histories, order, current.sequence, quantity, unit, claimsRoot);
        _record(LotCommissioned.selector, actor, lot, histories, data);
    }

    /// @inheritdoc ILots
    function receiveLot(bytes32 identifierHash, uint40 quantity, bytes3 unit, bytes32 claimsRoot)
        external
        returns (bytes32 lot)
    {
        Actor memory actor = _actor(Roles.HOLDER);
        lot = _createLot(identifierHash, 0, quantity, unit, actor.participant, 0);
        bytes32[] memory histories = _touching(lot);
        bytes memory data = abi.encode(actor.key, histories, quantity, unit, claimsRoot);
        _record(LotReceived.selector, actor, lot, histories, data);
    }

    /// @inheritdoc ILots
    function scrapLot(bytes32 lot, uint40 quantity, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _mine(lot, actor);
        if (entry.state != LotState.Held && entry.state != LotState.Quarantined) {
            revert LotStateWrong(lot, entry.state);
        }
        _consume(lot, entry, quantity);
        bytes32[] memory histories = _touching(lot);
        bytes memory data = abi.encode(actor.key, histories, quantity, reasonRoot);
        _record(LotScrapped.selector, actor, lot, histories, data);
    }

    /// @inheritdoc ILots
    function packLots(bytes32 parent, bytes32[] calldata lots) external {
        Actor memory actor = _actor(Roles.HOLDER);
        uint40 parentNumber = _held(parent, actor).number;
        bytes32[] memory histories = _packing(parent, lots);
        for (uint256 i; i < lots.length; ++i) {
            Lot storage entry = _held(lots[i], actor);
            if (entry.number == parentNumber) revert LotPacked(parent, parentNumber);
            entry.parent = parentNumber;
        }
        _contents[parent] += lots.length;
        _record(LotsPacked.selector, actor, parent, histories, abi.encode(actor.key, histories));
    }

    /// @inheritdoc ILots
    function unpackLots(bytes32 parent, bytes32[] calldata lots) external {
        Actor memory actor = _actor(Roles.HOLDER);
        uint40 parentNumber = _held(parent, actor).number;
        bytes32[] memory histories = _packing(parent, lots);
        for (uint256 i; i < lots.length; ++i) {
            Lot storage entry = _existingLot(lots[i]);
            if (entry.parent != parentNumber) revert LotNotInParent(lots[i], entry.parent, parentNumber);
            entry.parent = 0;
            entry.custodian = actor.participant;
        }
        _contents[parent] -= lots.length;
        _record(LotsUnpacked.selector, actor, parent, histories, abi.encode(actor.key, histories));
    }

    /// @inheritdoc ILots
    /// @dev The gate's inspector may quarantine a packed lot, too: its parent then moves no more.
    function quarantineLot(bytes32 lot, bytes32 order, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _existingLot(lot);
        _requireOrder(lot, entry, order);
        if (order == 0 || _orders[order].inspector != actor.participant) _mine(lot, actor);
        if (entry.state != LotState.Held && entry.state != LotState.Offered) revert LotStateWrong(lot, entry.state);
        entry.state = LotState.Quarantined;
        entry.counterparty = actor.participant;
        _recordLot(LotQuarantined.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ILots
    function releaseLot(bytes32 lot, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        Lot storage entry = _existingLot(lot);
        if (entry.state != LotState.Quarantined) revert LotStateWrong(lot, entry.state);
        if (entry.counterparty != actor.participant) revert LotQuarantineForeign(lot, entry.counterparty);
        entry.state = LotState.Held;
        entry.counterparty = 0;
        _recordLot(LotReleased.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ILots
    function lotOf(bytes32 lot) external view returns (Lot memory) {
        return _lots[lot];
    }

    /// @inheritdoc ILots
    function contentsOf(bytes32 lot) external view returns (uint256) {
        return _contents[lot];
    }

    /// @dev The actor's started assignment of an operation: what making a lot of an order needs.
    function _started(bytes32 order, uint16 operation, Actor memory actor)
        internal
        view
        returns (IAssignments.Assignment storage current)
    {
        current = _assignments[order][operation];
        if (current.sequence == 0) _existingOrder(order);
        return _owned(order, operation, current.sequence, actor, IAssignments.AssignmentState.Started);
    }

    /// @dev Outputs of one record share its sequence, so a lot's number adds its place among them: a parent must not be
    /// mistaken for its sibling.
    function _createLot(
        bytes32 identifierHash,
        uint40 order,
        uint40 quantity,
        bytes3 unit,
        uint32 custodian,
        uint40 place
    ) internal returns (bytes32 lot) {
        if (quantity == 0) revert LotQuantityZero();
        if (unit == 0) revert LotUnitMissing();
        lot = Subjects.derive(Subjects.Kind.Lot, custodian, identifierHash);
        if (_lots[lot].number != 0) revert HistorySubjectTaken(lot);
        _lots[lot] = Lot({
            number: (sequence + 1) * MOST_LOTS + place,
            order: order,
            parent: 0,
            quantity: quantity,
            custodian: custodian,
            counterparty: 0,
            unit: unit,
            state: LotState.Held
        });
    }

    /// @dev Takes `quantity` out of a lot; the last of it spends the lot.
    function _consume(bytes32 lot, Lot storage entry, uint40 quantity) internal {
        if (quantity == 0) revert LotQuantityZero();
        if (quantity > entry.quantity) revert LotOverConsumed(lot, entry.quantity, quantity);
        if (_contents[lot] != 0) revert LotNotEmpty(lot, _contents[lot]);
        entry.quantity -= quantity;
        if (entry.quantity == 0) {
            entry.state = LotState.Spent;
            entry.counterparty = 0;
        }
    }

    function _existingLot(bytes32 lot) internal view returns (Lot storage entry) {
        entry = _lots[lot];
        if (entry.number == 0) revert LotUnknown(lot);
    }

    /// @dev The lot, when the actor has custody of it and it is not packed.
    function _mine(bytes32 lot, Actor memory actor) internal view returns (Lot storage entry) {
        entry = _existingLot(lot);
        if (entry.parent != 0) revert LotPacked(lot, entry.parent);
        if (entry.custodian != actor.participant) revert LotForeign(lot, entry.custodian);
    }

    /// @dev The lot, when it is the actor's and free to go.
    function _held(bytes32 lot, Actor memory actor) internal view returns (Lot storage entry) {
        entry = _mine(lot, actor);
        if (entry.state != LotState.Held) revert LotStateWrong(lot, entry.state);
    }

    /// @dev Storage refers to an order by number; the caller names it by subject.
    function _requireOrder(bytes32 lot, Lot storage entry, bytes32 order) internal view {
        uint40 given = order == 0 ? 0 : _existingOrder(order).sequence;
        if (given != entry.order) revert LotOrderWrong(lot, order, entry.order);
    }

    /// @dev Every record of one lot that carries one root and nothing else.
    function _recordLot(bytes32 kind, Actor memory actor, bytes32 lot, bytes32 root) internal {
        bytes32[] memory histories = _touching(lot);
        _record(kind, actor, lot, histories, abi.encode(actor.key, histories, root));
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
