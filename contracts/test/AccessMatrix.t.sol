// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ERC2771Forwarder} from "@openzeppelin/contracts/metatx/ERC2771Forwarder.sol";
import {Council} from "../src/Council.sol";
import {Forwarder} from "../src/Forwarder.sol";
import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICouncil} from "../src/interfaces/ICouncil.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IEvidence} from "../src/interfaces/IEvidence.sol";
import {ICorrections} from "../src/interfaces/ICorrections.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {IEvaluator} from "../src/interfaces/IEvaluator.sol";
import {Inspection} from "./Inspection.sol";
import {Models} from "./Models.sol";

/// @notice Every state-changing function with every kind of caller. Each row is a call that its rightful party may make
/// now; each cell makes it as somebody else, or with that party's roles replaced by a single one. Cells are reported as
/// events: tests/contracts/test_access_matrix.py fails when a function of the ABI has no row.
contract AccessMatrixTest is Inspection {
    /// @dev The first six: the party itself, holding that one role.
    enum Caller {
        Buyer,
        Coordinator,
        Manufacturer,
        Inspector,
        Carrier,
        Auditor,
        UnknownKey,
        RevokedKey,
        Suspended,
        Owner,
        /// Another company that holds every role.
        Stranger
    }

    struct Row {
        address target;
        bytes data;
        Party party;
        /// What the party needs one of; 0: the function is the owner's.
        uint16 roles;
        /// Whether a company needs no part in anything to call it.
        bool anyone;
    }

    uint256 private constant CALLERS = uint256(type(Caller).max) + 1;

    Row[] private _rows;
    Party private _stranger;
    Party private _nobody;
    address private _spare;
    Council private _council;

    /// @notice Whether a view answered.
    event Sight(bytes4 indexed selector, Caller indexed caller, bool answered);
    event Cell(bytes4 indexed selector, Caller indexed caller, bool allowed);

    function setUp() public override {
        super.setUp();
        _publish();
        _stranger = _admit("company with all roles", Roles.ANY);
        _as(auditor);
        registry.setNameKey(LEAF);
        (_nobody.key, _nobody.secret) = makeKey("nobody");
        _spare = makeAddress("spare key");
        _addOwnerRows();
        _addRegistryRows();
        _addOrderRows();
        _addAssignmentRows();
        _addLotRows();
        _addCustodyRows();
        _addCertificateRows();
        _addForwarderRows();
        _addCouncilRows();
        _addRecoveryRows(); // last: time passes
    }

    function test_everyFunctionByEveryCaller() public {
        vm.pauseGasMetering();
        uint256 start = vm.snapshotState();
        for (uint256 i; i < _rows.length; ++i) {
            for (uint256 j; j < CALLERS; ++j) {
                _checkCell(_rows[i], Caller(j));
                vm.revertToState(start);
            }
        }
        for (uint256 i; i < _rows.length; ++i) {
            for (uint256 j; j < CALLERS; ++j) {
                emit Cell(bytes4(_rows[i].data), Caller(j), _mayCall(_rows[i], Caller(j)));
            }
        }
    }

    /// @dev Whoever can see the chain can see all of it: no view asks who calls.
    function test_everyViewByEveryCaller() public {
        vm.pauseGasMetering();
        bytes32 lot = _receive(maker, "seen", 5);
        bytes32 order = _startedOrder("seen");
        Row[] memory views = _views(order, lot);
        bool[] memory answered = new bool[](views.length * CALLERS);
        uint256 start = vm.snapshotState();
        for (uint256 i; i < views.length; ++i) {
            for (uint256 j; j < CALLERS; ++j) {
                answered[i * CALLERS + j] = _answers(views[i], Caller(j));
                vm.revertToState(start);
            }
        }
        for (uint256 i; i < answered.length; ++i) {
            bytes4 selector = bytes4(views[i / CALLERS].data);
            bool shut = selector == registry.renounceOwnership.selector; // for everybody: nothing but an error
            assertTrue(answered[i] != shut, string.concat("view cell ", vm.toString(i)));
            emit Sight(selector, Caller(i % CALLERS), answered[i]);
        }
    }

    function _answers(Row memory row, Caller caller) private returns (bool done) {
        address sender = _senderOf(row, caller);
        vm.prank(sender);
        (done,) = row.target.staticcall(row.data);
    }

    // ---- cells ----

    function _checkCell(Row memory row, Caller caller) private {
        address sender = _senderOf(row, caller);
        vm.prank(sender);
        (bool done, bytes memory answer) = row.target.call(row.data);
        string memory place = string.concat("row ", vm.toString(uint256(bytes32(row.data)) >> 224), ", caller ");
        assertTrue(done == _mayCall(row, caller), string.concat(place, vm.toString(uint256(caller))));
        if (!done) {
            assertTrue(_isReason(row, caller, bytes4(answer)), string.concat(place, "refused for no good reason"));
        }
    }

    function _mayCall(Row memory row, Caller caller) private view returns (bool) {
        if (bytes4(row.data) == registry.multicall.selector) return true; // an empty batch: the calls in it decide
        if (row.target == address(forwarder)) return false; // the signature decides, whoever sends
        if (row.roles == 0) return caller == Caller.Owner;
        if (bytes4(row.data) == ICouncil.execute.selector) return true; // it is decided
        if (caller == Caller.Owner && bytes4(row.data) == INotes.note.selector) return true;
        if (caller == Caller.Suspended && _isForSuspended(bytes4(row.data))) return true;
        if (caller <= Caller.Auditor) return row.roles & (uint256(1) << uint256(caller)) != 0;
        return caller == Caller.Stranger && row.anyone;
    }

    function _isForSuspended(bytes4 selector) private pure returns (bool) {
        return selector == IRegistry.revokeKey.selector || selector == IRegistry.acceptRecovery.selector;
    }

    /// @dev Brings about what the cell is about and says who calls.
    function _senderOf(Row memory row, Caller caller) private returns (address) {
        if (caller == Caller.UnknownKey) return _nobody.key;
        if (caller == Caller.Owner) return row.roles == 0 ? row.party.key : owner;
        if (caller == Caller.Stranger) return _stranger.key;
        uint32 id = row.party.id == 0 ? carrier.id : row.party.id;
        if (caller == Caller.RevokedKey) return _revokedKey(id);
        vm.prank(owner);
        if (caller == Caller.Suspended) registry.suspend(id, ROOT);
        else registry.setRoles(id, uint16(1 << uint256(caller)));
        return row.roles == 0 ? carrier.key : row.party.key;
    }

    function _revokedKey(uint32 id) private returns (address revoked) {
        Party memory member = _memberOf(id);
        revoked = makeAddress("revoked");
        vm.prank(member.key);
        registry.proposeKey(revoked, Roles.ANY, true);
        vm.prank(revoked);
        registry.acceptKey(id);
        vm.prank(member.key);
        registry.revokeKey(revoked, 0);
    }

    function _memberOf(uint32 id) private view returns (Party memory) {
        if (id == buyer.id) return buyer;
        if (id == coordinator.id) return coordinator;
        if (id == maker.id) return maker;
        if (id == inspector.id) return inspector;
        return id == auditor.id ? auditor : carrier;
    }

    function _isReason(Row memory row, Caller caller, bytes4 reason) private view returns (bool) {
        if (bytes4(row.data) == ERC2771Forwarder.execute.selector) {
            return reason == ERC2771Forwarder.ERC2771ForwarderInvalidSigner.selector;
        }
        if (bytes4(row.data) == ERC2771Forwarder.executeBatch.selector) {
            return reason == Forwarder.ForwarderBatchRefused.selector;
        }
        if (row.target == address(_council)) {
            return reason == ICouncil.CouncilNotMember.selector || reason == ICouncil.CouncilOnly.selector;
        }
        if (row.roles == 0) return reason == Ownable.OwnableUnauthorizedAccount.selector;
        if (bytes4(row.data) == IRegistry.acceptKey.selector && caller != Caller.Suspended) {
            return reason == IRegistry.RegistryKeyNotProposed.selector;
        }
        bool recovers = bytes4(row.data) == IRegistry.acceptRecovery.selector;
        if (recovers) return reason == IRegistry.RegistryRecoveryNotProposed.selector;
        if (bytes4(row.data) == ICertificates.demandOpening.selector && caller <= Caller.Auditor) {
            return reason == ICertificates.CertificateDemanderUnfit.selector; // a part in the order, in another role
        }
        if (caller == Caller.UnknownKey || caller == Caller.Owner) {
            return reason == IRegistry.RegistryKeyUnknown.selector;
        }
        if (caller == Caller.RevokedKey) return reason == IRegistry.RegistryKeyRevoked.selector;
        if (caller == Caller.Suspended) return reason == IRegistry.RegistryParticipantSuspended.selector;
        if (caller == Caller.Stranger) return reason != 0 && reason != 0x4e487b71; // any error but a panic
        return reason == IHistory.HistoryRoleMissing.selector || reason == IHistory.HistoryParticipantUnfit.selector
            || reason == IRegistry.RegistryRoleMissing.selector;
    }

    // ---- rows ----

    function _add(Party memory party, uint16 roles, bytes memory data) private {
        _rows.push(Row(address(ledger), data, party, roles, false));
    }

    function _addFree(Party memory party, uint16 roles, bytes memory data) private {
        _rows.push(Row(address(ledger), data, party, roles, true));
    }

    function _addTo(address target, Party memory party, uint16 roles, bytes memory data, bool anyone) private {
        _rows.push(Row(target, data, party, roles, anyone));
    }

    function _addOwnerRows() private {
        Party memory by;
        by.key = owner;
        address target = address(registry);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.admit, (Roles.BUYER, _spare, ROOT)), false);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.setRoles, (maker3.id, Roles.ANY)), false);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.suspend, (maker3.id, ROOT)), false);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.reinstate, (inspector2.id)), false);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.publish, (1, ROOT)), false);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.close, (_spare)), false);
        _receive(inspector2, "left", 5);
        _suspend(inspector2);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.entrust, (inspector2.id, maker.id)), false);
        _addTo(target, by, 0, abi.encodeCall(Ownable.transferOwnership, (_spare)), false);
        (by.key,) = makeKey("heir");
        vm.prank(owner);
        registry.transferOwnership(by.key);
        _addTo(target, by, 0, abi.encodeCall(Ownable2Step.acceptOwnership, ()), false);
        bytes[] memory none = new bytes[](0);
        _addTo(target, carrier, Roles.ANY, abi.encodeCall(registry.multicall, (none)), true);
        _addFree(carrier, Roles.ANY, abi.encodeCall(deployed.multicall, (none)));
    }

    function _addCouncilRows() private {
        uint32[] memory members = new uint32[](4);
        (members[0], members[1], members[2], members[3]) = (buyer.id, coordinator.id, maker.id, inspector.id);
        _council = new Council(registry, 3 days, members, 3);
        address target = address(_council);
        bytes memory data = abi.encodeCall(IRegistry.sequence, ());
        _as(buyer);
        uint32 motion = _council.propose(address(registry), data, ROOT);
        data = abi.encodeCall(ICouncil.propose, (address(registry), data, ROOT));
        _addTo(target, buyer, Roles.ANY, data, false);
        _addTo(target, buyer, Roles.ANY, abi.encodeCall(ICouncil.retract, (motion)), false);
        _as(coordinator);
        _council.approve(motion);
        _as(maker);
        _council.approve(motion);
        _addTo(target, inspector, Roles.ANY, abi.encodeCall(ICouncil.approve, (motion)), false);
        _addTo(target, carrier, Roles.ANY, abi.encodeCall(ICouncil.execute, (motion)), true);
        Party memory itself;
        itself.key = target;
        _addTo(target, itself, 0, abi.encodeCall(ICouncil.setMembers, (members, 3)), false);
    }

    function _addRecoveryRows() private {
        Party memory by;
        by.key = owner;
        address target = address(registry);
        _addTo(target, by, 0, abi.encodeCall(IRegistry.proposeRecovery, (maker3.id, _spare)), false);
        vm.prank(owner);
        registry.proposeRecovery(maker2.id, makeAddress("heir of maker2"));
        _as(maker2);
        registry.objectToRecovery();
        _addTo(target, by, 0, abi.encodeCall(IRegistry.overruleObjection, (maker2.id)), false);
        Party memory heir = buyer;
        heir.key = makeAddress("heir of buyer");
        vm.prank(owner);
        registry.proposeRecovery(buyer.id, heir.key);
        _addTo(target, buyer, Roles.ANY, abi.encodeCall(IRegistry.objectToRecovery, ()), false);
        _addTo(target, heir, Roles.ANY, abi.encodeCall(IRegistry.acceptRecovery, (buyer.id)), false);
        vm.prank(owner);
        registry.entrust(inspector2.id, carrier.id);
        ICustody.Item[] memory left = _item(_lotName(inspector2, "left"), 0);
        _add(carrier, Roles.HOLDER, abi.encodeCall(ICustody.reclaimCustody, (left, ROOT)));
        _warp(block.timestamp + registry.RECOVERY_DELAY());
    }

    function _addRegistryRows() private {
        address target = address(registry);
        uint16 equipped = Roles.MANUFACTURER | Roles.INSPECTOR;
        _as(buyer);
        registry.proposeKey(_spare, Roles.ANY, true);
        Party memory spare = buyer;
        spare.key = _spare;
        _addTo(target, spare, Roles.ANY, abi.encodeCall(IRegistry.acceptKey, (buyer.id)), false);
        address second = makeAddress("second");
        _as(buyer);
        registry.proposeKey(second, Roles.ANY, true);
        vm.prank(second);
        registry.acceptKey(buyer.id);
        _addTo(target, buyer, Roles.ANY, abi.encodeCall(IRegistry.revokeKey, (second, 0)), false);
        _addTo(target, buyer, Roles.ANY, abi.encodeCall(IRegistry.setKey, (second, Roles.BUYER, false)), false);
        bytes memory data = abi.encodeCall(IRegistry.proposeKey, (makeAddress("third"), Roles.ANY, true));
        _addTo(target, buyer, Roles.ANY, data, true);
        _addTo(target, buyer, Roles.ANY, abi.encodeCall(IRegistry.depart, (ROOT)), true);
        _addTo(target, buyer, Roles.ANY, abi.encodeCall(IRegistry.setNameKey, (ROOT)), true);
        uint40 old = _registerMachine(maker, "old");
        _addTo(target, maker, equipped, abi.encodeCall(IRegistry.registerMachine, (_hash("new"), ROOT)), true);
        _addTo(target, maker, equipped, abi.encodeCall(IRegistry.retireMachine, (old, ROOT)), false);
        _as(inspector);
        uint40 number = registry.registerModel(_hash("registered"), ROOT);
        data = abi.encodeCall(IRegistry.registerModel, (_hash("new"), ROOT));
        _addTo(target, inspector, Roles.INSPECTOR, data, true);
        data = abi.encodeCall(IRegistry.publishModel, (Models.uniform(3, 1, 0, 1), ROOT));
        _addTo(target, inspector, Roles.INSPECTOR, data, true);
        _addTo(target, auditor, Roles.AUDITOR, abi.encodeCall(IRegistry.approveModel, (number, ROOT)), true);
        _addTo(target, inspector, Roles.INSPECTOR, abi.encodeCall(IRegistry.openModel, (model2, true)), false);
        _addTo(target, inspector, Roles.INSPECTOR, abi.encodeCall(IRegistry.retireModel, (model2, ROOT)), false);
        data = abi.encodeCall(IRegistry.withdrawModel, (model2, 0, ROOT));
        _addTo(target, inspector, Roles.INSPECTOR, data, false);
        _addTo(target, auditor, Roles.AUDITOR, data, false);
    }

    /// @dev What a signed request may do is ForwarderTest's; unsigned, nobody's goes through, the signer's own included.
    function _addForwarderRows() private {
        ERC2771Forwarder.ForwardRequestData[] memory requests = new ERC2771Forwarder.ForwardRequestData[](1);
        bytes memory data = abi.encodeCall(ILots.receiveLot, (_hash("forwarded"), 5, PIECE, ROOT));
        requests[0] = ERC2771Forwarder.ForwardRequestData(
            carrier.key, address(ledger), 0, 1_000_000, uint48(EXPIRY), data, new bytes(65)
        );
        address target = address(forwarder);
        _addTo(target, carrier, Roles.ANY, abi.encodeCall(forwarder.execute, (requests[0])), true);
        data = abi.encodeCall(forwarder.executeBatch, (requests, payable(address(0))));
        _addTo(target, carrier, Roles.ANY, data, true);
    }

    function _addOrderRows() private {
        bytes32 placed = _place("placed", _terms(1));
        bytes32 accepted = _acceptedOrder("accepted", _terms(1));
        _addFree(buyer, Roles.BUYER, abi.encodeCall(IOrders.placeOrder, (_hash("new"), coordinator.id, _terms(1))));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.acceptOrder, (placed, ROOT)));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.rejectOrder, (placed, ROOT)));
        _add(buyer, Roles.BUYER, abi.encodeCall(IOrders.cancelOrder, (placed, ROOT)));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.cancelOrder, (accepted, ROOT)));
        _add(buyer, Roles.BUYER, abi.encodeCall(IOrders.proposeRevision, (placed, _terms(2))));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.proposeRevision, (placed, _terms(2))));
        _addAgreementRow(_acceptedOrder("revised by buyer", _terms(1)), buyer, coordinator, Roles.COORDINATOR);
        _addAgreementRow(_acceptedOrder("revised by coordinator", _terms(1)), coordinator, buyer, Roles.BUYER);
        bytes32 made = _startedOrder("made");
        _finish(made, 0);
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.completeOrder, (made, ROOT)));
        bytes32 complete = _startedOrder("complete");
        _finish(complete, 0);
        _complete(complete);
        _add(buyer, Roles.BUYER, abi.encodeCall(IOrders.confirmDelivery, (complete, ROOT)));
        _addSupersedeRow();
        _add(buyer, Roles.ANY, abi.encodeCall(INotes.note, (_one(complete), _one(0), 1, ROOT)));
    }

    function _addAgreementRow(bytes32 order, Party storage proposer, Party storage by, uint16 role) private {
        _settle();
        bytes32 previous = replay.headOf(order);
        _as(proposer);
        ledger.proposeRevision(order, _terms(2));
        uint40 proposal = ledger.sequence();
        _add(
            by,
            role,
            abi.encodeCall(IOrders.acceptRevision, (order, _terms(2), previous, proposal, proposer.key, uint40(START)))
        );
    }

    function _views(bytes32 order, bytes32 lot) private view returns (Row[] memory rows) {
        bytes[] memory calls = new bytes[](66);
        calls[0] = abi.encodeCall(IRegistry.actorOf, (buyer.key));
        calls[1] = abi.encodeCall(IRegistry.rolesOf, (buyer.id));
        calls[2] = abi.encodeCall(IRegistry.standingOf, (coordinator.id, inspector.id, model));
        calls[3] = abi.encodeCall(IRegistry.participantOf, (buyer.id));
        calls[4] = abi.encodeCall(IRegistry.keyOf, (buyer.key));
        calls[5] = abi.encodeCall(IRegistry.machineOf, (machine));
        calls[6] = abi.encodeCall(IRegistry.ownerOfMachine, (machine));
        calls[7] = abi.encodeCall(IRegistry.modelOf, (model));
        calls[8] = abi.encodeCall(IRegistry.stateOfModel, (model));
        calls[9] = abi.encodeCall(IRegistry.sequenceOf, (order));
        calls[10] = abi.encodeCall(IRegistry.sequence, ());
        calls[11] = abi.encodeCall(IRegistry.predecessor, ());
        calls[12] = abi.encodeCall(registry.owner, ());
        calls[13] = abi.encodeCall(registry.pendingOwner, ());
        calls[14] = abi.encodeCall(registry.isTrustedForwarder, (address(forwarder)));
        calls[15] = abi.encodeCall(registry.trustedForwarder, ());
        calls[16] = abi.encodeCall(registry.renounceOwnership, ());
        calls[17] = abi.encodeCall(IRegistry.evaluator, ());
        calls[18] = abi.encodeCall(IRegistry.partiesOf, (buyer.key, carrier.id));
        calls[19] = abi.encodeCall(IRegistry.issuanceOf, (buyer.key, uint40(START), model));
        calls[20] = abi.encodeCall(IRegistry.modelFor, (model, inspector.id));
        calls[21] = abi.encodeCall(IRegistry.recoveryOf, (buyer.id));
        calls[22] = abi.encodeCall(IRegistry.nameKeyOf, (auditor.id, 0));
        calls[23] = abi.encodeCall(IRegistry.publishedOf, (1));
        calls[24] = abi.encodeCall(IRegistry.RECOVERY_DELAY, ());
        calls[25] = abi.encodeCall(IRegistry.absenceOf, (buyer.id));
        uint256 registryCalls = 26;
        calls[26] = abi.encodeCall(IHistory.sequence, ());
        calls[27] = abi.encodeCall(IHistory.headOf, (order));
        calls[28] = abi.encodeCall(IHistory.registry, ());
        calls[29] = abi.encodeCall(IHistory.predecessor, ());
        calls[30] = abi.encodeCall(deployed.HEAD_TAG, ());
        calls[31] = abi.encodeCall(deployed.lotOperations, ());
        calls[32] = abi.encodeCall(deployed.certificateOperations, ());
        calls[33] = abi.encodeCall(IHistory.ledgerId, ());
        calls[34] = abi.encodeCall(deployed.isTrustedForwarder, (address(forwarder)));
        calls[35] = abi.encodeCall(deployed.trustedForwarder, ());
        calls[36] = abi.encodeCall(IOrders.orderOf, (order));
        calls[37] = abi.encodeCall(IAssignments.assignmentOf, (order, 0));
        calls[38] = abi.encodeCall(IEvidence.streamOf, (stream));
        calls[39] = abi.encodeCall(ILots.lotOf, (lot));
        calls[40] = abi.encodeCall(ICertificates.certificateOf, (1));
        calls[41] = abi.encodeCall(ICertificates.certificateStatus, (1));
        calls[42] = abi.encodeCall(IHistory.headOf, (lot));
        calls[43] = abi.encodeCall(ICustody.offerOf, (lot));
        calls[44] = abi.encodeCall(ICertificates.standingOf, (lot, inspector.id));
        uint256 ledgerCalls = 45;
        address code = registry.modelOf(published).code;
        calls[45] = abi.encodeCall(IEvaluator.requireExecutable, (_content));
        calls[46] = abi.encodeCall(IEvaluator.evaluate, (code, Models.raw(Models.fill(WIDTH, 1))));
        calls[47] = abi.encodeCall(IEvaluator.examine, (ROOT, ROOT, code, _infer(int8(1))));
        uint256 evaluatorCalls = 48;
        ERC2771Forwarder.ForwardRequestData memory unsigned;
        calls[48] = abi.encodeCall(forwarder.verify, (unsigned));
        calls[49] = abi.encodeCall(forwarder.nonces, (buyer.key));
        calls[50] = abi.encodeCall(forwarder.eip712Domain, ());
        uint256 forwarderCalls = 51;
        calls[51] = abi.encodeCall(ICouncil.LEAST_MEMBERS, ());
        calls[52] = abi.encodeCall(ICouncil.MOST_MEMBERS, ());
        calls[53] = abi.encodeCall(ICouncil.MOST_DATA, ());
        calls[54] = abi.encodeCall(ICouncil.LAPSE, ());
        calls[55] = abi.encodeCall(ICouncil.registry, ());
        calls[56] = abi.encodeCall(ICouncil.delay, ());
        calls[57] = abi.encodeCall(ICouncil.quorum, ());
        calls[58] = abi.encodeCall(ICouncil.term, ());
        calls[59] = abi.encodeCall(ICouncil.motions, ());
        calls[60] = abi.encodeCall(ICouncil.members, ());
        calls[61] = abi.encodeCall(ICouncil.isMember, (buyer.id));
        calls[62] = abi.encodeCall(ICouncil.motionOf, (1));
        calls[63] = abi.encodeCall(ICouncil.hasApproved, (1, buyer.id));
        calls[64] = abi.encodeCall(ICouncil.neededFor, (""));
        uint256 councilCalls = 65;
        calls[65] = abi.encodeCall(IRegistry.successor, ());
        rows = new Row[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            address target = i < registryCalls || i >= councilCalls ? address(registry) : address(ledger);
            if (i >= ledgerCalls && i < councilCalls) target = address(registry.evaluator());
            if (i >= evaluatorCalls && i < councilCalls) target = address(forwarder);
            if (i >= forwarderCalls && i < councilCalls) target = address(_council);
            rows[i] = Row(target, calls[i], carrier, Roles.ANY, true);
        }
    }

    function _addSupersedeRow() private {
        bytes32 order = _place("superseded", _terms(1));
        _settle();
        IHistory.Opening memory opening = IHistory.Opening({
            previousHead: replay.previousHeadOf(order),
            kind: IOrders.OrderPlaced.selector,
            sequence: ledger.sequence(),
            participant: buyer.id,
            key: buyer.key,
            digest: keccak256(abi.encode(buyer.key, _one(order), coordinator.id, _terms(1))),
            timestamp: uint40(START),
            later: new IHistory.Link[](0)
        });
        _add(buyer, Roles.ANY, abi.encodeCall(ICorrections.supersede, (order, opening, ROOT)));
    }

    function _addAssignmentRows() private {
        bytes32 order = _acceptedOrder("assigned", _terms(4));
        uint40 first = _propose(order, 0);
        uint40 second = _proposeAndAccept(order, 1);
        uint40 third = _start(order, 2);
        uint40 leaf = ledger.assignmentOf(order, 2).streamSize;
        _as(maker);
        ledger.anchor(stream, leaf + 1, ROOT);
        uint16 made = Roles.MANUFACTURER;
        uint16 coordinated = Roles.COORDINATOR;
        _add(coordinator, coordinated, abi.encodeCall(IAssignments.proposeAssignment, (order, 3, machine, ROOT)));
        _add(maker, made, abi.encodeCall(IAssignments.acceptAssignment, (order, 0, first, ROOT)));
        _add(maker, made, abi.encodeCall(IAssignments.declineAssignment, (order, 0, first, ROOT)));
        _add(maker, made, abi.encodeCall(IAssignments.startAssignment, (order, 1, second, stream, ROOT)));
        _add(maker, made, abi.encodeCall(IAssignments.finishAssignment, (order, 2, third, stream, leaf, LEAF)));
        _add(coordinator, coordinated, abi.encodeCall(IAssignments.cancelAssignment, (order, 0, first, ROOT)));
        uint16 equipped = Roles.MANUFACTURER | Roles.INSPECTOR;
        _add(maker, equipped, abi.encodeCall(IEvidence.openStream, (_hash("new"), machine, ROOT)));
        _add(maker, equipped, abi.encodeCall(IEvidence.anchor, (stream, 11, ROOT)));
        uint16 writing = Roles.COORDINATOR | Roles.AUDITOR;
        bytes32 plans = _openStream(coordinator, 0, "plans");
        _addFree(coordinator, writing, abi.encodeCall(IEvidence.openStream, (_hash("new"), 0, ROOT)));
        _add(coordinator, writing, abi.encodeCall(IEvidence.anchor, (plans, 11, ROOT)));
    }

    function _addLotRows() private {
        bytes32 order = _startedOrder("making");
        bytes32 lot = _commission(order, "lot", 10);
        bytes32 parent = _receive(maker, "parent", 1);
        bytes32 child = _commission(order, "child", 10);
        bytes32 set = _commission(order, "set apart", 10);
        uint16 made = Roles.MANUFACTURER;
        uint16 held = Roles.HOLDER;
        _add(maker, made, abi.encodeCall(ILots.commissionLot, (_hash("new"), order, 0, 5, PIECE, ROOT)));
        _addFree(maker, held, abi.encodeCall(ILots.receiveLot, (_hash("new"), 5, PIECE, ROOT)));
        ILots.Output[] memory outputs = _outputs("a", 5, "b", 5);
        ILots.Input[] memory inputs = _inputs(lot, 10);
        _addChange(held, _change(ILots.TransformationKind.Split, order, inputs, outputs));
        _addChange(made, _change(ILots.TransformationKind.Conversion, order, inputs, outputs));
        _addChange(made, _change(ILots.TransformationKind.Rework, order, inputs, outputs));
        ILots.Rework memory rework = ILots.Rework(lot, order, 0, ROOT, new ILots.Input[](0));
        _add(maker, made, abi.encodeCall(ILots.reworkLot, (rework)));
        _add(maker, made, abi.encodeCall(ILots.allocateLot, (_receive(maker, "stock", 10), order, 0, ROOT)));
        _add(buyer, Roles.BUYER | Roles.COORDINATOR, abi.encodeCall(ILots.deallocateLot, (lot, order, ROOT)));
        _add(maker, held, abi.encodeCall(ILots.scrapLot, (lot, 1, ILots.Disposition.Scrapped, ROOT)));
        _add(maker, held, abi.encodeCall(ILots.packLots, (parent, _one(lot))));
        _pack(maker, parent, _one(child));
        _add(maker, held, abi.encodeCall(ILots.unpackLots, (parent, _one(child))));
        _add(maker, held, abi.encodeCall(ILots.quarantineLot, (lot, order, ROOT)));
        _add(inspector, held, abi.encodeCall(ILots.quarantineLot, (lot, order, ROOT)));
        _quarantine(maker, set, order);
        _add(maker, held, abi.encodeCall(ILots.releaseLot, (set, order, ROOT)));
    }

    function _addChange(uint16 roles, ILots.Transformation memory change) private {
        _add(maker, roles, abi.encodeCall(ILots.transformLots, (change)));
    }

    function _addCustodyRows() private {
        bytes32 held = _receive(maker, "held", 10);
        bytes32 offered = _receive(maker, "offered", 10);
        _offer(maker, _item(offered, 0), carrier);
        uint16 roles = Roles.HOLDER;
        _add(maker, roles, abi.encodeCall(ICustody.offerCustody, (_item(held, 0), carrier.id, ROOT)));
        uint40 offer = ledger.offerOf(offered).sequence;
        _add(carrier, roles, abi.encodeCall(ICustody.acceptCustody, (_item(offered, 0), offer, ROOT)));
        _add(carrier, roles, abi.encodeCall(ICustody.acceptInPart, (_item(offered, 0), offer, 9, ROOT)));
        _add(carrier, roles, abi.encodeCall(ICustody.declineCustody, (offered, offer, ROOT)));
        _add(maker, roles, abi.encodeCall(ICustody.withdrawCustody, (offered, ROOT)));
        bytes32 bad = _receive(maker, "bad", 10);
        _move(maker, _item(bad, 0), carrier);
        _quarantine(carrier, bad, 0);
        _add(carrier, roles, abi.encodeCall(ICustody.returnLot, (bad, maker.id, _hash("bad"), ROOT)));
    }

    function _addCertificateRows() private {
        bytes32 order = _startedOrder("inspected");
        bytes32 lot = _commission(order, "inspected", 10);
        bytes32 certified = _commission(order, "certified", 10);
        uint40 number = _pass(certified, order);
        ICertificates.Statement memory statement = _statement(lot, order, ICertificates.Verdict.Pass);
        _add(inspector, Roles.INSPECTOR, abi.encodeCall(ICertificates.issueCertificate, (statement)));
        _add(
            inspector, Roles.INSPECTOR, abi.encodeCall(ICertificates.revokeCertificate, (_one(certified), number, ROOT))
        );
        bytes memory data = abi.encodeCall(ICertificates.demandOpening, (certified, order, number));
        _addFree(buyer, Roles.BUYER | Roles.AUDITOR, data);
        _addFree(coordinator, Roles.COORDINATOR | Roles.AUDITOR, data);
        _addFree(maker, Roles.ANY, data);
        _addFree(auditor, Roles.AUDITOR, data);
        ICertificates.Inference memory inference = _infer(int8(2));
        _certify(lot, order, inference);
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(_latest(lot));
        data = abi.encodeCall(
            ICertificates.challenge, (_latest(lot), key, issued, inference, _measured[issued.statement.leafHash])
        );
        _addFree(carrier, Roles.ANY, data);
    }
}
