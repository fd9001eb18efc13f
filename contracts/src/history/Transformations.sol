// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILots} from "../interfaces/ILots.sol";
import {Roles} from "../libraries/Roles.sol";
import {Lots} from "./Lots.sol";

/// @title Lots into other lots, quantities conserved
abstract contract Transformations is Lots {
    /// @dev What the pass over the inputs finds out.
    struct Tally {
        /// Of the inputs in the conserved unit.
        uint256 quantity;
        /// Who quarantined the reworked input; 0 when it was held.
        uint32 quarantinedBy;
        uint40 order;
        bool maker;
    }

    /// @inheritdoc ILots
    function transformLots(Transformation calldata transformation) external {
        Actor memory actor = _actor(_isMaking(transformation.kind) ? Roles.MANUFACTURER : Roles.HOLDER);
        _requireShape(transformation);
        Tally memory tally;
        tally.maker = transformation.order != 0 && _isMaking(transformation.kind);
        if (tally.maker) tally.order = _started(transformation.order, transformation.operation, actor).order;
        else if (transformation.order != 0) tally.order = _existingOrder(transformation.order).sequence;
        bytes32[] memory histories = new bytes32[](transformation.inputs.length + transformation.outputs.length);
        _takeInputs(transformation, actor, tally, histories);
        _makeOutputs(transformation, actor, tally, histories);
        bytes32 first = histories[transformation.inputs.length];
        bytes memory data = abi.encode(actor.key, histories, transformation);
        _record(LotsTransformed.selector, actor, first, histories, data);
    }

    function _takeInputs(
        Transformation calldata transformation,
        Actor memory actor,
        Tally memory tally,
        bytes32[] memory histories
    ) private {
        for (uint256 i; i < transformation.inputs.length; ++i) {
            Input calldata input = transformation.inputs[i];
            if (i != 0 && input.lot <= histories[i - 1]) revert LotsNotAscending(input.lot);
            Lot storage entry = _mine(input.lot, actor);
            if (entry.state == LotState.Quarantined && transformation.kind == TransformationKind.Rework) {
                tally.quarantinedBy = entry.counterparty;
            } else if (entry.state != LotState.Held) {
                revert LotStateWrong(input.lot, entry.state);
            }
            _requireSameOrder(input.lot, entry, transformation, tally);
            if (entry.unit == transformation.unit) {
                tally.quantity += input.quantity;
            } else if (transformation.kind != TransformationKind.Conversion) {
                revert TransformationUnitWrong(input.lot, entry.unit);
            }
            _consume(input.lot, entry, input.quantity);
            histories[i] = input.lot;
        }
    }

    /// @dev An order's lot leaves its order only into another one, under an assignment started there: so no lot slips
    /// past its gate by being renamed.
    function _requireSameOrder(
        bytes32 lot,
        Lot storage entry,
        Transformation calldata transformation,
        Tally memory tally
    ) private view {
        if (entry.order == tally.order) return;
        if (tally.maker && transformation.kind == TransformationKind.Conversion) return;
        revert LotOrderWrong(lot, transformation.order, entry.order);
    }

    function _makeOutputs(
        Transformation calldata transformation,
        Actor memory actor,
        Tally memory tally,
        bytes32[] memory histories
    ) private {
        uint256 made;
        for (uint40 place; place < transformation.outputs.length; ++place) {
            Output calldata output = transformation.outputs[place];
            bytes32 lot = _createLot(
                output.identifierHash, tally.order, output.quantity, transformation.outputUnit, actor.participant, place
            );
            if (tally.quarantinedBy != 0) {
                (_lots[lot].state, _lots[lot].counterparty) = (LotState.Quarantined, tally.quarantinedBy);
            }
            made += output.quantity;
            histories[transformation.inputs.length + place] = lot;
        }
        _requireBalance(transformation, tally.quantity, made);
    }

    function _requireShape(Transformation calldata transformation) private pure {
        uint256 inputs = transformation.inputs.length;
        uint256 outputs = transformation.outputs.length;
        TransformationKind kind = transformation.kind;
        if (inputs > MOST_LOTS) revert LotsTooMany(inputs, MOST_LOTS);
        if (outputs > MOST_LOTS) revert LotsTooMany(outputs, MOST_LOTS);
        bool fits = inputs != 0 && outputs != 0;
        if (kind == TransformationKind.Split) fits = inputs == 1 && outputs > 1;
        if (kind == TransformationKind.Merge) fits = inputs > 1 && outputs == 1;
        if (kind == TransformationKind.Rework) fits = inputs == 1 && outputs != 0;
        if (!fits) revert TransformationShapeWrong(kind, inputs, outputs);
    }

    /// @dev All factors are below 2^47, so the products cannot overflow.
    function _requireBalance(Transformation calldata transformation, uint256 input, uint256 output) private pure {
        (uint40 loss, uint40 yieldIn, uint40 yieldOut) =
            (transformation.loss, transformation.yieldIn, transformation.yieldOut);
        bool sameUnit = transformation.unit == transformation.outputUnit;
        bool balanced = loss <= input && yieldIn != 0 && yieldOut != 0 && (input - loss) * yieldOut == output * yieldIn
            && (!sameUnit || yieldIn == yieldOut) && (sameUnit || transformation.kind == TransformationKind.Conversion);
        if (!balanced) revert TransformationUnbalanced(input, loss, output, yieldIn, yieldOut);
    }

    function _isMaking(TransformationKind kind) private pure returns (bool) {
        return kind == TransformationKind.Conversion || kind == TransformationKind.Rework;
    }
}
