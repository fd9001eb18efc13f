// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {INotes} from "../../src/interfaces/INotes.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {Subjects} from "../../src/libraries/Subjects.sol";
import {Production} from "./Production.sol";

/// @notice Lots and certificates, mostly as their parties would use them.
abstract contract Logistics is Production {
    mapping(bytes32 lot => uint32) internal _makerOf;
    mapping(bytes32 lot => bytes32) internal _hashOf;

    // ---- making and using up ----

    function make(uint256 seed) external act(seed) {
        bytes32 name = _name();
        uint40 quantity = _small(1, 30);
        bytes3 unit = _chance(70) ? PIECE : KGM;
        (bytes32 order, uint16 operation) = _drawOperation();
        IAssignments.Assignment memory current = ledger.assignmentOf(order, operation);
        uint32 id = current.state == IAssignments.AssignmentState.Started && _chance(95)
            ? current.owner
            : uint32(1 + _below(_parties.length));
        bytes memory data = current.state == IAssignments.AssignmentState.Started || _chance(5)
            ? abi.encodeCall(ILots.commissionLot, (name, order, operation, quantity, unit, ROOT))
            : abi.encodeCall(ILots.receiveLot, (name, quantity, unit, ROOT));
        if (_record(_parties[id - 1].key, data)) _keep(id, name);
    }

    function scrap(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        ILots.Lot memory stored = ledger.lotOf(lot);
        uint40 quantity = _small(_chance(95) ? 1 : 0, uint256(stored.quantity) / 3 + 1);
        if (_chance(5)) quantity = stored.quantity + 1;
        ILots.Disposition disposition = ILots.Disposition(_below(5));
        bytes memory data = abi.encodeCall(ILots.scrapLot, (lot, quantity, disposition, ROOT));
        _record(_keyOf(_custodianOf(stored)), data);
    }

    function transform(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 3 && ledger.lotOf(lot).quantity < 2; ++i) {
            lot = _anyLot();
        }
        ILots.Lot memory stored = ledger.lotOf(lot);
        ILots.Transformation memory change = _drawChange(lot, stored);
        uint32 id = _custodianOf(stored);
        if (_chance(10)) _spoil(change);
        if (id == 0 || !_record(_parties[id - 1].key, abi.encodeCall(ILots.transformLots, (change)))) return;
        for (uint256 i; i < change.outputs.length; ++i) {
            _keep(id, change.outputs[i].identifierHash);
        }
    }

    function rework(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 3 && _latest(lot) == 0; ++i) {
            lot = _anyLot();
        }
        ILots.Lot memory stored = ledger.lotOf(lot);
        bytes32 other = _companion(lot, stored);
        uint32 id = _custodianOf(stored);
        bytes32 order = replay.orderAt(stored.order);
        ILots.Rework memory change = ILots.Rework(lot, order, _startedBy(order, id), ROOT, new ILots.Input[](0));
        if (_chance(50)) {
            change.components = _inputs(other, 1);
            change.components[0].component = _chance(95);
        }
        _record(_keyOf(id), abi.encodeCall(ILots.reworkLot, (change)));
    }

    // ---- stock and orders ----

    function allocate(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 6 && ledger.lotOf(lot).order != 0; ++i) {
            lot = _anyLot();
        }
        uint32 id = _custodianOf(ledger.lotOf(lot));
        bytes32 order = _anyOrder();
        for (uint256 i; i < 3 && ledger.orderOf(order).state != IOrders.OrderState.InProduction; ++i) {
            order = _anyOrder();
        }
        _record(_keyOf(id), abi.encodeCall(ILots.allocateLot, (lot, order, _startedBy(order, id), ROOT)));
    }

    /// @dev A buyer makes lots of no order of what it bought.
    function takeOut(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 20 && !_isBought(lot); ++i) {
            lot = _anyLot();
        }
        ILots.Lot memory stored = ledger.lotOf(lot);
        if (stored.quantity < 2) return;
        ILots.Output[] memory parts = _outputs("", 1, "", stored.quantity - 1);
        (parts[0].identifierHash, parts[1].identifierHash) = (_name(), _name());
        ILots.Transformation memory change =
            _change(ILots.TransformationKind.Split, 0, _inputs(lot, stored.quantity), parts);
        change.unit = stored.unit;
        _measure(change, stored.unit);
        uint32 id = _custodianOf(stored);
        if (!_record(_keyOf(id), abi.encodeCall(ILots.transformLots, (change)))) return;
        for (uint256 i; i < parts.length; ++i) {
            _keep(id, parts[i].identifierHash);
        }
    }

    function deallocate(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        bytes32 order = replay.orderAt(ledger.lotOf(lot).order);
        IOrders.Order memory from = ledger.orderOf(order);
        address by = _keyOf(_chance(60) ? from.buyer : from.coordinator);
        _record(by, abi.encodeCall(ILots.deallocateLot, (lot, order, ROOT)));
    }

    // ---- packing and quarantine ----

    function pack(uint256 seed) external act(seed) {
        bytes32 child = _anyLot();
        ILots.Lot memory stored = ledger.lotOf(child);
        bytes32 parent = _companion(child, stored);
        address by = _keyOf(_custodianOf(stored));
        _record(by, abi.encodeCall(ILots.packLots, (parent, _one(child))));
    }

    function unpack(uint256 seed) external act(seed) {
        bytes32 parent = _anyLot();
        for (uint256 i; i < 4 && ledger.lotOf(parent).contents == 0; ++i) {
            parent = _anyLot();
        }
        bytes32[] memory children = replay.childrenOf(parent);
        bytes32 child = children.length != 0 && _chance(95) ? children[_below(children.length)] : _anyLot();
        address by = _keyOf(_custodianOf(ledger.lotOf(parent)));
        _record(by, abi.encodeCall(ILots.unpackLots, (parent, _one(child))));
    }

    function setApart(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 3 && ledger.lotOf(lot).state != ILots.LotState.Quarantined && _chance(60); ++i) {
            lot = _anyLot();
        }
        ILots.Lot memory stored = ledger.lotOf(lot);
        bytes32 order = replay.orderAt(stored.order);
        if (stored.state == ILots.LotState.Quarantined) {
            bool delivered = ledger.orderOf(order).state == IOrders.OrderState.Delivered;
            uint32 by = delivered || _chance(30) ? _custodianOf(stored) : stored.counterparty;
            _record(_keyOf(by), abi.encodeCall(ILots.releaseLot, (lot, order, ROOT)));
        } else if (_chance(60)) {
            (uint32 inspector_,) = _anyGate(order);
            uint32 id = inspector_ != 0 && _chance(50) ? inspector_ : _custodianOf(stored);
            _record(_keyOf(id), abi.encodeCall(ILots.quarantineLot, (lot, order, ROOT)));
        }
        _remark(lot);
    }

    /// @dev Something is said about a lot, or about its order, by somebody with a part in it or without.
    function _remark(bytes32 lot) private {
        ILots.Lot memory stored = ledger.lotOf(lot);
        bytes32 order = replay.orderAt(stored.order);
        IOrders.Order memory made = ledger.orderOf(order);
        (uint32 inspects,) = _anyGate(order);
        uint32 id = _chance(50) ? _custodianOf(stored) : (_chance(50) ? made.buyer : inspects);
        address by = _chance(10) ? owner : _keyOf(id);
        bytes32[] memory subjects = _one(_chance(80) ? lot : order);
        _record(
            by,
            abi.encodeCall(
                INotes.note, (subjects, _one(order), uint16(_below(8)), _chance(50) ? 0 : uint40(_below(40)), ROOT)
            )
        );
    }

    // ---- certificates ----

    function inspect(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 2 && ledger.lotOf(lot).state == ILots.LotState.Spent; ++i) {
            lot = _anyLot();
        }
        bytes32 order = replay.orderAt(ledger.lotOf(lot).order);
        (uint32 inspects, uint40 on) = _anyGate(order);
        ICertificates.Statement memory statement =
            _statement(lot, order, _chance(70) ? ICertificates.Verdict.Pass : ICertificates.Verdict.Fail);
        statement.model = on != 0 && _chance(70) ? on : _models[_below(_models.length)];
        statement.expiresAt = uint40(block.timestamp + _below(120 days));
        statement.leafIndex = uint40(_below(11));
        if (inspects != 0 && on == 0 ? _chance(90) : _chance(15)) _byProcedure(statement);
        bool named = inspects != 0 && _chance(85);
        uint32 id = named ? inspects : (_chance(50) ? inspector.id : inspector2.id);
        _record(_keyOf(id), abi.encodeCall(ICertificates.issueCertificate, (statement)));
    }

    /// @dev Often with a second lot.
    function _byProcedure(ICertificates.Statement memory statement) private {
        statement.model = 0;
        bytes32 first = statement.items[0].lot;
        bytes32 other = _anyLot();
        if (other == first || _chance(30)) return;
        ICustody.Item memory item = ICustody.Item(other, replay.orderAt(ledger.lotOf(other).order));
        ICustody.Item memory given = statement.items[0];
        statement.items = new ICustody.Item[](2);
        (statement.items[0], statement.items[1]) = first < other ? (given, item) : (item, given);
    }

    function revoke(uint256 seed) external act(seed) {
        bytes32 lot = _anyLot();
        for (uint256 i; i < 4 && _latest(lot) == 0; ++i) {
            lot = _anyLot();
        }
        uint40 number = _latest(lot);
        bytes memory data = abi.encodeCall(ICertificates.revokeCertificate, (replay.lotsOf(number), number, ROOT));
        _record(_keyOf(ledger.certificateOf(number).issuer), data);
    }

    // ---- inside ----

    /// @dev A lot that was made, with what its subject is derived from.
    function _keep(uint32 maker_, bytes32 identifierHash) private {
        bytes32 lot = Subjects.derive(Subjects.Kind.Lot, maker_, identifierHash);
        _lots.push(lot);
        (_makerOf[lot], _hashOf[lot]) = (maker_, identifierHash);
    }

    /// @dev Who has custody; of a packed lot, anybody.
    function _custodianOf(ILots.Lot memory stored) internal view returns (uint32) {
        return stored.packed ? uint32(1 + stored.holder % _parties.length) : uint32(stored.holder);
    }

    /// @dev Whether the buyer of the lot's order has it, free.
    function _isBought(bytes32 lot) private view returns (bool) {
        ILots.Lot memory stored = ledger.lotOf(lot);
        IOrders.Order memory from = ledger.orderOf(replay.orderAt(stored.order));
        bool free = stored.state == ILots.LotState.Held && !stored.packed && stored.quantity > 1;
        return free && from.inspector != 0 && stored.holder == from.buyer;
    }

    /// @dev The lot and all that the logs packed in it, each followed by its own contents, ascending.
    function _consignment(bytes32 lot) internal view returns (ICustody.Item[] memory) {
        ICustody.Item[] memory buffer = new ICustody.Item[](200);
        uint256 used = _fill(buffer, 0, lot);
        ICustody.Item[] memory consignment = new ICustody.Item[](used);
        for (uint256 i; i < used; ++i) {
            consignment[i] = buffer[i];
        }
        return consignment;
    }

    function _fill(ICustody.Item[] memory buffer, uint256 used, bytes32 lot) private view returns (uint256) {
        buffer[used++] = ICustody.Item(lot, replay.orderAt(ledger.lotOf(lot).order));
        bytes32[] memory children = replay.childrenOf(lot);
        for (uint256 i; i < children.length; ++i) {
            for (uint256 j = i + 1; j < children.length; ++j) {
                if (children[j] < children[i]) (children[i], children[j]) = (children[j], children[i]);
            }
            used = _fill(buffer, used, children[i]);
        }
        return used;
    }

    /// @dev Another lot of the same custodian, if one is found soon: of the same order and unit rather than not.
    function _companion(bytes32 lot, ILots.Lot memory stored) private returns (bytes32 found) {
        for (uint256 i; i < 10; ++i) {
            bytes32 other = _anyLot();
            ILots.Lot memory candidate = ledger.lotOf(other);
            if (other == lot || candidate.holder != stored.holder || candidate.packed) continue;
            found = other;
            if (candidate.order == stored.order && candidate.unit == stored.unit) return found;
        }
        if (found == 0) found = _anyLot();
    }

    function _drawChange(bytes32 lot, ILots.Lot memory stored) private returns (ILots.Transformation memory change) {
        uint256 draw = _below(4);
        bytes32 order = replay.orderAt(stored.order);
        uint40 taken = stored.quantity == 0 ? 1 : _small(1, stored.quantity);
        uint40 loss = taken > 4 ? _small(0, 2) : 0;
        if (draw == 0 && taken - loss > 1) {
            uint40 first = _small(1, taken - loss - 1);
            ILots.Output[] memory parts = _outputs("", first, "", taken - loss - first);
            (parts[0].identifierHash, parts[1].identifierHash) = (_name(), _name());
            change = _change(ILots.TransformationKind.Split, order, _inputs(lot, taken), parts);
        } else if (draw == 1) {
            change = _drawMerge(lot, stored, order, taken);
            loss = 0;
        } else {
            for (uint256 i; i < 3 && _chance(50); ++i) {
                order = _anyOrder();
                if (ledger.orderOf(order).state == IOrders.OrderState.InProduction) break;
            }
            change =
                _change(ILots.TransformationKind.Conversion, order, _inputs(lot, taken), _outputs("", taken - loss));
            change.outputs[0].identifierHash = _name();
            change.operation = _startedBy(order, _custodianOf(stored));
        }
        (change.unit, change.loss) = (stored.unit, loss);
        if (draw > 1 && _chance(50)) {
            change.yieldOut = 3;
            change.outputs[0].quantity *= 3;
            _measure(change, _chance(50) ? bytes3("MTR") : stored.unit);
        } else {
            _measure(change, stored.unit);
        }
        if (draw > 1) _vary(change, stored);
    }

    function _measure(ILots.Transformation memory change, bytes3 unit) private pure {
        change.outputUnit = unit;
        for (uint256 i; i < change.outputs.length; ++i) {
            change.outputs[i].unit = unit;
        }
    }

    /// @dev Adds to a conversion a component, and something that is made beside it.
    function _vary(ILots.Transformation memory change, ILots.Lot memory stored) private {
        bytes32 lot = change.inputs[0].lot;
        bytes32 other = _companion(lot, stored);
        if (other != lot && ledger.lotOf(other).quantity != 0 && _chance(40)) {
            change.inputs = _ascending(change.inputs[0], _component(other, 1));
        }
        if (_chance(30)) return;
        ILots.Output memory main = change.outputs[0];
        bool stays = change.unit != change.outputUnit && change.loss != 0;
        change.outputs = new ILots.Output[](2);
        (change.outputs[0], change.outputs[1]) =
        (main, ILots.Output(_name(), 1, stays ? change.unit : bytes3("LTR"), ROOT));
        if (stays) change.loss -= 1; // what was lost is now a lot
    }

    function _drawMerge(bytes32 lot, ILots.Lot memory stored, bytes32 order, uint40 taken)
        private
        returns (ILots.Transformation memory)
    {
        bytes32 other = _companion(lot, stored);
        uint40 more = ledger.lotOf(other).quantity;
        ILots.Input[] memory inputs = new ILots.Input[](2);
        (inputs[0], inputs[1]) =
            lot < other ? (_input(lot, taken), _input(other, more)) : (_input(other, more), _input(lot, taken));
        ILots.Output[] memory outputs = _outputs("", taken + more);
        outputs[0].identifierHash = _name();
        return _change(ILots.TransformationKind.Merge, order, inputs, outputs);
    }

    function _startedBy(bytes32 order, uint32 id) private view returns (uint16) {
        for (uint16 operation; operation < 4; ++operation) {
            IAssignments.Assignment memory current = ledger.assignmentOf(order, operation);
            if (current.owner == id && current.state == IAssignments.AssignmentState.Started) return operation;
        }
        return 0;
    }

    function _spoil(ILots.Transformation memory change) private {
        uint256 draw = _below(8);
        if (draw == 0) change.outputs[0].quantity += 1;
        if (draw == 1) change.loss += 1;
        if (draw == 2) change.order = 0;
        if (draw == 3) change.order = _anyOrder();
        if (draw == 4) change.inputs[0].quantity += 30;
        if (draw == 5) change.outputUnit = KGM;
        if (draw == 6) change.inputs[0].component = true;
        if (draw == 7) change.inputs[0].order = _anyOrder();
    }

    /// @notice The kinds of records that these actions make, see Reach.t.sol.
    function logisticsKinds() public pure returns (bytes32[] memory kinds) {
        kinds = new bytes32[](14);
        kinds[0] = ILots.LotCommissioned.selector;
        kinds[1] = ILots.LotReceived.selector;
        kinds[2] = ILots.LotsTransformed.selector;
        kinds[3] = ILots.LotScrapped.selector;
        kinds[4] = ILots.LotsPacked.selector;
        kinds[5] = ILots.LotsUnpacked.selector;
        kinds[6] = ILots.LotQuarantined.selector;
        kinds[7] = ILots.LotReleased.selector;
        kinds[8] = ICertificates.CertificateIssued.selector;
        kinds[9] = ICertificates.CertificateRevoked.selector;
        kinds[10] = ILots.LotReworked.selector;
        kinds[11] = ILots.LotAllocated.selector;
        kinds[12] = ILots.LotDeallocated.selector;
        kinds[13] = INotes.NoteRecorded.selector;
    }
}
