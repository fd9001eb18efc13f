// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../interfaces/IAssignments.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Lots} from "./Lots.sol";

/// @title Lots made into other lots, reworked, and moved between stock and orders
abstract contract Transformations is Lots {
    /// @dev Where a transformation's lots belong, and what the passes over inputs and outputs add up.
    struct Tally {
        TransformationKind kind;
        /// `sequence` of the order of the outputs, 0 for none.
        uint40 order;
        /// The assignment of that order under which the actor makes them, 0 for none.
        uint40 assignment;
        /// Of the conserved inputs.
        uint256 conserved;
        /// Of the outputs in the unit of the conserved inputs, when `outputUnit` is another.
        uint256 remaining;
        /// Of the outputs in `outputUnit`.
        uint256 made;
    }

    /// @inheritdoc ILots
    function transformLots(Transformation calldata transformation) external {
        Actor memory actor =
            _actor(transformation.kind == TransformationKind.Conversion ? Roles.MANUFACTURER : Roles.HOLDER);
        _requireShape(transformation);
        Tally memory tally;
        tally.kind = transformation.kind;
        _placeIn(transformation.order, transformation.operation, actor, tally);
        uint256 inputs = transformation.inputs.length;
        bytes32[] memory histories = new bytes32[](inputs + transformation.outputs.length);
        for (uint256 i; i < inputs; ++i) {
            _takeInput(transformation, i, actor, tally, histories);
        }
        for (uint40 place; place < transformation.outputs.length; ++place) {
            histories[inputs + place] = _makeOutput(transformation, place, actor.participant, tally);
        }
        _requireBalance(transformation, tally);
        bytes memory data = abi.encode(actor.key, histories, transformation);
        _record(LotsTransformed.selector, actor, histories[inputs], histories, data);
    }

    /// @inheritdoc ILots
    function reworkLot(Rework calldata rework) external {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        (Lot storage entry, uint40 order, uint8 reworks) = _reworkable(rework.lot, actor);
        uint40 assignment = _assignmentOf(rework, order, actor);
        bytes32[] memory histories =
            rework.components.length == 0 ? _touching(rework.lot) : _takeComponents(rework, order, assignment, actor);
        entry.reworks = reworks + 1;
        bytes memory data = abi.encode(actor.key, histories, rework, assignment);
        _record(LotReworked.selector, actor, rework.lot, histories, data);
    }

    /// @inheritdoc ILots
    function allocateLot(bytes32 lot, bytes32 order, uint16 operation, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.MANUFACTURER);
        Lot storage entry = _held(lot, actor);
        if (entry.order != 0) revert LotOrderWrong(lot, 0, entry.order);
        Tally memory tally;
        tally.kind = TransformationKind.Conversion;
        if (order == 0) revert IOrders.OrderUnknown(order);
        _placeIn(order, operation, actor, tally);
        entry.order = tally.order;
        _recordOne(
            LotAllocated.selector,
            actor,
            lot,
            abi.encode(actor.key, _touching(lot), order, tally.assignment, claimsRoot)
        );
    }

    /// @inheritdoc ILots
    function deallocateLot(bytes32 lot, bytes32 order, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.BUYER | Roles.COORDINATOR);
        Lot storage entry = _existingLot(lot);
        IOrders.Order storage from = _existingOrder(order);
        _requireOrder(lot, entry, order);
        uint32 buyer = from.buyer;
        bool may = buyer == actor.participant;
        if (!may && from.coordinator == actor.participant) {
            bool left = from.state == IOrders.OrderState.Ended && _isGone(buyer, Roles.BUYER);
            may = (left || from.inspector == 0) && (entry.packed || entry.holder != buyer);
        }
        if (!may) revert LotBoundToOrder(lot, order, buyer);
        if (entry.packed) revert LotPacked(lot, entry.holder);
        _requireHeldOrQuarantined(lot, entry.state);
        entry.order = 0;
        _recordPair(LotDeallocated.selector, actor, lot, uint256(order), claimsRoot);
    }

    /// @dev Finds where the outputs belong. What is made under an order is made under a started assignment of it, which has
    /// the order's number: the order itself is not read then.
    function _placeIn(bytes32 order, uint16 operation, Actor memory actor, Tally memory tally) private view {
        if (order == 0) return;
        if (tally.kind == TransformationKind.Conversion) {
            IAssignments.Assignment storage current = _making(order, operation, actor);
            (tally.assignment, tally.order) = (current.sequence, current.order);
        } else {
            tally.order = _existingOrder(order).sequence;
        }
    }

    /// @return assignment Started, under which the lot, one of `order`, is reworked; 0 without an order.
    function _assignmentOf(Rework calldata rework, uint40 order, Actor memory actor)
        private
        view
        returns (uint40 assignment)
    {
        uint40 given;
        if (rework.order != 0) {
            IAssignments.Assignment storage current = _started(rework.order, rework.operation, actor);
            (assignment, given) = (current.sequence, current.order);
        }
        if (given != order) revert LotOrderWrong(rework.lot, rework.order, order);
    }

    /// @return histories The lot, then the components.
    function _takeComponents(Rework calldata rework, uint40 order, uint40 assignment, Actor memory actor)
        private
        returns (bytes32[] memory histories)
    {
        Input[] calldata components = rework.components;
        if (components.length > MOST_LOTS) revert LotsTooMany(components.length, MOST_LOTS);
        Tally memory tally;
        (tally.order, tally.assignment) = (order, assignment);
        histories = new bytes32[](components.length + 1);
        histories[0] = rework.lot;
        for (uint256 i; i < components.length; ++i) {
            bytes32 lot = components[i].lot;
            if (lot == rework.lot || (i != 0 && lot <= histories[i])) revert LotsNotAscending(lot);
            if (!components[i].component) revert ReworkInputConserved(lot);
            _take(components[i], _held(lot, actor), rework.order, actor, tally);
            histories[i + 1] = lot;
        }
    }

    function _takeInput(
        Transformation calldata transformation,
        uint256 i,
        Actor memory actor,
        Tally memory tally,
        bytes32[] memory histories
    ) private {
        Input calldata input = transformation.inputs[i];
        if (i != 0 && input.lot <= histories[i - 1]) revert LotsNotAscending(input.lot);
        Lot storage entry = _held(input.lot, actor);
        if (!input.component) {
            if (entry.unit != transformation.unit) revert TransformationUnitWrong(input.lot, entry.unit);
            tally.conserved += input.quantity;
        }
        _take(input, entry, transformation.order, actor, tally);
        histories[i] = input.lot;
    }

    function _take(Input calldata input, Lot storage entry, bytes32 order, Actor memory actor, Tally memory tally)
        private
    {
        if (input.order == order) {
            if (entry.order != tally.order) revert LotOrderWrong(input.lot, order, entry.order);
        } else {
            _requireOrder(input.lot, entry, input.order);
            _requireMayMove(input, order, actor, tally);
        }
        _consume(input.lot, entry, input.quantity);
    }

    /// @dev A lot joins an order only in making something under a started assignment. It leaves a gated order, or any
    /// order for stock, only by its buyer's act: otherwise it would slip past its gate by being renamed.
    function _requireMayMove(Input calldata input, bytes32 order, Actor memory actor, Tally memory tally) private view {
        bool joins = tally.assignment != 0 && (input.component || tally.kind == TransformationKind.Conversion);
        if (tally.order != 0 && !joins) revert LotOrderWrong(input.lot, order, _lots[input.lot].order);
        if (input.order == 0) return;
        IOrders.Order storage from = _orders[input.order];
        (uint32 buyer, uint32 inspector) = (from.buyer, from.inspector);
        bool bound = tally.order == 0 || inspector != 0;
        if (bound && buyer != actor.participant) revert LotBoundToOrder(input.lot, input.order, buyer);
    }

    function _makeOutput(Transformation calldata transformation, uint40 place, uint32 maker, Tally memory tally)
        private
        returns (bytes32 lot)
    {
        Output calldata output = transformation.outputs[place];
        lot = _createLot(output.identifierHash, tally.order, output.quantity, output.unit, maker, place);
        if (tally.kind == TransformationKind.Split) {
            _handOn(transformation.inputs[0].lot, lot, transformation.order);
        }
        if (output.unit == transformation.outputUnit) tally.made += output.quantity;
        else if (tally.kind != TransformationKind.Conversion) revert TransformationUnitWrong(lot, output.unit);
        else if (output.unit == transformation.unit) tally.remaining += output.quantity;
    }

    /// @dev What can be reworked where it is: the actor's own, held or quarantined, and empty.
    /// @return entry The lot.
    /// @return order Of the lot.
    /// @return reworks How often it was reworked.
    function _reworkable(bytes32 lot, Actor memory actor)
        private
        view
        returns (Lot storage entry, uint40 order, uint8 reworks)
    {
        entry = _lots[lot];
        uint40 number;
        uint40 holder;
        uint16 contents;
        bool packed;
        LotState state;
        (number, order, holder, contents, packed, reworks, state) =
        (entry.number, entry.order, entry.holder, entry.contents, entry.packed, entry.reworks, entry.state);
        _requireMine(lot, number, holder, packed, actor);
        _requireHeldOrQuarantined(lot, state);
        if (contents != 0) revert LotNotEmpty(lot, contents);
    }

    function _requireShape(Transformation calldata transformation) private pure {
        uint256 inputs = transformation.inputs.length;
        uint256 outputs = transformation.outputs.length;
        TransformationKind kind = transformation.kind;
        if (inputs > MOST_LOTS) revert LotsTooMany(inputs, MOST_LOTS);
        if (outputs > MOST_LOTS) revert LotsTooMany(outputs, MOST_LOTS);
        uint256 conserved;
        for (uint256 i; i < inputs; ++i) {
            if (!transformation.inputs[i].component) ++conserved;
        }
        bool fits = conserved != 0 && outputs != 0;
        if (kind == TransformationKind.Split) fits = inputs == 1 && conserved == 1 && outputs > 1;
        if (kind == TransformationKind.Merge) fits = inputs > 1 && conserved == inputs && outputs == 1;
        if (!fits) revert TransformationShapeWrong(kind, conserved, outputs);
    }

    /// @dev All factors are below 2^47, so the products cannot overflow.
    function _requireBalance(Transformation calldata transformation, Tally memory tally) private pure {
        (uint40 loss, uint40 yieldIn, uint40 yieldOut) =
            (transformation.loss, transformation.yieldIn, transformation.yieldOut);
        uint256 gone = loss + tally.remaining;
        bool conversion = tally.kind == TransformationKind.Conversion;
        bool balanced = gone <= tally.conserved && tally.made != 0 && yieldIn != 0 && yieldOut != 0
            && (tally.conserved - gone) * yieldOut == tally.made * yieldIn
            && (conversion || (yieldIn == yieldOut && transformation.unit == transformation.outputUnit));
        if (!balanced) revert TransformationUnbalanced(tally.conserved, gone, tally.made, yieldIn, yieldOut);
    }

    function _requireHeldOrQuarantined(bytes32 lot, LotState state) private pure {
        if (state != LotState.Held && state != LotState.Quarantined) revert LotStateWrong(lot, state);
    }
}
