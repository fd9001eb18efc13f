// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {CertificateOperations} from "../src/CertificateOperations.sol";
import {LotOperations} from "../src/LotOperations.sol";
import {TraceLedger} from "../src/TraceLedger.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";

/// @notice One address for three pieces of code, batches, and whose word on the sender is taken.
contract TraceLedgerTest is Fixture {
    address private _attacker;
    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _attacker = makeAddress("attacker");
        _order = _subject(Subjects.Kind.Order, buyer, "order");
        _lot = _lotName(carrier, "lot");
    }

    // ---- three pieces of code ----

    /// @dev The one writer refuses. What needs a subject that exists fails before, since nothing does there.
    function test_lotOperationsAloneRefuses() public {
        LotOperations operations = LotOperations(deployed.lotOperations());
        bytes memory reason = abi.encodeWithSelector(IHistory.HistoryNotTheLedger.selector, address(operations));
        _refuse(carrier, reason);
        operations.receiveLot(_hash("lot"), 5, PIECE, ROOT);
        _refuse(maker, reason);
        operations.openStream(_hash("log"), machine, ROOT);
        _refuse(carrier, reason);
        operations.multicall(_calls(_receiveCall("lot")));
        _refuse(carrier, abi.encodeWithSelector(ILots.LotUnknown.selector, _lot));
        operations.scrapLot(_lot, 5, ILots.Disposition.Scrapped, ROOT);
        assertEq(operations.sequence(), 0);
    }

    function test_certificateOperationsAloneRefuses() public {
        CertificateOperations operations = CertificateOperations(deployed.certificateOperations());
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateUnknown.selector, 1));
        operations.revokeCertificate(_one(_lot), 1, ROOT);
        _refuse(coordinator, abi.encodeWithSelector(IOrders.OrderUnknown.selector, _order));
        operations.endOrder(_order, 0, ROOT);
        assertEq(operations.sequence(), 0);
    }

    function test_allThreeHaveTheSameConstants() public {
        TraceLedger next = _deploy(address(forwarder), address(ledger));
        LotOperations lots = LotOperations(next.lotOperations());
        CertificateOperations certificates = CertificateOperations(next.certificateOperations());
        assertEq(next.predecessor(), address(ledger));
        assertEq(_constants(address(lots)), _constants(address(next)));
        assertEq(_constants(address(certificates)), _constants(address(next)));
        assertEq(lots.lotOperations(), address(lots));
        assertEq(certificates.lotOperations(), address(lots));
        assertEq(certificates.certificateOperations(), address(certificates));
    }

    /// @dev Whatever is not a LotOperations, other code that knows one included.
    function test_onlyLotOperationsAreCopied() public {
        address other = deployed.certificateOperations();
        _refuseLots(other);
        _refuseLots(address(ledger));
        address[2] memory strangers = [address(registry), carrier.key];
        for (uint256 i; i < strangers.length; ++i) {
            vm.expectRevert();
            new CertificateOperations(LotOperations(strangers[i]));
        }
    }

    /// @dev Whatever is not a CertificateOperations, a ledger included.
    function test_onlyCertificateOperationsAreCopied() public {
        vm.expectRevert(abi.encodeWithSelector(TraceLedger.TraceLedgerCertificatesUnfit.selector, address(ledger)));
        new TraceLedger(CertificateOperations(address(ledger)));
        address[3] memory strangers = [deployed.lotOperations(), address(registry), carrier.key];
        for (uint256 i; i < strangers.length; ++i) {
            vm.expectRevert();
            new TraceLedger(CertificateOperations(strangers[i]));
        }
    }

    function test_ledgerIdIsOfTheBlockBefore() public {
        bytes32 parent = blockhash(block.number - 1);
        LotOperations lots = new LotOperations(registry, address(forwarder), address(0));
        assertEq(lots.ledgerId(), keccak256(abi.encode(parent, block.chainid, address(lots))));
        assertNotEq(lots.ledgerId(), ledger.ledgerId());
    }

    function test_unknownFunctionFails() public {
        vm.prank(carrier.key);
        (bool done, bytes memory answer) = address(ledger).call(abi.encodeWithSignature("nothing()"));
        assertFalse(done);
        assertEq(answer, "");
        (done, answer) = address(ledger).call("");
        assertFalse(done);
        assertEq(answer, "");
        vm.prank(carrier.key);
        vm.expectRevert(Errors.FailedCall.selector);
        deployed.multicall(_calls(abi.encodeWithSignature("nothing()")));
    }

    function test_takesNoMoney() public {
        vm.deal(address(this), 1 ether);
        (bool done,) = address(ledger).call{value: 1}("");
        assertFalse(done);
        (done,) = address(ledger).call{value: 1}(_receiveCall("lot"));
        assertFalse(done);
        (done,) = address(registry).call{value: 1}("");
        assertFalse(done);
        assertEq(address(ledger).balance, 0);
    }

    /// @dev Errors of the lot families come through as they are.
    function test_errorsComeThrough() public check {
        _refuse(carrier, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.scrapLot(ROOT, 1, ILots.Disposition.Scrapped, ROOT);
    }

    /// @dev Answers of the lot families, too, whatever their length: a number, a struct, none at all.
    function test_answersComeThrough() public check {
        bytes32 lot = _receive(carrier, "lot", 5);
        (bool done, bytes memory answer) = address(ledger).staticcall(abi.encodeCall(ILots.lotOf, (lot)));
        assertTrue(done);
        assertEq(answer, abi.encode(ledger.lotOf(lot)));
        assertEq(ledger.lotOf(lot).quantity, 5);
        (done, answer) = address(ledger).staticcall(abi.encodeCall(ICertificates.certificateStatus, (1)));
        assertTrue(done);
        assertEq(answer, abi.encode(uint256(0)));
        _as(carrier);
        (done, answer) =
            address(ledger).call(abi.encodeCall(ILots.scrapLot, (lot, 5, ILots.Disposition.Scrapped, ROOT)));
        assertTrue(done);
        assertEq(answer, "");
    }

    /// @dev A function that changes something is refused where nothing may change, as if it were the ledger's own.
    function test_nothingIsRecordedInAStaticCall() public {
        uint40 before = ledger.sequence();
        vm.prank(carrier.key);
        (bool done,) = address(ledger).staticcall{gas: 300_000}(_receiveCall("lot"));
        assertFalse(done);
        assertEq(ledger.sequence(), before);
    }

    // ---- batches ----

    function test_multicallRecordsAll() public check {
        bytes[] memory calls = new bytes[](3);
        calls[0] = _placeCall();
        calls[1] = abi.encodeCall(IOrders.cancelOrder, (_order, ROOT));
        calls[2] = _receiveCall("lot");
        uint40 before = ledger.sequence();
        _as(buyer);
        bytes[] memory answers = deployed.multicall(calls);
        assertEq(abi.decode(answers[0], (bytes32)), _order);
        assertEq(abi.decode(answers[2], (bytes32)), _lotName(buyer, "lot"));
        assertEq(ledger.sequence(), before + 3);
        _assertOrder(_order, IOrders.OrderState.Cancelled);
    }

    function test_multicallIsAllOrNothing() public check {
        bytes[] memory calls = new bytes[](3);
        calls[0] = _placeCall();
        calls[1] = _receiveCall("lot");
        calls[2] = abi.encodeCall(ILots.scrapLot, (ROOT, 1, ILots.Disposition.Scrapped, ROOT));
        uint40 before = ledger.sequence();
        _settle();
        _refuse(buyer, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        deployed.multicall(calls);
        vm.getRecordedLogs(); // forge keeps the logs of a call that failed
        assertEq(ledger.sequence(), before);
        assertEq(ledger.orderOf(_order).sequence, 0);
        assertEq(ledger.headOf(_order), 0);
        assertEq(ledger.lotOf(_lotName(buyer, "lot")).number, 0);
    }

    function test_multicallWithinMulticall() public check {
        bytes[] memory inner = _calls(_receiveCall("lot"));
        _as(carrier);
        deployed.multicall(_calls(abi.encodeCall(deployed.multicall, (inner))));
        assertEq(ledger.lotOf(_lot).holder, carrier.id);
    }

    function test_registryMulticall() public check {
        address fresh = makeAddress("fresh");
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IRegistry.registerMachine, (_hash("lathe"), ROOT));
        calls[1] = abi.encodeCall(IRegistry.proposeKey, (fresh, Roles.ANY, true));
        _as(maker);
        registry.multicall(calls);
        assertEq(registry.sequenceOf(_subject(Subjects.Kind.Machine, maker, "lathe")), registry.sequence() - 1);
    }

    // ---- a suffix alone makes nobody another sender ----

    function test_spoofedSuffixDirect() public check {
        _refuseAttacker(address(ledger), abi.encodePacked(_placeCall(), buyer.key));
        _refuseAttacker(address(ledger), abi.encodePacked(_receiveCall("lot"), carrier.key));
        _refuseAttacker(
            address(registry),
            abi.encodePacked(abi.encodeCall(IRegistry.proposeKey, (_attacker, Roles.ANY, true)), buyer.key)
        );
    }

    function test_spoofedSuffixWithinMulticall() public check {
        bytes[] memory calls = _calls(abi.encodePacked(_placeCall(), buyer.key));
        _refuseAttacker(address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        calls[0] = abi.encodePacked(_receiveCall("lot"), carrier.key);
        _refuseAttacker(address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        _refuseAttacker(address(ledger), abi.encodePacked(abi.encodeCall(deployed.multicall, (calls)), carrier.key));
        calls[0] = abi.encodePacked(abi.encodeCall(deployed.multicall, (calls)), carrier.key);
        _refuseAttacker(address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        calls[0] = abi.encodePacked(abi.encodeCall(IRegistry.proposeKey, (_attacker, Roles.ANY, true)), buyer.key);
        _refuseAttacker(address(registry), abi.encodeCall(registry.multicall, (calls)));
    }

    function test_spoofedSuffixOfTheOwner() public {
        bytes memory call = abi.encodeCall(IRegistry.setRoles, (buyer.id, Roles.ANY));
        bytes[] memory calls = _calls(abi.encodePacked(call, owner));
        vm.prank(_attacker);
        (bool done,) = address(registry).call(abi.encodePacked(call, owner));
        assertFalse(done);
        vm.prank(_attacker);
        (done,) = address(registry).call(abi.encodeCall(registry.multicall, (calls)));
        assertFalse(done);
        assertEq(registry.rolesOf(buyer.id), Roles.BUYER);
    }

    /// @dev A participant's own record stays its own, whatever it appends.
    function test_suffixOfAParticipantIsIgnored() public check {
        bytes[] memory calls = _calls(abi.encodePacked(_receiveCall("lot"), maker.key));
        _as(carrier);
        deployed.multicall(calls);
        assertEq(ledger.lotOf(_lot).holder, carrier.id);
        assertEq(ledger.lotOf(_lotName(maker, "lot")).number, 0);
    }

    function testFuzz_suffixNeverActs(bytes20 suffix, bytes memory noise, bool batched) public check {
        bytes memory call = abi.encodePacked(_receiveCall("lot"), noise, suffix);
        if (batched) call = abi.encodeCall(deployed.multicall, (_calls(call)));
        _refuseAttacker(address(ledger), call);
    }

    // ---- inside ----

    function _constants(address code) private view returns (bytes memory) {
        ITraceLedger part = ITraceLedger(code);
        return abi.encode(
            part.registry(),
            part.trustedForwarder(),
            part.predecessor(),
            part.ledgerId(),
            part.lotOperations(),
            part.HEAD_TAG()
        );
    }

    function _refuseLots(address given) private {
        vm.expectRevert(abi.encodeWithSelector(CertificateOperations.CertificateOperationsLotsUnfit.selector, given));
        new CertificateOperations(LotOperations(given));
    }

    function _calls(bytes memory call) private pure returns (bytes[] memory calls) {
        calls = new bytes[](1);
        calls[0] = call;
    }

    function _placeCall() private view returns (bytes memory) {
        return abi.encodeCall(IOrders.placeOrder, (_hash("order"), _terms(1)));
    }

    function _receiveCall(string memory name) private pure returns (bytes memory) {
        return abi.encodeCall(ILots.receiveLot, (_hash(name), 5, PIECE, ROOT));
    }

    function _refuseAttacker(address target, bytes memory call) private {
        uint40 before = ledger.sequence();
        vm.prank(_attacker);
        (bool done, bytes memory answer) = target.call(call);
        assertFalse(done, "the attacker acted");
        assertEq(answer, abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, _attacker));
        assertEq(ledger.sequence(), before);
    }
}
