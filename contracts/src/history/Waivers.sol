// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGates} from "../interfaces/IGates.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Book} from "./Book.sol";

/// @title What the buyer of an order takes without a gate
abstract contract Waivers is Book, IGates {
    /// @inheritdoc IGates
    function waiveGate(bytes32 lot, bytes32 order, uint32 inspector, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.BUYER);
        _requireGated(order, inspector, actor);
        uint40 certificate = _keep(lot, order, inspector);
        bytes memory data = abi.encode(actor.key, _touching(lot), inspector, certificate, reasonRoot);
        _recordOne(GateWaived.selector, actor, lot, data);
    }

    /// @inheritdoc IGates
    function gatesOf(bytes32 order) external view returns (uint256) {
        IOrders.Order storage entry = _orders[order];
        return _gatesOf(order, entry.inspector, entry.model);
    }

    /// @inheritdoc IGates
    function waiverOf(bytes32 lot, uint32 inspector) external view returns (Waiver memory) {
        return _waivers[lot][inspector];
    }

    /// @dev Reverts unless the order is the actor's, and one of its gates the inspector's.
    function _requireGated(bytes32 order, uint32 inspector, Actor memory actor) private view {
        IOrders.Order storage entry = _existingOrder(order);
        (uint32 buyer, uint32 named) = (entry.buyer, entry.inspector);
        if (buyer != actor.participant) revert IOrders.OrderPartyWrong(order, actor.participant, buyer);
        if (inspector == 0 || !_isGateOf(order, named, inspector)) revert GateUnknown(order, inspector);
    }

    function _keep(bytes32 lot, bytes32 order, uint32 inspector) private returns (uint40 certificate) {
        ILots.Lot storage entry = _existingLot(lot);
        _requireOrder(lot, entry, order);
        (uint40 number, uint8 reworks, ILots.LotState state) = (entry.order, entry.reworks, entry.state);
        if (state == ILots.LotState.Spent) revert ILots.LotStateWrong(lot, state);
        certificate = _standings[lot][inspector].latest;
        _waivers[lot][inspector] = Waiver({order: number, certificate: certificate, reworks: reworks});
    }
}
