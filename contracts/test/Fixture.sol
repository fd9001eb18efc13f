// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CertificateOperations} from "../src/CertificateOperations.sol";
import {Forwarder} from "../src/Forwarder.sol";
import {LotOperations} from "../src/LotOperations.sol";
import {Registry} from "../src/Registry.sol";
import {TraceLedger} from "../src/TraceLedger.sol";
import {IAssignments} from "../src/interfaces/IAssignments.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Base} from "./Base.sol";
import {Replay} from "./replay/Replay.sol";

/// @notice A consortium with machines, models and streams, and the steps that bring it to any state.
/// Every test ends with `check`: the replay of all its logs must have found nothing wrong.
abstract contract Fixture is Base {
    struct Party {
        uint32 id;
        address key;
        uint256 secret;
    }

    uint256 internal constant START = 1_800_000_000;
    uint40 internal constant EXPIRY = 1_900_000_000;
    bytes3 internal constant KGM = "KGM";
    bytes3 internal constant PIECE = "H87";
    bytes32 internal constant ROOT = keccak256("document");
    bytes32 internal constant LEAF = keccak256("leaf");
    bytes32 internal constant DIGEST = keccak256("inference");

    address internal owner;
    Registry internal registry;
    TraceLedger internal deployed;
    ITraceLedger internal ledger;
    Forwarder internal forwarder;
    Replay internal replay;

    Party internal buyer;
    Party internal coordinator;
    Party internal maker;
    Party internal maker2;
    Party internal maker3;
    Party internal inspector;
    Party internal inspector2;
    Party internal carrier;
    Party internal auditor;

    uint40 internal machine;
    uint40 internal machine2;
    uint40 internal gauge;
    uint40 internal model;
    uint40 internal model2;
    bytes32 internal stream;
    bytes32 internal stream2;
    bytes32 internal gaugeStream;
    /// @dev By their number, which is what lots name.
    mapping(uint40 sequence => bytes32 order) private _placed;

    function setUp() public virtual {
        vm.warp(START);
        vm.recordLogs();
        owner = makeAddress("owner");
        forwarder = new Forwarder();
        registry = new Registry(owner, address(forwarder), address(0));
        deployed = _deploy(address(forwarder), address(0));
        ledger = ITraceLedger(address(deployed));
        replay = new Replay(registry, ledger);
        _admitAll();
        machine = _registerMachine(maker, "machine");
        machine2 = _registerMachine(maker2, "machine2");
        gauge = _registerMachine(inspector, "gauge");
        model = _approvedModel("model");
        model2 = _approvedModel("model2");
        stream = _openStream(maker, machine, "stream");
        stream2 = _openStream(maker2, machine2, "stream2");
        gaugeStream = _openStream(inspector, gauge, "gauge stream");
    }

    /// @dev Runs after every test that says so: replays what was logged and fails on any breach.
    modifier check() {
        _;
        _settle();
        replay.sweep();
        replay.requireAll();
    }

    /// @dev A ledger with both of its operations.
    function _deploy(address forwarder_, address predecessor_) internal returns (TraceLedger) {
        LotOperations onLots = new LotOperations(registry, forwarder_, predecessor_);
        CertificateOperations onCertificates = new CertificateOperations(onLots);
        return new TraceLedger(onCertificates);
    }

    // ---- time and calls ----

    /// @dev Takes the logs of this block into the replay.
    function _settle() internal {
        replay.take();
        replay.requireAll();
    }

    function _warp(uint256 time) internal {
        _settle();
        vm.warp(time);
    }

    function _as(Party storage party) internal {
        vm.prank(party.key);
    }

    /// @dev The next call is the party's and fails with exactly `reason`.
    function _refuse(Party storage party, bytes memory reason) internal {
        vm.prank(party.key);
        vm.expectRevert(reason);
    }

    /// @dev The next record's event: emit it right after. The sequence is the next one.
    function _expectRecord() internal returns (uint40 next) {
        next = ledger.sequence() + 1;
        vm.expectEmit(address(ledger));
    }

    function _one(bytes32 subject) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = subject;
    }

    function _two(bytes32 first, bytes32 second) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](2);
        (list[0], list[1]) = (first, second);
    }

    /// @dev The two in ascending order.
    function _sorted(bytes32 left, bytes32 right) internal pure returns (bytes32[] memory list) {
        return left < right ? _two(left, right) : _two(right, left);
    }

    function _hash(string memory name) internal pure returns (bytes32) {
        return keccak256(bytes(name));
    }

    function _subject(Subjects.Kind kind, Party storage creator, string memory name) internal view returns (bytes32) {
        return Subjects.derive(kind, creator.id, _hash(name));
    }

    function _lotName(Party storage creator, string memory name) internal view returns (bytes32) {
        return _subject(Subjects.Kind.Lot, creator, name);
    }

    // ---- consortium ----

    function _admit(string memory name, uint16 roles) internal returns (Party memory party) {
        (party.key, party.secret) = makeKey(name);
        vm.prank(owner);
        party.id = registry.admit(roles, party.key, ROOT);
        vm.prank(party.key);
        registry.acceptKey(party.id);
    }

    function _admitAll() private {
        buyer = _admit("buyer", Roles.BUYER);
        coordinator = _admit("coordinator", Roles.COORDINATOR);
        maker = _admit("maker", Roles.MANUFACTURER);
        maker2 = _admit("maker2", Roles.MANUFACTURER);
        maker3 = _admit("maker3", Roles.MANUFACTURER);
        inspector = _admit("inspector", Roles.INSPECTOR);
        inspector2 = _admit("inspector2", Roles.INSPECTOR | Roles.MANUFACTURER);
        carrier = _admit("carrier", Roles.CARRIER);
        auditor = _admit("auditor", Roles.AUDITOR);
    }

    function _registerMachine(Party storage party, string memory name) internal returns (uint40) {
        _as(party);
        return registry.registerMachine(_hash(name), ROOT);
    }

    function _approvedModel(string memory name) internal returns (uint40 number) {
        _as(inspector);
        number = registry.registerModel(_hash(name), ROOT);
        _as(auditor);
        registry.approveModel(number, ROOT);
    }

    function _openModel(uint40 number) internal {
        _as(inspector);
        registry.openModel(number, true);
    }

    function _retireModel(uint40 number) internal {
        _as(inspector);
        registry.retireModel(number, ROOT);
    }

    function _withdrawModel(uint40 number) internal {
        _as(auditor);
        registry.withdrawModel(number, 0, ROOT);
    }

    function _suspend(Party storage party) internal {
        vm.prank(owner);
        registry.suspend(party.id, ROOT);
    }

    function _setRoles(Party storage party, uint16 roles) internal {
        vm.prank(owner);
        registry.setRoles(party.id, roles);
    }

    function _openStream(Party storage party, uint40 machine_, string memory name) internal returns (bytes32 opened) {
        _as(party);
        opened = ledger.openStream(_hash(name), machine_, ROOT);
        _as(party);
        ledger.anchor(opened, 10, ROOT);
    }

    // ---- orders ----

    function _terms(uint16 operations) internal view returns (IOrders.OrderTerms memory) {
        return IOrders.OrderTerms(operations, coordinator.id, Gates.one(inspector.id, model), EXPIRY, 0, 0, ROOT);
    }

    function _ungated(uint16 operations) internal view returns (IOrders.OrderTerms memory) {
        return IOrders.OrderTerms(operations, coordinator.id, 0, EXPIRY, 0, 0, ROOT);
    }

    /// @dev Two gates, by whoever was admitted first.
    function _both(uint32 first, uint40 firstModel, uint32 second, uint40 secondModel) internal pure returns (uint256) {
        return Gates.one(first, firstModel) | Gates.one(second, secondModel) << 72;
    }

    function _none() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }

    function _coordinatedBy(uint32 id, IOrders.OrderTerms memory terms)
        internal
        pure
        returns (IOrders.OrderTerms memory)
    {
        terms.coordinator = id;
        return terms;
    }

    function _place(string memory name, IOrders.OrderTerms memory terms) internal returns (bytes32 order) {
        _as(buyer);
        order = ledger.placeOrder(_hash(name), terms);
        _placed[ledger.sequence()] = order;
    }

    function _acceptedOrder(string memory name, IOrders.OrderTerms memory terms) internal returns (bytes32 order) {
        order = _place(name, terms);
        _as(coordinator);
        ledger.acceptOrder(order, ROOT);
    }

    /// @dev A gated order of one operation, started by `maker` on `machine`.
    function _startedOrder(string memory name) internal returns (bytes32 order) {
        order = _acceptedOrder(name, _terms(1));
        _start(order, 0);
    }

    function _propose(bytes32 order, uint16 operation) internal returns (uint40) {
        _as(coordinator);
        return ledger.proposeAssignment(order, operation, machine, ROOT);
    }

    function _proposeAndAccept(bytes32 order, uint16 operation) internal returns (uint40 assignment) {
        assignment = _propose(order, operation);
        _as(maker);
        ledger.acceptAssignment(order, operation, assignment, ROOT);
    }

    function _start(bytes32 order, uint16 operation) internal returns (uint40 assignment) {
        assignment = _proposeAndAccept(order, operation);
        _as(maker);
        ledger.startAssignment(order, operation, assignment, stream, ROOT);
    }

    function _finish(bytes32 order, uint16 operation) internal {
        IAssignments.Assignment memory current = ledger.assignmentOf(order, operation);
        vm.startPrank(maker.key);
        if (ledger.streamOf(stream).size == current.streamSize) ledger.anchor(stream, current.streamSize + 1, ROOT);
        ledger.finishAssignment(order, operation, current.sequence, stream, current.streamSize, LEAF);
        vm.stopPrank();
    }

    function _complete(bytes32 order) internal {
        _as(coordinator);
        ledger.completeOrder(order, ROOT);
    }

    // ---- lots ----

    function _commission(bytes32 order, string memory name, uint40 quantity) internal returns (bytes32) {
        _as(maker);
        return ledger.commissionLot(_hash(name), order, 0, quantity, PIECE, ROOT);
    }

    function _receive(Party storage party, string memory name, uint40 quantity) internal returns (bytes32) {
        _as(party);
        return ledger.receiveLot(_hash(name), quantity, PIECE, ROOT);
    }

    function _statement(bytes32 lot, bytes32 order, ICertificates.Verdict verdict)
        internal
        view
        returns (ICertificates.Statement memory)
    {
        return ICertificates.Statement({
            items: _item(lot, order),
            model: model,
            verdict: verdict,
            expiresAt: EXPIRY,
            inferenceDigest: DIGEST,
            claimsRoot: ROOT,
            stream: gaugeStream,
            leafIndex: 3,
            leafHash: LEAF
        });
    }

    function _certify(bytes32 lot, bytes32 order, ICertificates.Verdict verdict) internal returns (uint40) {
        ICertificates.Statement memory statement = _statement(lot, order, verdict);
        _as(inspector);
        return ledger.issueCertificate(statement);
    }

    function _pass(bytes32 lot, bytes32 order) internal returns (uint40) {
        return _certify(lot, order, ICertificates.Verdict.Pass);
    }

    /// @dev The latest certificate of `inspector` on the lot.
    function _latest(bytes32 lot) internal view returns (uint40) {
        return ledger.standingOf(lot, inspector.id).latest;
    }

    function _latestOf(bytes32 lot) internal view returns (ICertificates.Certificate memory) {
        return ledger.certificateOf(_latest(lot));
    }

    function _release(Party storage party, bytes32 lot, bytes32 order) internal {
        _as(party);
        ledger.releaseLot(lot, order, ROOT);
    }

    function _fail(bytes32 lot, bytes32 order) internal returns (uint40) {
        return _certify(lot, order, ICertificates.Verdict.Fail);
    }

    function _quarantine(Party storage party, bytes32 lot, bytes32 order) internal {
        _as(party);
        ledger.quarantineLot(lot, order, ROOT);
    }

    function _pack(Party storage party, bytes32 parent, bytes32[] memory lots) internal {
        _as(party);
        ledger.packLots(parent, lots);
    }

    function _offer(Party storage from, ICustody.Item[] memory consignment, Party storage to) internal {
        _as(from);
        ledger.offerCustody(consignment, to.id, ROOT);
    }

    function _accept(Party storage to, ICustody.Item[] memory consignment) internal {
        uint40 offer = ledger.offerOf(consignment[0].lot).sequence;
        _as(to);
        ledger.acceptCustody(consignment, offer, ROOT);
    }

    function _move(Party storage from, ICustody.Item[] memory consignment, Party storage to) internal {
        _offer(from, consignment, to);
        _accept(to, consignment);
    }

    function _item(bytes32 lot, bytes32 order) internal pure returns (ICustody.Item[] memory list) {
        list = new ICustody.Item[](1);
        list[0] = ICustody.Item(lot, order);
    }

    /// @dev A parent of no order and two lots of `order` in it.
    function _items(bytes32 parent, bytes32[] memory lots, bytes32 order)
        internal
        pure
        returns (ICustody.Item[] memory list)
    {
        list = new ICustody.Item[](lots.length + 1);
        list[0] = ICustody.Item(parent, 0);
        for (uint256 i; i < lots.length; ++i) {
            list[i + 1] = ICustody.Item(lots[i], order);
        }
    }

    // ---- transformations ----

    /// @dev Conserved, and of the order that the lot has now.
    function _input(bytes32 lot, uint40 quantity) internal view returns (ILots.Input memory) {
        uint40 number = ledger.lotOf(lot).order;
        bytes32 order = _placed[number];
        return ILots.Input(lot, order == 0 ? replay.orderAt(number) : order, quantity, false);
    }

    function _component(bytes32 lot, uint40 quantity) internal view returns (ILots.Input memory input) {
        input = _input(lot, quantity);
        input.component = true;
    }

    /// @dev The two in ascending order.
    function _ascending(ILots.Input memory left, ILots.Input memory right)
        internal
        pure
        returns (ILots.Input[] memory list)
    {
        list = new ILots.Input[](2);
        (list[0], list[1]) = left.lot < right.lot ? (left, right) : (right, left);
    }

    function _inputs(bytes32 lot, uint40 quantity) internal view returns (ILots.Input[] memory list) {
        list = new ILots.Input[](1);
        list[0] = _input(lot, quantity);
    }

    function _outputs(string memory name, uint40 quantity) internal pure returns (ILots.Output[] memory list) {
        list = new ILots.Output[](1);
        list[0] = ILots.Output(_hash(name), quantity, PIECE, ROOT);
    }

    function _outputs(string memory name, uint40 quantity, string memory name2, uint40 quantity2)
        internal
        pure
        returns (ILots.Output[] memory list)
    {
        list = new ILots.Output[](2);
        list[0] = ILots.Output(_hash(name), quantity, PIECE, ROOT);
        list[1] = ILots.Output(_hash(name2), quantity2, PIECE, ROOT);
    }

    /// @dev Pieces to pieces, without loss.
    function _change(
        ILots.TransformationKind kind,
        bytes32 order,
        ILots.Input[] memory inputs,
        ILots.Output[] memory outputs
    ) internal pure returns (ILots.Transformation memory) {
        return ILots.Transformation({
            kind: kind,
            order: order,
            operation: 0,
            unit: PIECE,
            outputUnit: PIECE,
            loss: 0,
            yieldIn: 1,
            yieldOut: 1,
            claimsRoot: ROOT,
            inputs: inputs,
            outputs: outputs
        });
    }

    function _transform(Party storage party, ILots.Transformation memory change) internal {
        _as(party);
        ledger.transformLots(change);
    }

    // ---- errors ----

    function _roleMissing(Party storage party, uint16 held, uint16 needed) internal view returns (bytes memory) {
        return abi.encodeWithSignature("HistoryRoleMissing(uint32,uint16,uint16)", party.id, held, needed);
    }

    function _assertOrder(bytes32 order, IOrders.OrderState state) internal view {
        assertEq(uint256(ledger.orderOf(order).state), uint256(state), "state of the order");
    }

    function _assertAssignment(bytes32 order, uint16 operation, IAssignments.AssignmentState state) internal view {
        assertEq(uint256(ledger.assignmentOf(order, operation).state), uint256(state), "state of the assignment");
    }

    function _assertLot(bytes32 lot, ILots.LotState state, Party storage custodian) internal view {
        assertEq(uint256(ledger.lotOf(lot).state), uint256(state), "state of the lot");
        assertEq(ledger.lotOf(lot).holder, custodian.id, "custodian of the lot");
    }

    function _assertModel(uint40 number, IRegistry.ModelState state) internal view {
        assertEq(uint256(registry.stateOfModel(number)), uint256(state), "state of the model");
    }

    function _assertStatus(bytes32 lot, ICertificates.CertificateStatus status) internal view {
        assertEq(uint256(ledger.certificateStatus(_latest(lot))), uint256(status), "status of the certificate");
    }
}
