// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {INotes} from "../../src/interfaces/INotes.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {WaiverReplay} from "./WaiverReplay.sol";

/// @notice Lots and packing as their logs tell them.
abstract contract LotReplay is WaiverReplay {
    /// @dev Of one unit, over the whole ledger.
    struct Balance {
        /// Received, commissioned, or put out by a transformation.
        uint256 made;
        /// Scrapped, or taken in by a transformation.
        uint256 used;
    }

    uint16 internal constant HOLDER = Roles.HOLDER;
    uint16 private constant CORRECTION = 6;

    // What an interesting history has in it, beside every kind of record.
    bytes32 public constant QUARANTINED_REWORKED = "quarantined lot reworked";
    bytes32 public constant INTO_ANOTHER_ORDER = "into another order";
    bytes32 public constant COMPONENT_USED = "component used up";
    bytes32 public constant MADE_BESIDE = "made beside";
    bytes32 public constant YIELD_IN_ONE_UNIT = "yield within one unit";
    bytes32 public constant STAYS_IN_ITS_UNIT = "stays in its unit";
    bytes32 public constant PASS_VOIDED = "pass voided";
    bytes32 public constant LIFTED_BY_THE_CUSTODIAN = "lifted by the custodian";
    bytes32 public constant LIFTED_BY_WAIVER = "lifted by a waiver";
    bytes32 public constant LIFTED_FROM_THE_GONE = "lifted from one that is gone";
    bytes32 public constant QUARANTINED_DEALLOCATED = "quarantined lot deallocated";
    bytes32 public constant HANDED_ON = "exported or sold";
    bytes32 public constant UNPACKED_FROM_QUARANTINE = "unpacked from quarantine";
    bytes32 public constant UNPACKED_FROM_THE_ABSENT = "unpacked from one that is absent";
    bytes32 public constant RELEASED_BY_CUSTODIAN = "released after delivery";
    bytes32 public constant BUYER_TOOK_OUT = "buyer takes out of gated order";

    mapping(bytes32 lot => bytes32[]) internal _children;
    mapping(bytes3 unit => Balance) internal _balances;
    bytes3[] internal _units;

    function _applyLot(Entry memory entry, bytes32[] memory histories) internal returns (bool) {
        bytes32 kind = entry.kind;
        if (kind == ILots.LotCommissioned.selector) _commission(entry, histories);
        else if (kind == ILots.LotReceived.selector) _receive(entry);
        else if (kind == ILots.LotsTransformed.selector) _transform(entry, histories);
        else if (kind == ILots.LotReworked.selector) _rework(entry, histories);
        else if (kind == ILots.LotAllocated.selector) _allocate(entry);
        else if (kind == ILots.LotDeallocated.selector) _deallocate(entry);
        else if (kind == ILots.LotScrapped.selector) _scrap(entry);
        else if (kind == ILots.LotsPacked.selector) _pack(entry, histories);
        else if (kind == ILots.LotsUnpacked.selector) _unpack(entry, histories);
        else if (kind == ILots.LotQuarantined.selector) _quarantine(entry);
        else if (kind == ILots.LotReleased.selector) _release(entry);
        else return false;
        return true;
    }

    function _applyNote(Entry memory entry, bytes32[] memory histories) internal returns (bool) {
        if (entry.kind != INotes.NoteRecorded.selector) return false;
        (,, uint16 kind, uint40 about,) = abi.decode(entry.data, (address, bytes32[], uint16, uint40, bytes32));
        bool named = about < entry.sequence && (about != 0 || kind != CORRECTION);
        _hold(Property.Authority, named, "note: a correction of nothing, or of a later record");
        bool byOwner = entry.participant == 0 && entry.key == _owner;
        if (!byOwner) _act(entry, entry.participant, Roles.ANY);
        bool standing = kind != 0 && histories.length != 0 && histories[0] == entry.subject;
        for (uint256 i; i < histories.length; ++i) {
            ILots.Lot storage lot = _lots[histories[i]];
            bool held = !lot.packed && lot.holder == entry.participant;
            bool part = _isParty(histories[i], entry) || _isParty(_orderAt[lot.order], entry);
            bool own = lot.number != 0
                && (held || _makerOf[histories[i]] == entry.participant || _hasIssued[entry.participant][histories[i]]);
            standing = standing && (byOwner || part || own) && (i == 0 || histories[i] > histories[i - 1]);
        }
        _hold(Property.Authority, standing, "note: by somebody without a part, or on nothing");
        return true;
    }

    function _deliverable(bytes32 subject) internal view override returns (uint256 lots, uint256 quantity) {
        IOrders.Order storage order = _orders[subject];
        for (uint256 i; i < _allLots.length; ++i) {
            ILots.Lot storage lot = _lots[_allLots[i]];
            bool own = lot.order == order.sequence && lot.holder == order.buyer && !lot.packed;
            if (!own || lot.state != ILots.LotState.Held) continue;
            ++lots;
            if (lot.unit == order.unit) quantity += lot.quantity;
        }
    }

    function _isParty(bytes32 subject, Entry memory entry) private view returns (bool) {
        IOrders.Order storage order = _orders[subject];
        uint32 id = entry.participant;
        return order.sequence != 0 && (id == order.buyer || id == order.coordinator || _inspects(subject, id));
    }

    function _compareLot(bytes32 subject) internal virtual {
        bool same = _same(abi.encode(_ledger.lotOf(subject)), abi.encode(_lots[subject]));
        _hold(Property.Rebuilt, same, "lot differs from its logs");
        _hold(
            Property.Packing, _ledger.lotOf(subject).contents == _children[subject].length, "lot: contents not counted"
        );
        _compareCertificates(subject);
        _compareWaivers(subject);
    }

    /// @dev Over all lots: what each unit's logs made and used up is what the lots hold now.
    function _compareQuantities() internal {
        for (uint256 i; i < _units.length; ++i) {
            uint256 held;
            for (uint256 j; j < _allLots.length; ++j) {
                ILots.Lot memory lot = _ledger.lotOf(_allLots[j]);
                if (lot.unit == _units[i]) held += lot.quantity;
            }
            Balance storage balance = _balances[_units[i]];
            _hold(Property.Quantities, balance.made == held + balance.used, "quantities: made is not held plus used");
        }
    }

    // Making and using up

    function _commission(Entry memory entry, bytes32[] memory histories) private {
        (,, bytes32 order, uint40 number, uint40 quantity, bytes3 unit,) =
            abi.decode(entry.data, (address, bytes32[], bytes32, uint40, uint40, bytes3, bytes32));
        Place storage place = _assignmentAt[number];
        IAssignments.Assignment storage current = _assignments[place.order][place.operation];
        bool named = place.order == order && order != 0 && current.sequence == number;
        _hold(Property.Authority, named, "commissionLot: not under a current assignment of the order");
        _hold(Property.Heads, histories.length == 1, "commissionLot: touches more than its lot");
        _requireMaking(entry, order, place.operation);
        _create(entry, entry.subject, _orders[order].sequence, quantity, unit, 0);
    }

    function _receive(Entry memory entry) private {
        (,, uint40 quantity, bytes3 unit,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes3, bytes32));
        _act(entry, entry.participant, HOLDER);
        _hold(Property.Terms, _successor == address(0), "receiveLot: closed");
        _create(entry, entry.subject, 0, quantity, unit, 0);
    }

    function _scrap(Entry memory entry) private {
        ILots.Lot storage lot = _lots[entry.subject];
        (,, uint40 quantity, ILots.Disposition disposition,) =
            abi.decode(entry.data, (address, bytes32[], uint40, ILots.Disposition, bytes32));
        _actOnLot(entry, lot, uint32(lot.holder));
        bool apart = lot.state == ILots.LotState.Quarantined;
        _hold(Property.LotMoves, apart || lot.state == ILots.LotState.Held, "scrapLot: neither held nor quarantined");
        bool handedOn = disposition == ILots.Disposition.Exported || disposition == ILots.Disposition.Sold;
        _hold(Property.Quarantine, !(apart && handedOn), "scrapLot: handed on out of quarantine");
        if (handedOn) ++count[HANDED_ON];
        _use(entry.subject, quantity);
    }

    function _transform(Entry memory entry, bytes32[] memory histories) private {
        (,, ILots.Transformation memory change) = abi.decode(entry.data, (address, bytes32[], ILots.Transformation));
        bool making = change.kind == ILots.TransformationKind.Conversion;
        _act(entry, entry.participant, making ? Roles.MANUFACTURER : HOLDER);
        if (making && change.order != 0) {
            _requireMaking(entry, change.order, change.operation);
        }
        uint256 lots = change.inputs.length + change.outputs.length;
        _hold(Property.Heads, histories.length == lots, "transformLots: touches more or less than its lots");
        uint256 conserved = _takeAll(entry, change, histories);
        uint256 made;
        uint256 remaining;
        for (uint256 i; i < change.outputs.length; ++i) {
            bytes32 output = histories[change.inputs.length + i];
            ILots.Output memory out = change.outputs[i];
            _create(entry, output, _orders[change.order].sequence, out.quantity, out.unit, i);
            if (out.unit == change.outputUnit) made += out.quantity;
            else if (out.unit == change.unit) remaining += out.quantity;
            if (out.unit != change.outputUnit) {
                ++count[out.unit == change.unit ? STAYS_IN_ITS_UNIT : MADE_BESIDE];
                bool conversion = change.kind == ILots.TransformationKind.Conversion;
                _hold(Property.Quantities, conversion, "transformLots: several units out of one");
            }
            _passOn(change, output);
        }
        _requireBalance(change, conserved, made, remaining);
    }

    /// @dev What is split off has the certificates of the lot that it was made from.
    function _passOn(ILots.Transformation memory change, bytes32 output) private {
        Gate[] storage gates = _gatesAt[change.order];
        for (uint256 i; change.kind == ILots.TransformationKind.Split && i < gates.length; ++i) {
            _handOn(change.inputs[0].lot, output, gates[i].inspector);
        }
    }

    function _takeAll(Entry memory entry, ILots.Transformation memory change, bytes32[] memory histories)
        private
        returns (uint256 conserved)
    {
        for (uint256 i; i < change.inputs.length; ++i) {
            ILots.Input memory input = change.inputs[i];
            ILots.Lot storage lot = _lots[input.lot];
            _hold(Property.Heads, histories[i] == input.lot, "transformLots: input is missing from the histories");
            _hold(Property.Quarantine, lot.state == ILots.LotState.Held, "transformLots: input is not free");
            if (!input.component) {
                conserved += input.quantity;
                _hold(Property.Quantities, lot.unit == change.unit, "transformLots: other unit");
            }
            _takeIn(entry, input, change.order, change.kind == ILots.TransformationKind.Conversion);
        }
    }

    function _requireBalance(ILots.Transformation memory change, uint256 conserved, uint256 made, uint256 remaining)
        private
    {
        uint256 gone = remaining + change.loss;
        bool balanced = conserved >= gone && (conserved - gone) * change.yieldOut == made * change.yieldIn;
        if (change.kind != ILots.TransformationKind.Conversion) {
            balanced = balanced && change.unit == change.outputUnit && conserved == made + change.loss;
        } else if (change.unit == change.outputUnit && change.yieldIn != change.yieldOut) {
            ++count[YIELD_IN_ONE_UNIT];
        }
        _hold(Property.Quantities, balanced && made != 0, "transformLots: unbalanced");
    }

    /// @param joins Whether the lot may enter the order.
    function _takeIn(Entry memory entry, ILots.Input memory input, bytes32 order, bool joins) private {
        ILots.Lot storage lot = _lots[input.lot];
        _actOnLot(entry, lot, uint32(lot.holder));
        _hold(Property.Belonging, lot.order == _orders[input.order].sequence, "input is of another order than said");
        if (input.component) ++count[COMPONENT_USED];
        if (lot.order != _orders[order].sequence) {
            IOrders.Order storage from = _orders[input.order];
            bool own = from.buyer == entry.participant;
            bool gated = _isGated(input.order);
            bool leaves = input.order == 0 || own || (order != 0 && !gated);
            _hold(Property.Belonging, leaves && (order == 0 || joins), "lot left its order");
            if (input.order != 0) ++count[own && gated ? BUYER_TOOK_OUT : INTO_ANOTHER_ORDER];
        }
        _use(input.lot, input.quantity);
    }

    function _rework(Entry memory entry, bytes32[] memory histories) private {
        (,, ILots.Rework memory change, uint40 assignment) =
            abi.decode(entry.data, (address, bytes32[], ILots.Rework, uint40));
        ILots.Lot storage lot = _lots[entry.subject];
        _act(entry, uint32(lot.holder), Roles.MANUFACTURER);
        _actOnLot(entry, lot, uint32(lot.holder));
        bool named = change.lot == entry.subject && histories[0] == entry.subject
            && histories.length == change.components.length + 1;
        _hold(Property.Heads, named, "reworkLot: touches more or less than its lots");
        bool free = lot.state == ILots.LotState.Held || lot.state == ILots.LotState.Quarantined;
        _hold(Property.LotMoves, free && _children[entry.subject].length == 0, "reworkLot: lot is not free");
        _hold(Property.Belonging, lot.order == _orders[change.order].sequence, "reworkLot: of another order");
        _requireWork(entry, change.order, change.operation, assignment);
        for (uint256 i; i < change.components.length; ++i) {
            ILots.Input memory input = change.components[i];
            _hold(Property.Heads, histories[i + 1] == input.lot, "reworkLot: component is missing from the histories");
            bool held = input.component && _lots[input.lot].state == ILots.LotState.Held;
            _hold(Property.Quarantine, held, "reworkLot: component is not free");
            _takeIn(entry, input, change.order, true);
        }
        if (lot.state == ILots.LotState.Quarantined) ++count[QUARANTINED_REWORKED];
        if (_hasPass(entry.subject)) ++count[PASS_VOIDED];
        (lot.reworks, _reworks[entry.subject]) = (lot.reworks + 1, entry.sequence);
    }

    function _allocate(Entry memory entry) private {
        (,, bytes32 order, uint40 assignment,) = abi.decode(entry.data, (address, bytes32[], bytes32, uint40, bytes32));
        ILots.Lot storage lot = _lots[entry.subject];
        _actOnLot(entry, lot, uint32(lot.holder));
        _hold(Property.LotMoves, lot.state == ILots.LotState.Held, "allocateLot: not held");
        _hold(Property.Belonging, lot.order == 0 && order != 0, "allocateLot: not from stock into an order");
        _requireWork(entry, order, _assignmentAt[assignment].operation, assignment);
        _requireMaking(entry, order, _assignmentAt[assignment].operation);
        lot.order = _orders[order].sequence;
    }

    function _deallocate(Entry memory entry) private {
        (,, bytes32 order,) = abi.decode(entry.data, (address, bytes32[], bytes32, bytes32));
        ILots.Lot storage lot = _lots[entry.subject];
        IOrders.Order storage from = _orders[order];
        _act(entry, entry.participant, Roles.BUYER | Roles.COORDINATOR);
        bool left = from.state == IOrders.OrderState.Ended && _rolesOf(from.buyer) & Roles.BUYER == 0;
        bool unguarded = !_isGated(order) || left;
        bool bought = !lot.packed && lot.holder == from.buyer;
        bool coordinates = entry.participant == from.coordinator && unguarded && !bought;
        bool consents = entry.participant == from.buyer || coordinates;
        bool named = order != 0 && lot.order == from.sequence;
        _hold(Property.Belonging, consents && named, "deallocateLot: without consent");
        bool free = lot.state == ILots.LotState.Held || lot.state == ILots.LotState.Quarantined;
        _hold(Property.LotMoves, free && !lot.packed, "deallocateLot: lot is not free");
        if (lot.state == ILots.LotState.Quarantined) ++count[QUARANTINED_DEALLOCATED];
        lot.order = 0;
    }

    /// @dev `assignment` is the order's started one of that operation, of whoever acts; 0 without an order.
    function _requireWork(Entry memory entry, bytes32 order, uint16 operation, uint40 assignment) private {
        if (order == 0) {
            _hold(Property.Authority, assignment == 0, "assignment without an order");
            return;
        }
        IAssignments.Assignment storage current = _assignments[order][operation];
        _hold(Property.Authority, current.sequence == assignment, "not under the current assignment");
        _requireStarted(entry, current);
    }

    /// @dev An order that ended gets no more lots.
    function _requireMaking(Entry memory entry, bytes32 order, uint16 operation) private {
        _requireStarted(entry, _assignments[order][operation]);
        bool ended = _orders[order].state == IOrders.OrderState.Ended;
        _hold(Property.Belonging, !ended, "made under an order that ended");
    }

    function _create(Entry memory entry, bytes32 lot, uint40 order, uint40 quantity, bytes3 unit, uint256 place)
        private
    {
        _hold(Property.LotMoves, _lots[lot].number == 0, "lot made twice");
        uint40 number = abi.decode(abi.encode(uint256(entry.sequence) * 64 + place), (uint40));
        _lots[lot] = ILots.Lot(number, order, quantity, entry.participant, 0, 0, unit, false, 0, ILots.LotState.Held);
        _makerOf[lot] = entry.participant;
        _allLots.push(lot);
        if (_balances[unit].made == 0) _units.push(unit);
        _balances[unit].made += quantity;
    }

    function _use(bytes32 subject, uint40 quantity) private {
        ILots.Lot storage lot = _lots[subject];
        bool enough = quantity != 0 && quantity <= lot.quantity;
        _hold(Property.Quantities, enough, "lot gives more than it holds");
        _hold(Property.Packing, _children[subject].length == 0, "lot used up with others in it");
        if (!enough) return;
        lot.quantity -= quantity;
        _balances[lot.unit].used += quantity;
        if (lot.quantity == 0) (lot.state, lot.counterparty) = (ILots.LotState.Spent, 0);
    }

    // Packing and quarantine

    function _pack(Entry memory entry, bytes32[] memory histories) private {
        bytes32 parent = histories[0];
        _requireFree(entry, parent);
        for (uint256 i = 1; i < histories.length; ++i) {
            _requireFree(entry, histories[i]);
            _hold(Property.Packing, histories[i] != parent, "packLots: into itself");
            (_lots[histories[i]].holder, _lots[histories[i]].packed) = (_lots[parent].number, true);
            _children[parent].push(histories[i]);
            ++_lots[parent].contents;
        }
    }

    function _unpack(Entry memory entry, bytes32[] memory histories) private {
        bytes32 parent = histories[0];
        ILots.Lot storage from = _lots[parent];
        (,, uint32 custodian) = abi.decode(entry.data, (address, bytes32[], uint32));
        _hold(Property.Packing, !from.packed && from.holder == custodian, "unpackLots: not with the parent's custodian");
        if (entry.participant == custodian) {
            _actOnLot(entry, from, custodian);
        } else {
            _act(entry, entry.participant, HOLDER);
            _requireReclaimable(entry, from);
            if (_isOffered(from)) _endOffer(from);
            ++count[UNPACKED_FROM_THE_ABSENT];
        }
        bool apart = from.state == ILots.LotState.Quarantined;
        if (apart) ++count[UNPACKED_FROM_QUARANTINE];
        _hold(Property.LotMoves, apart || from.state == ILots.LotState.Held, "unpackLots: parent is not free");
        for (uint256 i = 1; i < histories.length; ++i) {
            _hold(Property.Packing, _removeChild(parent, histories[i]), "unpackLots: was not in that parent");
            (_lots[histories[i]].holder, _lots[histories[i]].packed) = (custodian, false);
            --_lots[parent].contents;
        }
    }

    /// @dev By whom a lot may be taken from its custodian, who cannot act.
    /// @return party Whether that is by a side of its order.
    function _requireReclaimable(Entry memory entry, ILots.Lot storage lot) internal returns (bool party) {
        (uint40 since, uint32 trustee) = _absenceOf(uint32(lot.holder));
        bool gone = since != 0 && block.timestamp >= since + 14 days;
        _hold(Property.Authority, gone, "reclaimed from one who may act, or could lately");
        IOrders.Order storage order = _orders[_orderAt[lot.order]];
        party = lot.order != 0 && (order.buyer == entry.participant || order.coordinator == entry.participant);
        _hold(Property.Authority, party || trustee == entry.participant, "reclaimed by a stranger");
    }

    function _isOffered(ILots.Lot storage lot) internal view returns (bool) {
        return lot.state == ILots.LotState.Offered || lot.state == ILots.LotState.Returning;
    }

    function _endOffer(ILots.Lot storage lot) internal {
        if (lot.state == ILots.LotState.Returning) lot.state = ILots.LotState.Quarantined;
        else (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
    }

    function _removeChild(bytes32 parent, bytes32 child) private returns (bool) {
        bytes32[] storage children = _children[parent];
        for (uint256 i; i < children.length; ++i) {
            if (children[i] != child) continue;
            children[i] = children[children.length - 1];
            children.pop();
            return true;
        }
        return false;
    }

    function _quarantine(Entry memory entry) private {
        ILots.Lot storage lot = _lots[entry.subject];
        bool inspects = _inspects(_orderAt[lot.order], entry.participant);
        if (inspects) _act(entry, entry.participant, HOLDER);
        else _actOnLot(entry, lot, uint32(lot.holder));
        bool free = lot.state == ILots.LotState.Held || lot.state == ILots.LotState.Offered;
        _hold(Property.LotMoves, free, "quarantineLot: neither held nor offered");
        _holdBy(entry.subject, entry.participant, 0);
    }

    function _release(Entry memory entry) private {
        ILots.Lot storage lot = _lots[entry.subject];
        if (entry.participant == lot.counterparty) {
            _act(entry, lot.counterparty, HOLDER);
        } else {
            _actOnLot(entry, lot, uint32(lot.holder));
            uint40 behind = _standings[entry.subject][lot.counterparty].quarantining;
            bool gone = behind == 0
                ? _rolesOf(lot.counterparty) == 0
                : _statusOf(behind) != ICertificates.CertificateStatus.Valid;
            bool waived = _isWaived(entry.subject, lot.counterparty);
            bool delivered = lot.order != 0 && _orders[_orderAt[lot.order]].state == IOrders.OrderState.Delivered;
            _hold(Property.Quarantine, gone || waived || delivered, "releaseLot: by the custodian while it counts");
            ++count[delivered ? RELEASED_BY_CUSTODIAN : LIFTED_BY_THE_CUSTODIAN];
            if (!delivered && !gone) ++count[LIFTED_BY_WAIVER];
            if (!delivered && gone && behind == 0) ++count[LIFTED_FROM_THE_GONE];
        }
        _hold(Property.LotMoves, lot.state == ILots.LotState.Quarantined, "releaseLot: not quarantined");
        (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
    }

    // What must be so

    function _actOnLot(Entry memory entry, ILots.Lot storage lot, uint32 expected) internal {
        _act(entry, expected, HOLDER);
        _hold(Property.Packing, !lot.packed, "packed lot moved on its own");
    }

    function _requireFree(Entry memory entry, bytes32 subject) private {
        ILots.Lot storage lot = _lots[subject];
        _actOnLot(entry, lot, uint32(lot.holder));
        _hold(Property.LotMoves, lot.state == ILots.LotState.Held, "packing: lot is not held");
    }

    function _requireStarted(Entry memory entry, IAssignments.Assignment storage current) private {
        _act(entry, current.owner, Roles.MANUFACTURER);
        bool started = current.state == IAssignments.AssignmentState.Started;
        _hold(Property.Authority, started, "lot made under an assignment that is not started");
    }
}
