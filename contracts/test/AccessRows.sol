// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ERC2771Forwarder} from "@openzeppelin/contracts/metatx/ERC2771Forwarder.sol";
import {Council} from "../src/Council.sol";
import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICouncil} from "../src/interfaces/ICouncil.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IEvidence} from "../src/interfaces/IEvidence.sol";
import {IGates} from "../src/interfaces/IGates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IRevisions} from "../src/interfaces/IRevisions.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {IEvaluator} from "../src/interfaces/IEvaluator.sol";
import {Inspection} from "./Inspection.sol";
import {Models} from "./Models.sol";

/// @notice The calls of the access matrix: one at least of every function, as its rightful party may make it now, and of
/// every view.
abstract contract AccessRows is Inspection {
    struct Row {
        address target;
        bytes data;
        Party party;
        /// What the party needs one of; 0: the function is the owner's.
        uint16 roles;
        /// Whether a company needs no part in anything to call it.
        bool anyone;
    }

    Row[] internal _rows;
    Row[] internal _views;
    Party internal _stranger;
    Party internal _nobody;
    address internal _spare;
    Council internal _council;

    function _add(Party memory party, uint16 roles, bytes memory data) private {
        _rows.push(Row(address(ledger), data, party, roles, false));
    }

    function _addFree(Party memory party, uint16 roles, bytes memory data) private {
        _rows.push(Row(address(ledger), data, party, roles, true));
    }

    function _addTo(address target, Party memory party, uint16 roles, bytes memory data, bool anyone) private {
        _rows.push(Row(target, data, party, roles, anyone));
    }

    function _addOwnerRows() internal {
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
        _pack(inspector2, _receive(inspector2, "crate", 1), _one(_receive(inspector2, "inside", 1)));
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

    function _addCouncilRows() internal {
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

    function _addRecoveryRows() internal {
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
        bytes32[] memory inside = _one(_lotName(inspector2, "inside"));
        bytes memory unpack = abi.encodeCall(ILots.unpackReclaimable, (_lotName(inspector2, "crate"), 0, inside));
        _add(carrier, Roles.HOLDER, unpack);
        _add(carrier, Roles.HOLDER, abi.encodeCall(ICustody.reclaimCustody, (left, ROOT)));
        _warp(block.timestamp + registry.RECOVERY_DELAY());
    }

    function _addRegistryRows() internal {
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
    function _addForwarderRows() internal {
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

    function _addOrderRows() internal {
        bytes32 placed = _place("placed", _terms(1));
        _addFree(buyer, Roles.BUYER, abi.encodeCall(IOrders.placeOrder, (_hash("new"), _terms(1))));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.acceptOrder, (placed, ROOT)));
        _add(buyer, Roles.BUYER, abi.encodeCall(IOrders.cancelOrder, (placed, ROOT)));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.cancelOrder, (placed, ROOT)));
        _add(buyer, Roles.BUYER, abi.encodeCall(IRevisions.proposeRevision, (placed, _terms(2))));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IRevisions.proposeRevision, (placed, _terms(2))));
        _addAgreementRow(_acceptedOrder("revised by buyer", _terms(1)), buyer, coordinator, Roles.COORDINATOR);
        _addAgreementRow(_acceptedOrder("revised by coordinator", _terms(1)), coordinator, buyer, Roles.BUYER);
        bytes32 made = _startedOrder("made");
        _finish(made, 0);
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IOrders.completeOrder, (made, ROOT)));
        _as(buyer);
        ledger.proposeEnd(made, ROOT);
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IRevisions.endOrder, (made, ledger.sequence(), ROOT)));
        _add(buyer, Roles.BUYER, abi.encodeCall(IRevisions.proposeEnd, (made, ROOT)));
        _add(coordinator, Roles.COORDINATOR, abi.encodeCall(IRevisions.proposeEnd, (made, ROOT)));
        bytes32 dropped = _startedOrder("dropped");
        _as(coordinator);
        ledger.proposeEnd(dropped, ROOT);
        _add(buyer, Roles.BUYER, abi.encodeCall(IRevisions.endOrder, (dropped, ledger.sequence(), ROOT)));
        bytes32 complete = _startedOrder("complete");
        _finish(complete, 0);
        _complete(complete);
        _add(buyer, Roles.BUYER, abi.encodeCall(IOrders.confirmDelivery, (complete, _none(), ROOT)));
        _add(buyer, Roles.ANY, abi.encodeCall(INotes.note, (_one(complete), _one(0), 1, 0, ROOT)));
    }

    function _addAgreementRow(bytes32 order, Party storage proposer, Party storage by, uint16 role) private {
        _as(proposer);
        ledger.proposeRevision(order, _terms(2));
        uint40 proposal = ledger.sequence();
        _add(by, role, abi.encodeCall(IRevisions.acceptRevision, (order, _terms(2), proposal)));
    }

    function _addViews(bytes32 order, bytes32 lot) internal {
        _seeRegistry(order);
        _seeLedger(order, lot);
        _seeEvaluator();
        _seeForwarder();
        _seeCouncil();
    }

    function _see(address target, bytes memory data) private {
        _views.push(Row(target, data, carrier, Roles.ANY, true));
    }

    function _seeRegistry(bytes32 order) private {
        address target = address(registry);
        _see(target, abi.encodeCall(IRegistry.actorOf, (buyer.key)));
        _see(target, abi.encodeCall(IRegistry.rolesOf, (buyer.id)));
        _see(target, abi.encodeCall(IRegistry.standingOf, (coordinator.id, inspector.id, model)));
        _see(target, abi.encodeCall(IRegistry.participantOf, (buyer.id)));
        _see(target, abi.encodeCall(IRegistry.keyOf, (buyer.key)));
        _see(target, abi.encodeCall(IRegistry.machineOf, (machine)));
        _see(target, abi.encodeCall(IRegistry.ownerOfMachine, (machine)));
        _see(target, abi.encodeCall(IRegistry.modelOf, (model)));
        _see(target, abi.encodeCall(IRegistry.stateOfModel, (model)));
        _see(target, abi.encodeCall(IRegistry.sequenceOf, (order)));
        _see(target, abi.encodeCall(IRegistry.sequence, ()));
        _see(target, abi.encodeCall(IRegistry.predecessor, ()));
        _see(target, abi.encodeCall(registry.owner, ()));
        _see(target, abi.encodeCall(registry.pendingOwner, ()));
        _see(target, abi.encodeCall(registry.isTrustedForwarder, (address(forwarder))));
        _see(target, abi.encodeCall(registry.trustedForwarder, ()));
        _see(target, abi.encodeCall(registry.renounceOwnership, ()));
        _see(target, abi.encodeCall(IRegistry.evaluator, ()));
        _see(target, abi.encodeCall(IRegistry.actorAndTaker, (buyer.key, carrier.id)));
        _see(target, abi.encodeCall(IRegistry.issuanceOf, (buyer.key, model)));
        _see(target, abi.encodeCall(IRegistry.modelFor, (model, inspector.id)));
        _see(target, abi.encodeCall(IRegistry.recoveryOf, (buyer.id)));
        _see(target, abi.encodeCall(IRegistry.nameKeyOf, (auditor.id, 0)));
        _see(target, abi.encodeCall(IRegistry.publishedOf, (1)));
        _see(target, abi.encodeCall(IRegistry.RECOVERY_DELAY, ()));
        _see(target, abi.encodeCall(IRegistry.absenceOf, (buyer.id)));
        _see(target, abi.encodeCall(IRegistry.successor, ()));
    }

    function _seeLedger(bytes32 order, bytes32 lot) private {
        address target = address(ledger);
        _see(target, abi.encodeCall(IHistory.sequence, ()));
        _see(target, abi.encodeCall(IHistory.headOf, (order)));
        _see(target, abi.encodeCall(IHistory.registry, ()));
        _see(target, abi.encodeCall(IHistory.predecessor, ()));
        _see(target, abi.encodeCall(deployed.HEAD_TAG, ()));
        _see(target, abi.encodeCall(deployed.lotOperations, ()));
        _see(target, abi.encodeCall(deployed.certificateOperations, ()));
        _see(target, abi.encodeCall(IHistory.ledgerId, ()));
        _see(target, abi.encodeCall(deployed.isTrustedForwarder, (address(forwarder))));
        _see(target, abi.encodeCall(deployed.trustedForwarder, ()));
        _see(target, abi.encodeCall(IOrders.orderOf, (order)));
        _see(target, abi.encodeCall(IAssignments.assignmentOf, (order, 0)));
        _see(target, abi.encodeCall(IEvidence.streamOf, (stream)));
        _see(target, abi.encodeCall(ILots.lotOf, (lot)));
        _see(target, abi.encodeCall(ICertificates.certificateOf, (1)));
        _see(target, abi.encodeCall(ICertificates.certificateStatus, (1)));
        _see(target, abi.encodeCall(IHistory.headOf, (lot)));
        _see(target, abi.encodeCall(ICustody.offerOf, (lot)));
        _see(target, abi.encodeCall(ICertificates.standingOf, (lot, inspector.id)));
        _see(target, abi.encodeCall(IRevisions.proposalOf, (order)));
        _see(target, abi.encodeCall(IGates.gatesOf, (order)));
        _see(target, abi.encodeCall(IGates.waiverOf, (lot, inspector.id)));
    }

    function _seeEvaluator() private {
        address target = address(registry.evaluator());
        address code = registry.modelOf(published).code;
        _see(target, abi.encodeCall(IEvaluator.requireExecutable, (_content)));
        _see(target, abi.encodeCall(IEvaluator.evaluate, (code, Models.raw(Models.fill(WIDTH, 1)))));
        _see(target, abi.encodeCall(IEvaluator.examine, (ROOT, ROOT, code, _infer(int8(1)))));
    }

    function _seeForwarder() private {
        address target = address(forwarder);
        ERC2771Forwarder.ForwardRequestData memory unsigned;
        _see(target, abi.encodeCall(forwarder.verify, (unsigned)));
        _see(target, abi.encodeCall(forwarder.nonces, (buyer.key)));
        _see(target, abi.encodeCall(forwarder.eip712Domain, ()));
    }

    function _seeCouncil() private {
        address target = address(_council);
        _see(target, abi.encodeCall(ICouncil.LEAST_MEMBERS, ()));
        _see(target, abi.encodeCall(ICouncil.MOST_MEMBERS, ()));
        _see(target, abi.encodeCall(ICouncil.MOST_DATA, ()));
        _see(target, abi.encodeCall(ICouncil.LAPSE, ()));
        _see(target, abi.encodeCall(ICouncil.registry, ()));
        _see(target, abi.encodeCall(ICouncil.delay, ()));
        _see(target, abi.encodeCall(ICouncil.quorum, ()));
        _see(target, abi.encodeCall(ICouncil.term, ()));
        _see(target, abi.encodeCall(ICouncil.motions, ()));
        _see(target, abi.encodeCall(ICouncil.members, ()));
        _see(target, abi.encodeCall(ICouncil.isMember, (buyer.id)));
        _see(target, abi.encodeCall(ICouncil.motionOf, (1)));
        _see(target, abi.encodeCall(ICouncil.hasApproved, (1, buyer.id)));
        _see(target, abi.encodeCall(ICouncil.neededFor, ("")));
    }

    function _addAssignmentRows() internal {
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
        _add(maker, equipped, abi.encodeCall(IEvidence.anchor, (stream, 1000, ROOT)));
        uint16 writing = Roles.COORDINATOR | Roles.AUDITOR;
        bytes32 plans = _openStream(coordinator, 0, "plans");
        _addFree(coordinator, writing, abi.encodeCall(IEvidence.openStream, (_hash("new"), 0, ROOT)));
        _add(coordinator, writing, abi.encodeCall(IEvidence.anchor, (plans, 11, ROOT)));
    }

    function _addLotRows() internal {
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
        _add(buyer, Roles.BUYER, abi.encodeCall(IGates.waiveGate, (lot, order, inspector.id, ROOT)));
    }

    function _addChange(uint16 roles, ILots.Transformation memory change) private {
        _add(maker, roles, abi.encodeCall(ILots.transformLots, (change)));
    }

    function _addCustodyRows() internal {
        bytes32 held = _receive(maker, "held", 10);
        bytes32 offered = _receive(maker, "offered", 10);
        _offer(maker, _item(offered, 0), carrier);
        uint16 roles = Roles.HOLDER;
        _add(maker, roles, abi.encodeCall(ICustody.offerCustody, (_item(held, 0), carrier.id, ROOT)));
        uint40 offer = ledger.offerOf(offered).sequence;
        _add(carrier, roles, abi.encodeCall(ICustody.acceptCustody, (_item(offered, 0), offer, ROOT)));
        _add(carrier, roles, abi.encodeCall(ICustody.declineCustody, (offered, offer, ROOT)));
        _add(maker, roles, abi.encodeCall(ICustody.withdrawCustody, (offered, ROOT)));
        bytes32 bad = _receive(maker, "bad", 10);
        _move(maker, _item(bad, 0), carrier);
        _quarantine(carrier, bad, 0);
        _add(carrier, roles, abi.encodeCall(ICustody.returnLot, (bad, maker.id, _hash("bad"), ROOT)));
    }

    function _addCertificateRows() internal {
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
        _addFree(auditor, Roles.AUDITOR, data);
        bytes32 failed = _commission(order, "failed", 10);
        uint40 fail = _fail(failed, order);
        _addFree(maker, Roles.ANY, abi.encodeCall(ICertificates.demandOpening, (failed, _hash("failed"), fail)));
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
