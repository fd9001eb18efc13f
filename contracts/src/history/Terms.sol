// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOrders} from "../interfaces/IOrders.sol";
import {Gates} from "../libraries/Gates.sol";
import {Roles} from "../libraries/Roles.sol";
import {Book} from "./Book.sol";

/// @title The parties to an order, and the terms between them
/// @dev Orders begin on terms and Revisions change them, each in other code behind the ledger's address.
abstract contract Terms is Book {
    /// @dev Keeps an order's replay within bounds.
    uint16 private constant MOST_OPERATIONS = 64;

    // Whose agreement a proposal has. One company may be several of them.
    uint8 internal constant PART_BUYER = 1;
    uint8 internal constant PART_COORDINATOR = 2;
    /// @dev The coordinator that the proposed terms name; most often the present one.
    uint8 internal constant PART_SUCCESSOR = 4;

    function _requireParty(bytes32 order, Actor memory actor, uint32 expected) internal pure {
        if (actor.participant != expected) revert IOrders.OrderPartyWrong(order, actor.participant, expected);
    }

    /// @dev The parts that the actor has in the order, each by the role of its own; at least one of them.
    function _partsOf(bytes32 order, IOrders.Order storage entry, uint32 successor, Actor memory actor)
        internal
        view
        returns (uint8 parts)
    {
        (uint32 participant, uint32 buyer, uint32 coordinator) = (actor.participant, entry.buyer, entry.coordinator);
        uint16 needed;
        if (participant == buyer) (parts, needed) = (PART_BUYER, Roles.BUYER);
        uint8 coordinating = participant == successor ? PART_SUCCESSOR : 0;
        if (participant == coordinator) coordinating |= PART_COORDINATOR;
        if (coordinating != 0) needed |= Roles.COORDINATOR;
        if (needed == 0) revert IOrders.OrderPartyWrong(order, participant, coordinator);
        _requireHeld(participant, actor.roles, needed);
        if (actor.roles & Roles.BUYER == 0) parts = 0;
        if (actor.roles & Roles.COORDINATOR != 0) parts |= coordinating;
    }

    function _recordTerms(bytes32 kind, Actor memory actor, bytes32 order, IOrders.OrderTerms memory terms)
        internal
        returns (uint40 assigned)
    {
        return _recordOne(kind, actor, order, abi.encode(actor.key, _touching(order), terms));
    }

    function _requireAmounts(IOrders.OrderTerms memory terms) internal pure {
        (uint16 operations, uint32 quantity, bytes3 unit) = (terms.operations, terms.quantity, terms.unit);
        if (operations == 0 || operations > MOST_OPERATIONS) {
            revert IOrders.OrderOperationsInvalid(operations, MOST_OPERATIONS);
        }
        if ((quantity == 0) != (unit == 0)) revert IOrders.OrderQuantityInvalid(quantity, unit);
    }

    /// @dev Of terms that _requireAmounts has let pass.
    function _operationsOf(IOrders.OrderTerms memory terms) internal pure returns (uint8) {
        // forge-lint: disable-next-line(unsafe-typecast) - at most MOST_OPERATIONS
        return uint8(terms.operations);
    }

    /// @dev Keeps the gates beside the order's slot when they are several.
    /// @return inspector What the order's slot says of them, and `model`.
    function _keepGates(bytes32 order, uint256 gates) internal returns (uint32 inspector, uint40 model) {
        if (Gates.rest(gates) == 0) return Gates.first(gates);
        _gates[order] = gates;
        return (SEVERAL, 0);
    }

    /// @return open Whether new orders are taken.
    function _requireParties(IOrders.OrderTerms memory terms) internal view returns (bool open) {
        (uint32 coordinator, uint256 gates) = (terms.coordinator, terms.gates);
        uint32 before;
        for (uint256 i; i == 0 || gates != 0; ++i) {
            (uint32 inspector, uint40 model) = Gates.first(gates);
            uint16 held;
            uint16 holds;
            bool approved;
            (held, holds, approved, open) = registry.standingOf(coordinator, inspector, model);
            _requireHeld(coordinator, held, Roles.COORDINATOR);
            if (gates == 0) return open;
            bool fits = i < Gates.MOST && inspector > before && inspector != coordinator && (model == 0 || approved);
            if (!fits) revert IOrders.OrderGateInvalid(inspector, model);
            _requireHeld(inspector, holds, Roles.INSPECTOR);
            (before, gates) = (inspector, Gates.rest(gates));
        }
    }
}
