// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {ModelWorld} from "./ModelWorld.sol";

/// @notice The acts of tests/proofs/model/world.py as calls.
abstract contract ModelActs is ModelWorld {
    // What is proposed, as the model numbers it.
    uint8 internal constant END = 1;
    uint8 internal constant COORDINATOR = 2;
    uint8 internal constant GATE = 3;

    bytes32 private constant LEAF = keccak256("leaf");

    /// @dev Sequence and content of the latest proposal, of which the ledger keeps a digest.
    uint40 internal proposal;
    bytes32 internal proposedContent;
    mapping(uint256 lot => bool) internal isSold;

    /// @dev Reverts when the ledger refuses.
    function _perform(uint8 kind, uint8 actor, uint8 argument) internal {
        vm.warp(clock);
        if (actor == 0) {
            _befall(kind, argument);
            return;
        }
        // Before the caller is set: it is the council's call.
        uint32 absent = kind == 31 ? uint32(ledger.lotOf(lots[argument]).holder) : kind == 41 ? BUYER : 0;
        if (absent != 0) _entrust(absent, actor);
        if (kind == 8) _measure(); // work that started is finished by a later leaf
        if (kind == 35) _later(1 hours); // demands of one company lie an hour apart
        vm.startPrank(keys[actor]);
        if (kind <= 13) _performInOrder(kind, argument);
        else if (kind <= 24) _performOnLot(kind, argument);
        else if (kind <= 31) _passOn(kind, argument);
        else if (kind == 41) ledger.endOrder(order, 0, ROOT);
        else _judge(kind, argument);
        vm.stopPrank();
        if (absent != 0) _entrust(absent, 0); // the model knows of a trustee only during the act
    }

    function _befall(uint8 kind, uint8 argument) private {
        if (kind == 38) {
            _later(15 days);
            return;
        }
        vm.startPrank(kind == 39 ? auditor : council);
        if (kind == 36) registry.suspend(argument, ROOT);
        else if (kind == 37) registry.reinstate(argument);
        else registry.withdrawModel(model, 0, ROOT);
        vm.stopPrank();
    }

    function _later(uint256 time) private {
        clock += time;
        vm.warp(clock);
    }

    function _performInOrder(uint8 kind, uint8 argument) private {
        if (kind == 1) ledger.acceptOrder(order, ROOT);
        else if (kind == 3) ledger.cancelOrder(order, ROOT);
        else if (kind == 10) ledger.completeOrder(order, ROOT);
        else if (kind == 11) ledger.confirmDelivery(order, _list(argument), ROOT);
        else if (kind == 12) _propose(argument);
        else if (kind == 13) _agree(argument);
        else _assign(kind, argument);
    }

    function _assign(uint8 kind, uint8 operation) private {
        if (kind == 4) {
            ledger.proposeAssignment(order, operation, machine, ROOT);
            return;
        }
        uint40 current = ledger.assignmentOf(order, operation).sequence;
        if (kind == 5) ledger.acceptAssignment(order, operation, current, ROOT);
        else if (kind == 6) ledger.declineAssignment(order, operation, current, ROOT);
        else if (kind == 7) ledger.startAssignment(order, operation, current, stream, ROOT);
        else if (kind == 8) _finish(operation, current);
        else ledger.cancelAssignment(order, operation, current, ROOT);
    }

    function _finish(uint8 operation, uint40 current) private {
        ledger.finishAssignment(order, operation, current, stream, ledger.streamOf(stream).size - 1, LEAF);
    }

    /// @dev Refused when the maker may not act: then it cannot finish either.
    function _measure() private {
        uint40 size = ledger.streamOf(stream).size;
        vm.startPrank(keys[MAKER]);
        try ledger.anchor(stream, size + 1, ROOT) {} catch {}
        vm.stopPrank();
    }

    /// @dev The terms as they are, but for what is proposed.
    function _proposedTerms(uint8 proposed) internal view returns (IOrders.OrderTerms memory) {
        IOrders.Order memory entry = ledger.orderOf(order);
        uint32 coordinator = entry.coordinator;
        if (proposed == COORDINATOR) coordinator = coordinator == BUYER ? MAKER : BUYER;
        IOrders.OrderTerms memory terms = _terms(coordinator, proposed == GATE ? BUYER : _inspector());
        terms.dueAt = 0;
        return terms;
    }

    function _propose(uint8 proposed) private {
        if (proposed == END) {
            ledger.proposeEnd(order, ROOT);
            proposedContent = 0;
        } else {
            IOrders.OrderTerms memory terms = _proposedTerms(proposed);
            ledger.proposeRevision(order, terms);
            proposedContent = keccak256(abi.encode(terms));
        }
        proposal = ledger.sequence();
    }

    function _agree(uint8 proposed) private {
        if (proposed == END) ledger.endOrder(order, proposal, ROOT);
        else ledger.acceptRevision(order, _proposedTerms(proposed), proposal);
    }

    function _performOnLot(uint8 kind, uint8 lot) private {
        bytes32 subject = lots[lot];
        if (kind == 14) ledger.commissionLot(_identifier(lot), order, _startedOperation(), 1, PIECE, ROOT);
        else if (kind == 15) ledger.receiveLot(_identifier(lot), 1, PIECE, ROOT);
        else if (kind == 16) ledger.scrapLot(subject, 1, ILots.Disposition.Scrapped, ROOT);
        else if (kind == 17) _sell(lot);
        else if (kind == 18) ledger.packLots(lots[0], _list(lot));
        else if (kind == 19) ledger.unpackLots(lots[0], _list(lot));
        else if (kind == 20) ledger.quarantineLot(subject, _orderOf(lot), ROOT);
        else if (kind == 21) ledger.releaseLot(subject, _orderOf(lot), ROOT);
        else if (kind == 22) _rework(lot);
        else if (kind == 23) ledger.allocateLot(subject, order, _startedOperation(), ROOT);
        else ledger.deallocateLot(subject, order, ROOT);
    }

    function _sell(uint8 lot) private {
        ledger.scrapLot(lots[lot], 1, ILots.Disposition.Sold, ROOT);
        isSold[lot] = true;
    }

    function _rework(uint8 lot) private {
        ledger.reworkLot(ILots.Rework(lots[lot], _orderOf(lot), _startedOperation(), ROOT, new ILots.Input[](0)));
    }

    /// @dev The first one that is started; 0 when none is, which then is refused.
    function _startedOperation() private view returns (uint16 operation) {
        for (; operation < cast_.operations; ++operation) {
            IAssignments.AssignmentState state = ledger.assignmentOf(order, operation).state;
            if (state == IAssignments.AssignmentState.Started) return operation;
        }
        return 0;
    }

    function _passOn(uint8 kind, uint8 lot) private {
        if (kind == 25) {
            ledger.offerCustody(_consignment(lot >> 4), lot & 15, ROOT);
            return;
        }
        bytes32 subject = lots[lot];
        uint40 offer = ledger.offerOf(subject).sequence;
        if (kind == 26) ledger.acceptCustody(_consignment(lot), offer, ROOT);
        else if (kind == 27) ledger.declineCustody(subject, offer, ROOT);
        else if (kind == 28) ledger.withdrawCustody(subject, ROOT);
        else if (kind == 29) ledger.returnLot(subject, MAKER, _identifier(lot), ROOT);
        else ledger.reclaimCustody(_consignment(lot), ROOT);
    }

    function _entrust(uint32 absent, uint8 to) private {
        vm.startPrank(council); // also in place of the caller that a refused act left set
        registry.entrust(absent, to);
        vm.stopPrank();
    }

    function _judge(uint8 kind, uint8 lot) private {
        if (kind == 44) {
            ledger.waiveGate(lots[lot], order, _inspector(), ROOT);
            return;
        }
        if (kind != 34 && kind != 35) {
            (, uint40 on) = _gate();
            bool passes = kind == 32 || kind == 42;
            _certify(lot, kind > 41 ? 0 : on, passes ? ICertificates.Verdict.Pass : ICertificates.Verdict.Fail);
            return;
        }
        uint40 latest = ledger.standingOf(lots[lot], _inspector()).latest;
        if (kind == 34) ledger.revokeCertificate(_list(lot), latest, ROOT);
        else ledger.demandOpening(lots[lot], _groundOf(lot, latest), latest);
    }

    /// @dev On which its buyer or coordinator doubts a pass, and its maker a fail.
    function _groundOf(uint8 lot, uint40 certificate) private view returns (bytes32) {
        bool pass = ledger.certificateOf(certificate).verdict == ICertificates.Verdict.Pass;
        return pass ? _orderOf(lot) : _identifier(lot);
    }

    function _certify(uint8 lot, uint40 on, ICertificates.Verdict verdict) private {
        ICertificates.Statement memory statement = ICertificates.Statement({
            items: _items(lot),
            model: on,
            verdict: verdict,
            expiresAt: uint40(clock + 10 days),
            inferenceDigest: LEAF,
            claimsRoot: ROOT,
            stream: stream,
            leafIndex: 0,
            leafHash: LEAF
        });
        ledger.issueCertificate(statement);
    }

    function _list(uint8 lot) private view returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = lots[lot];
    }

    function _items(uint8 lot) private view returns (ICustody.Item[] memory list) {
        list = new ICustody.Item[](1);
        list[0] = ICustody.Item(lots[lot], _orderOf(lot));
    }

    /// @dev The lot and all that is packed in it, ascending.
    function _consignment(uint8 lot) private view returns (ICustody.Item[] memory list) {
        uint256 count = ledger.lotOf(lots[lot]).contents;
        list = new ICustody.Item[](count + 1);
        list[0] = ICustody.Item(lots[lot], _orderOf(lot));
        bytes32 last;
        for (uint256 place = 1; place <= count; ++place) {
            uint256 next = _nextPacked(last);
            list[place] = ICustody.Item(lots[next], _orderOf(next));
            last = lots[next];
        }
    }

    function _nextPacked(bytes32 last) private view returns (uint256 next) {
        for (uint256 i; i < lots.length; ++i) {
            bool later = lots[i] > last && ledger.lotOf(lots[i]).packed;
            if (later && (next == 0 || lots[i] < lots[next])) next = i; // the first lot, the pallet, is never packed
        }
    }
}
