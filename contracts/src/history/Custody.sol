// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICustody} from "../interfaces/ICustody.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Custody: offered, accepted, declined, withdrawn
abstract contract Custody is Verdicts, ICustody {
    /// @dev Deepest packing that moves; real ones (piece, case, pallet, container) need four.
    uint256 private constant MOST_DEPTH = 8;

    /// @inheritdoc ICustody
    function offerCustody(Item[] calldata consignment, uint32 to, bytes32 claimsRoot) external {
        if (consignment.length == 0) revert ILots.LotsMissing();
        Item calldata first = consignment[0];
        (uint40 order, uint40 model, uint32 inspector) = _gateOf(first.order, to);
        Actor memory actor = _actorTo(to, Roles.HOLDER);
        if (to == actor.participant) revert CustodyToSelf(first.lot);
        ILots.Lot storage entry = _lots[first.lot];
        (uint40 number, uint16 contents) = _requireOfferable(first, entry, order, actor);
        _requireConsignment(consignment, number, contents, to);
        if (inspector != 0) _requirePassage(first.lot, inspector, model);
        (entry.state, entry.counterparty) = (ILots.LotState.Offered, to);
        _recordPair(CustodyOffered.selector, actor, first.lot, to, claimsRoot);
    }

    /// @inheritdoc ICustody
    function acceptCustody(Item[] calldata consignment, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        if (consignment.length == 0) revert ILots.LotsMissing();
        bytes32 lot = consignment[0].lot;
        ILots.Lot storage entry = _offeredTo(lot, actor);
        (uint40 number, uint40 from, uint40 order, uint16 contents) =
            (entry.number, entry.holder, entry.order, entry.contents);
        _requireGate(consignment[0], order, actor.participant);
        _requireConsignment(consignment, number, contents, actor.participant);
        (entry.state, entry.holder, entry.counterparty) = (ILots.LotState.Held, actor.participant, 0);
        _recordPair(CustodyAccepted.selector, actor, lot, from, claimsRoot);
    }

    /// @inheritdoc ICustody
    function declineCustody(bytes32 lot, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        ILots.Lot storage entry = _offeredTo(lot, actor);
        (entry.state, entry.counterparty) = (ILots.LotState.Held, 0);
        _recordRoot(CustodyDeclined.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ICustody
    function withdrawCustody(bytes32 lot, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        (ILots.Lot storage entry, ILots.LotState state) = _mineIn(lot, actor);
        if (state != ILots.LotState.Offered) revert ILots.LotStateWrong(lot, state);
        (entry.state, entry.counterparty) = (ILots.LotState.Held, 0);
        _recordRoot(CustodyWithdrawn.selector, actor, lot, reasonRoot);
    }

    /// @dev Reverts unless the lot is the actor's, free to go, and of `order`.
    function _requireOfferable(Item calldata item, ILots.Lot storage entry, uint40 order, Actor memory actor)
        private
        view
        returns (uint40 number, uint16 contents)
    {
        uint40 holder;
        uint40 belongsTo;
        bool packed;
        ILots.LotState state;
        (number, holder, belongsTo, contents, packed, state) =
        (entry.number, entry.holder, entry.order, entry.contents, entry.packed, entry.state);
        _requireMine(item.lot, number, holder, packed, actor);
        if (state != ILots.LotState.Held) revert ILots.LotStateWrong(item.lot, state);
        if (belongsTo != order) revert ILots.LotOrderWrong(item.lot, item.order, belongsTo);
    }

    function _offeredTo(bytes32 lot, Actor memory actor) private view returns (ILots.Lot storage entry) {
        entry = _lots[lot];
        (uint40 number, uint32 to, ILots.LotState state) = (entry.number, entry.counterparty, entry.state);
        if (number == 0) revert ILots.LotUnknown(lot);
        if (state != ILots.LotState.Offered) revert ILots.LotStateWrong(lot, state);
        if (to != actor.participant) revert CustodyNotOffered(lot, to);
    }

    /// @dev Reverts unless the consignment names, after its first lot, all that is packed in it, nothing of that is
    /// quarantined, and its gates are open for `to`. Contents are counted in storage, not listed: the caller lists them.
    function _requireConsignment(Item[] calldata consignment, uint40 number, uint16 contents, uint32 to) private view {
        uint256 used = contents == 0 ? 1 : _requireContents(consignment, 0, number, contents, to, 0);
        if (used != consignment.length) revert ConsignmentExcess(consignment.length, used);
    }

    /// @param number Of the lot at `index`, in which `left` are packed.
    /// @return next Index after the item at `index` and everything packed in it.
    function _requireContents(
        Item[] calldata consignment,
        uint256 index,
        uint40 number,
        uint16 left,
        uint32 to,
        uint256 depth
    ) private view returns (uint256 next) {
        next = index + 1;
        bytes32 last;
        for (; left != 0; --left) {
            if (next >= consignment.length) revert ConsignmentIncomplete(consignment[index].lot, left);
            Item calldata item = consignment[next];
            if (item.lot <= last) revert ILots.LotsNotAscending(item.lot);
            if (depth == MOST_DEPTH) revert ConsignmentTooDeep(item.lot);
            last = item.lot;
            (uint40 inner, uint16 contents) = _requireChild(item, number, to);
            next = _requireContents(consignment, next, inner, contents, to, depth + 1);
        }
    }

    function _requireChild(Item calldata item, uint40 parent, uint32 to)
        private
        view
        returns (uint40 number, uint16 contents)
    {
        ILots.Lot storage entry = _requireIn(item.lot, parent);
        uint40 order;
        ILots.LotState state;
        (number, contents, order, state) = (entry.number, entry.contents, entry.order, entry.state);
        if (state != ILots.LotState.Held) revert ILots.LotStateWrong(item.lot, state);
        _requireGate(item, order, to);
    }

    /// @dev Reverts unless the item's order is `order`, its lot's, and the lot may pass to `to`.
    function _requireGate(Item calldata item, uint40 order, uint32 to) private view {
        (uint40 number, uint40 model, uint32 inspector) = _gateOf(item.order, to);
        if (number != order) revert ILots.LotOrderWrong(item.lot, item.order, order);
        if (inspector != 0) _requirePassage(item.lot, inspector, model);
    }

    /// @dev The number of an order, 0 for none, and its gate when it lies before `to`, which is the order's buyer then.
    function _gateOf(bytes32 order, uint32 to) private view returns (uint40 number, uint40 model, uint32 inspector) {
        if (order == 0) return (0, 0, 0);
        IOrders.Order storage entry = _orders[order];
        uint32 buyer;
        (number, model, buyer, inspector) = (entry.sequence, entry.model, entry.buyer, entry.inspector);
        if (number == 0) revert IOrders.OrderUnknown(order);
        if (buyer != to) (model, inspector) = (0, 0);
    }
}
