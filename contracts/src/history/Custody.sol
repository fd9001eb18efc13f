// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICustody} from "../interfaces/ICustody.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Custody: offered, returned, accepted, declined, withdrawn, reclaimed
abstract contract Custody is Verdicts, ICustody {
    /// @dev Deepest packing that moves; real ones (piece, case, pallet, container) need four.
    uint256 private constant MOST_DEPTH = 8;

    /// @dev To whom a consignment goes, whether because its custodian may not act, and what its gates were told last.
    struct Way {
        uint32 to;
        bool reclaimed;
        Issuance known;
    }

    /// @inheritdoc ICustody
    function offerCustody(Item[] calldata consignment, uint32 to, bytes32 claimsRoot) external {
        if (consignment.length == 0) revert ILots.LotsMissing();
        Item calldata first = consignment[0];
        (uint40 order, uint256 gates) = _gatesTo(first.order, to);
        Actor memory actor = _actorTo(to, Roles.HOLDER);
        if (to == actor.participant) revert CustodyToSelf(first.lot);
        ILots.Lot storage entry = _lots[first.lot];
        (uint40 number, uint16 contents) = _requireOfferable(first, entry, order, actor);
        _requireConsignment(consignment, number, contents, to);
        if (gates != 0) _requireAlone(first.lot, entry, gates);
        (entry.state, entry.counterparty) = (ILots.LotState.Offered, to);
        _recordOffer(CustodyOffered.selector, actor, first.lot, to, claimsRoot);
    }

    /// @inheritdoc ICustody
    function returnLot(bytes32 lot, uint32 to, bytes32 identifierHash, bytes32 claimsRoot) external {
        Actor memory actor = _actorTo(to, Roles.HOLDER);
        if (to == actor.participant) revert CustodyToSelf(lot);
        (ILots.Lot storage entry, ILots.LotState state) = _mineIn(lot, actor);
        if (state != ILots.LotState.Quarantined) revert ILots.LotStateWrong(lot, state);
        if (Subjects.derive(Subjects.Kind.Lot, to, identifierHash) != lot) revert CustodyNotTheMaker(lot, to);
        if (entry.contents != 0) revert ILots.LotNotEmpty(lot, entry.contents);
        entry.state = ILots.LotState.Returning;
        _recordOffer(ReturnOffered.selector, actor, lot, to, claimsRoot);
    }

    /// @inheritdoc ICustody
    function acceptCustody(Item[] calldata consignment, uint40 offer, bytes32 claimsRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        _accept(consignment, offer, actor);
        _recordPair(CustodyAccepted.selector, actor, consignment[0].lot, offer, claimsRoot);
    }

    /// @inheritdoc ICustody
    function declineCustody(bytes32 lot, uint40 offer, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        (ILots.Lot storage entry, ILots.LotState state) = _offeredTo(lot, offer, actor);
        _endOffer(entry, state);
        _recordPair(CustodyDeclined.selector, actor, lot, offer, reasonRoot);
    }

    /// @inheritdoc ICustody
    function withdrawCustody(bytes32 lot, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        (ILots.Lot storage entry, ILots.LotState state) = _mineIn(lot, actor);
        if (!_isOffered(state)) revert ILots.LotStateWrong(lot, state);
        _endOffer(entry, state);
        _recordRoot(CustodyWithdrawn.selector, actor, lot, reasonRoot);
    }

    /// @inheritdoc ICustody
    function reclaimCustody(Item[] calldata consignment, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.HOLDER);
        if (consignment.length == 0) revert ILots.LotsMissing();
        Item calldata first = consignment[0];
        ILots.Lot storage entry = _existingLot(first.lot);
        (uint40 holder, bool packed, ILots.LotState state) = (entry.holder, entry.packed, entry.state);
        if (packed) revert ILots.LotPacked(first.lot, holder);
        if (state == ILots.LotState.Spent) revert ILots.LotStateWrong(first.lot, state);
        // forge-lint: disable-next-line(unsafe-typecast) - of a lot that is not packed, a participant
        uint32 from = uint32(holder);
        _requireReclaimable(first.lot, first.order, from, actor.participant);
        Way memory way = _wayTo(actor.participant, true);
        _requireGate(first, entry.order, entry.reworks, way);
        _requireAll(consignment, entry.number, entry.contents, way);
        if (_isOffered(state)) _endOffer(entry, state);
        entry.holder = actor.participant;
        _recordPair(CustodyReclaimed.selector, actor, first.lot, from, reasonRoot);
    }

    /// @inheritdoc ICustody
    function offerOf(bytes32 lot) external view returns (Offer memory) {
        return _offers[lot];
    }

    /// @dev The slot is written after the record: only then is its sequence known without asking for it.
    function _recordOffer(bytes32 kind, Actor memory actor, bytes32 lot, uint32 to, bytes32 claimsRoot) private {
        _offers[lot] = Offer(_recordPair(kind, actor, lot, to, claimsRoot), to);
    }

    /// @dev Custody passes to the actor, with everything packed in the lot. A quarantine stays.
    function _accept(Item[] calldata consignment, uint40 offer, Actor memory actor) private {
        if (consignment.length == 0) revert ILots.LotsMissing();
        bytes32 lot = consignment[0].lot;
        (ILots.Lot storage entry, ILots.LotState state) = _offeredTo(lot, offer, actor);
        (uint40 number, uint40 order, uint16 contents) = (entry.number, entry.order, entry.contents);
        (uint40 belongsTo, uint256 gates) = _gatesTo(consignment[0].order, actor.participant);
        if (belongsTo != order) revert ILots.LotOrderWrong(lot, consignment[0].order, order);
        if (gates != 0) _requireAlone(lot, entry, gates);
        _requireConsignment(consignment, number, contents, actor.participant);
        _endOffer(entry, state);
        entry.holder = actor.participant;
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

    /// @dev The lot and its state, when the offer with the sequence `offer` stands, and was made to the actor.
    function _offeredTo(bytes32 lot, uint40 offer, Actor memory actor)
        private
        view
        returns (ILots.Lot storage entry, ILots.LotState state)
    {
        entry = _existingLot(lot);
        state = entry.state;
        if (!_isOffered(state)) revert ILots.LotStateWrong(lot, state);
        Offer storage standing = _offers[lot];
        (uint40 sequence, uint32 to) = (standing.sequence, standing.to);
        if (to != actor.participant) revert CustodyNotOffered(lot, to);
        if (sequence != offer) revert CustodyOfferWrong(lot, offer, sequence);
    }

    function _requireConsignment(Item[] calldata consignment, uint40 number, uint16 contents, uint32 to) private view {
        if (contents != 0) _requireAll(consignment, number, contents, _wayTo(to, false));
        else if (consignment.length != 1) revert ConsignmentExcess(consignment.length, 1);
    }

    /// @dev Reverts unless the consignment names, after its first lot, all that is packed in it, nothing of that is
    /// quarantined (unless it is reclaimed), and its gates are open on that way. Contents are counted in storage, not
    /// listed: the caller lists them.
    function _requireAll(Item[] calldata consignment, uint40 number, uint16 contents, Way memory way) private view {
        uint256 used = _requireContents(consignment, 0, number, contents, way, 0);
        if (used != consignment.length) revert ConsignmentExcess(consignment.length, used);
    }

    /// @param number Of the lot at `index`, in which `left` are packed.
    /// @return next Index after the item at `index` and everything packed in it.
    function _requireContents(
        Item[] calldata consignment,
        uint256 index,
        uint40 number,
        uint16 left,
        Way memory way,
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
            (uint40 inner, uint16 contents) = _requireChild(item, number, way);
            // Most have nothing in them, and a call costs 150 gas.
            next = contents == 0 ? next + 1 : _requireContents(consignment, next, inner, contents, way, depth + 1);
        }
    }

    function _requireChild(Item calldata item, uint40 parent, Way memory way)
        private
        view
        returns (uint40 number, uint16 contents)
    {
        ILots.Lot storage entry = _requireIn(item.lot, parent);
        uint40 order;
        uint8 reworks;
        ILots.LotState state;
        (number, contents, order, reworks, state) =
        (entry.number, entry.contents, entry.order, entry.reworks, entry.state);
        bool moves = state == ILots.LotState.Held || (way.reclaimed && state == ILots.LotState.Quarantined);
        if (!moves) revert ILots.LotStateWrong(item.lot, state);
        _requireGate(item, order, reworks, way);
    }

    /// @dev Reverts unless the item's order is `order`, its lot's, and the lot may go that way.
    function _requireGate(Item calldata item, uint40 order, uint8 reworks, Way memory way) private view {
        (uint40 number, uint256 gates) = _gatesTo(item.order, way.to);
        if (number != order) revert ILots.LotOrderWrong(item.lot, item.order, order);
        if (gates != 0) _requirePassages(item.lot, reworks, gates, way.known);
    }

    /// @dev Of a lot that is not one of many.
    function _requireAlone(bytes32 lot, ILots.Lot storage entry, uint256 gates) private view {
        Issuance memory known;
        _requirePassages(lot, entry.reworks, gates, known);
    }

    function _wayTo(uint32 to, bool reclaimed) private pure returns (Way memory way) {
        (way.to, way.reclaimed) = (to, reclaimed);
    }

    /// @dev The number of an order, 0 for none, and its gates when they lie before `to`, which is the order's buyer then.
    function _gatesTo(bytes32 order, uint32 to) private view returns (uint40 number, uint256 gates) {
        if (order == 0) return (0, 0);
        IOrders.Order storage entry = _orders[order];
        uint40 model;
        uint32 buyer;
        uint32 inspector;
        (number, model, buyer, inspector) = (entry.sequence, entry.model, entry.buyer, entry.inspector);
        if (number == 0) revert IOrders.OrderUnknown(order);
        if (buyer == to) gates = _gatesOf(order, inspector, model);
    }
}
