// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IEvidence} from "../src/interfaces/IEvidence.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";

contract EvidenceTest is Fixture {
    function test_openStream() public check {
        bytes32 subject = _subject(Subjects.Kind.Stream, maker, "new");
        uint40 next = _expectRecord();
        emit IEvidence.StreamOpened(next, maker.id, subject, maker.key, new bytes32[](0), machine, ROOT);
        _as(maker);
        assertEq(ledger.openStream(_hash("new"), machine, ROOT), subject);
        IEvidence.Stream memory opened = ledger.streamOf(subject);
        assertEq(opened.sequence, next);
        assertEq(opened.machine, machine);
        assertEq(opened.owner, maker.id);
        assertEq(opened.size, 0);
        assertEq(opened.root, sha256(""));
        _refuse(maker, abi.encodeWithSelector(IHistory.HistorySubjectTaken.selector, subject));
        ledger.openStream(_hash("new"), machine, ROOT);
    }

    function test_openRefusals() public check {
        _refuse(buyer, _roleMissing(buyer, Roles.BUYER, Roles.MANUFACTURER | Roles.INSPECTOR));
        ledger.openStream(_hash("new"), machine, ROOT);
        _refuse(maker2, abi.encodeWithSelector(IEvidence.EvidenceMachineForeign.selector, machine, maker.id));
        ledger.openStream(_hash("new"), machine, ROOT);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryMachineUnknown.selector, 999));
        ledger.openStream(_hash("new"), 999, ROOT);
        _as(maker);
        registry.retireMachine(machine, ROOT);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryMachineRetired.selector, machine, START));
        ledger.openStream(_hash("new"), machine, ROOT);
    }

    function test_anchor() public check {
        uint40 next = _expectRecord();
        emit IEvidence.StreamAnchored(next, maker.id, stream, maker.key, new bytes32[](0), 11, LEAF);
        _as(maker);
        ledger.anchor(stream, 11, LEAF);
        assertEq(ledger.streamOf(stream).size, 11);
        assertEq(ledger.streamOf(stream).root, LEAF);
    }

    function test_anchorRefusals() public check {
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceSizeNotGrown.selector, stream, 10, 10));
        ledger.anchor(stream, 10, ROOT);
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceSizeNotGrown.selector, stream, 10, 9));
        ledger.anchor(stream, 9, ROOT);
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceRootMissing.selector, stream));
        ledger.anchor(stream, 11, 0);
        _refuse(maker2, abi.encodeWithSelector(IEvidence.EvidenceStreamForeign.selector, stream, maker.id));
        ledger.anchor(stream, 11, ROOT);
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceStreamUnknown.selector, ROOT));
        ledger.anchor(ROOT, 11, ROOT);
        _refuse(carrier, _roleMissing(carrier, Roles.CARRIER, Roles.ANY & ~(Roles.BUYER | Roles.CARRIER)));
        ledger.anchor(stream, 11, ROOT);
    }

    /// @dev Before, plans and audit logs could be anchored by nobody who has no machine.
    function test_streamsWithoutAMachine() public check {
        bytes32 subject = _subject(Subjects.Kind.Stream, coordinator, "plans");
        uint40 next = _expectRecord();
        emit IEvidence.StreamOpened(next, coordinator.id, subject, coordinator.key, new bytes32[](0), 0, ROOT);
        _as(coordinator);
        assertEq(ledger.openStream(_hash("plans"), 0, ROOT), subject);
        assertEq(ledger.streamOf(subject).owner, coordinator.id);
        assertEq(ledger.streamOf(subject).machine, 0);
        _as(coordinator);
        ledger.anchor(subject, 3, LEAF);
        bytes32 logs = _openStream(auditor, 0, "logs");
        _refuse(coordinator, abi.encodeWithSelector(IEvidence.EvidenceStreamForeign.selector, logs, auditor.id));
        ledger.anchor(logs, 11, ROOT);
    }

    function test_streamRolesFollowTheMachine() public check {
        uint16 unequipped = Roles.COORDINATOR | Roles.AUDITOR;
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, unequipped));
        ledger.openStream(_hash("plans"), 0, ROOT);
        bytes32 logs = _openStream(auditor, 0, "logs");
        _setRoles(auditor, Roles.INSPECTOR);
        _refuse(auditor, _roleMissing(auditor, Roles.INSPECTOR, unequipped));
        ledger.anchor(logs, 11, ROOT);
        _setRoles(maker, Roles.COORDINATOR);
        _refuse(maker, _roleMissing(maker, Roles.COORDINATOR, Roles.MANUFACTURER | Roles.INSPECTOR));
        ledger.anchor(stream, 11, ROOT);
    }

    /// @dev Nothing in such a stream is a measurement.
    function test_noVerdictOnAStreamWithoutAMachine() public check {
        bytes32 order = _startedOrder("order");
        bytes32 lot = _commission(order, "lot", 1);
        bytes32 logs = _openStream(auditor, 0, "logs");
        ICertificates.Statement memory statement = _statement(lot, order, ICertificates.Verdict.Pass);
        statement.stream = logs;
        _refuse(inspector, abi.encodeWithSelector(IEvidence.EvidenceNotMeasured.selector, logs));
        ledger.issueCertificate(statement);
        bytes32 second = _acceptedOrder("second", _terms(1));
        uint40 assignment = _proposeAndAccept(second, 0);
        _refuse(maker, abi.encodeWithSelector(IAssignments.AssignmentStreamOfOther.selector, logs, 0, machine));
        ledger.startAssignment(second, 0, assignment, logs, ROOT);
    }

    function test_emptyStreamHasNothingAnchored() public check {
        bytes32 order = _acceptedOrder("order", _terms(1));
        uint40 assignment = _proposeAndAccept(order, 0);
        _as(maker);
        bytes32 empty = ledger.openStream(_hash("new"), machine, ROOT);
        _as(maker);
        ledger.startAssignment(order, 0, assignment, empty, ROOT);
        _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceNotAnchored.selector, empty, 0, 0));
        ledger.finishAssignment(order, 0, assignment, empty, 0, LEAF);
    }

    function testFuzz_anchorsOnlyGrow(uint40 first, uint40 second, bytes32 root) public check {
        vm.assume(root != 0);
        first = uint40(bound(first, 11, type(uint40).max));
        _as(maker);
        ledger.anchor(stream, first, root);
        if (second <= first) {
            _refuse(maker, abi.encodeWithSelector(IEvidence.EvidenceSizeNotGrown.selector, stream, first, second));
        } else {
            _as(maker);
        }
        ledger.anchor(stream, second, root);
        assertEq(ledger.streamOf(stream).size, second > first ? second : first);
    }
}
