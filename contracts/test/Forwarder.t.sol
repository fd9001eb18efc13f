// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC2771Forwarder} from "@openzeppelin/contracts/metatx/ERC2771Forwarder.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {Forwarder} from "../src/Forwarder.sol";
import {TraceLedger} from "../src/TraceLedger.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";

/// @notice Who acts when somebody else sends, and what of a signed request a relayer can change: nothing.
contract ForwarderTest is Fixture {
    bytes32 private constant REQUEST = keccak256(
        "ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)"
    );
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    address private _relayer;
    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _relayer = makeAddress("relayer");
        _order = _subject(Subjects.Kind.Order, buyer, "order");
        _lot = _lotName(carrier, "lot");
    }

    // ---- the signer acts ----

    function test_forwardedOrder() public check {
        uint40 next = _expectRecord();
        emit IOrders.OrderPlaced(next, buyer.id, _order, buyer.key, _one(_order), _terms(1));
        _forward(buyer, address(ledger), _placeCall());
        assertEq(ledger.orderOf(_order).buyer, buyer.id);
    }

    function test_forwardedLot() public check {
        uint40 next = _expectRecord();
        emit ILots.LotReceived(next, carrier.id, _lot, carrier.key, _one(_lot), 5, PIECE, ROOT);
        _forward(carrier, address(ledger), _receiveCall("lot"));
        assertEq(ledger.lotOf(_lot).holder, carrier.id);
    }

    function test_forwardedMulticallKeepsTheSigner() public check {
        bytes[] memory calls = new bytes[](2);
        calls[0] = _receiveCall("lot");
        calls[1] = abi.encodeCall(ILots.quarantineLot, (_lot, 0, ROOT));
        _forward(carrier, address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        _assertLot(_lot, ILots.LotState.Quarantined, carrier);
        assertEq(ledger.lotOf(_lot).counterparty, carrier.id);
    }

    /// @dev Within a forwarded batch the suffix that counts is the forwarder's, which comes last.
    function test_forwardedMulticallWithSpoofedSuffix() public check {
        bytes[] memory calls = _calls(abi.encodePacked(_receiveCall("lot"), maker.key));
        _forward(carrier, address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        assertEq(ledger.lotOf(_lot).holder, carrier.id);
        assertEq(ledger.lotOf(_lotName(maker, "lot")).number, 0);
    }

    function test_forwardedRegistryCall() public check {
        address fresh = makeAddress("fresh");
        _forward(buyer, address(registry), abi.encodeCall(IRegistry.proposeKey, (fresh, Roles.ANY, true)));
        vm.prank(fresh);
        registry.acceptKey(buyer.id);
        (uint32 id,) = registry.actorOf(fresh);
        assertEq(id, buyer.id);
    }

    function test_forwardedAttackerStaysUnknown() public check {
        Party memory attacker;
        (attacker.key, attacker.secret) = makeKey("attacker");
        bytes[] memory calls = _calls(abi.encodePacked(_receiveCall("lot"), carrier.key));
        _refuseForward(attacker, address(ledger), _receiveCall("lot"));
        _refuseForward(attacker, address(ledger), abi.encodePacked(_receiveCall("lot"), carrier.key));
        _refuseForward(attacker, address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        assertEq(ledger.lotOf(_lot).number, 0);
    }

    // ---- what is not signed is not done ----

    function test_changedRequestIsRefused() public {
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        request.data = _receiveCall("other");
        _refuseInvalid(request);
        request = _request(carrier, address(ledger), _receiveCall("lot"));
        request.to = address(registry);
        _refuseInvalid(request);
        request = _request(carrier, address(ledger), _receiveCall("lot"));
        request.gas = 100_000;
        _refuseInvalid(request);
        request = _request(carrier, address(ledger), _receiveCall("lot"));
        request.deadline += 1;
        _refuseInvalid(request);
        request = _request(carrier, address(ledger), _receiveCall("lot"));
        request.from = maker.key;
        _refuseInvalid(request);
        assertEq(ledger.lotOf(_lot).number, 0);
    }

    function testFuzz_changedSignatureIsRefused(uint256 place, uint8 change) public {
        vm.assume(change != 0);
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        request.signature[place % 65] ^= bytes1(change);
        _refuseInvalid(request);
    }

    function test_requestOfAnotherChainIsRefused() public {
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        vm.chainId(block.chainid + 1);
        _refuseInvalid(request);
    }

    function test_requestForAnotherForwarderIsRefused() public {
        Forwarder other = new Forwarder();
        (forwarder, other) = (other, forwarder);
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        forwarder = other;
        _refuseInvalid(request);
    }

    function test_requestIsExecutedOnce() public check {
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        forwarder.execute(request);
        assertEq(forwarder.nonces(carrier.key), 1);
        _refuseInvalid(request);
        assertEq(forwarder.nonces(carrier.key), 1);
    }

    /// @dev Of two requests for one nonce, one is executed: whichever is sent first.
    function test_twoRequestsOfOneNonce() public check {
        ERC2771Forwarder.ForwardRequestData memory one = _request(carrier, address(ledger), _receiveCall("lot"));
        ERC2771Forwarder.ForwardRequestData memory two = _request(carrier, address(ledger), _receiveCall("other"));
        forwarder.execute(two);
        _refuseInvalid(one);
        assertEq(ledger.lotOf(_lot).number, 0);
    }

    function test_deadlineIsTheLastMoment() public check {
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        _warp(request.deadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(ERC2771Forwarder.ERC2771ForwarderExpiredRequest.selector, request.deadline)
        );
        forwarder.execute(request);
        vm.warp(request.deadline);
        forwarder.execute(request);
        assertEq(ledger.lotOf(_lot).holder, carrier.id);
    }

    /// @dev A forwarder that the ledger does not know is nobody.
    function test_otherForwarderIsNotTrusted() public {
        ITraceLedger other = ITraceLedger(address(_deploy(address(0), address(0))));
        ERC2771Forwarder.ForwardRequestData memory request = _request(buyer, address(other), _placeCall());
        vm.expectRevert(
            abi.encodeWithSelector(
                ERC2771Forwarder.ERC2771UntrustfulTarget.selector, address(other), address(forwarder)
            )
        );
        forwarder.execute(request);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, address(forwarder)));
        vm.prank(address(forwarder));
        other.placeOrder(_hash("order"), _terms(1));
    }

    function test_nothingIsPaidFor() public {
        ERC2771Forwarder.ForwardRequestData memory request = _request(buyer, address(ledger), _placeCall());
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(ERC2771Forwarder.ERC2771ForwarderMismatchedValue.selector, 0, 1));
        forwarder.execute{value: 1}(request);
        assertEq(address(forwarder).balance, 0);
    }

    // ---- all or nothing ----

    function test_refusedCallSpendsNoNonce() public {
        bytes[] memory calls = new bytes[](2);
        calls[0] = _receiveCall("lot");
        calls[1] = abi.encodeCall(ILots.scrapLot, (_lot, 6, ILots.Disposition.Scrapped, ROOT));
        _refuseForward(carrier, address(ledger), abi.encodeCall(deployed.multicall, (calls)));
        assertEq(forwarder.nonces(carrier.key), 0);
        assertEq(ledger.lotOf(_lot).number, 0);
    }

    /// @dev In OpenZeppelin's forwarder this would spend the nonce without effect.
    function test_noBatchOfRequests() public {
        ERC2771Forwarder.ForwardRequestData[] memory requests = new ERC2771Forwarder.ForwardRequestData[](1);
        requests[0] = _request(
            carrier, address(ledger), abi.encodeCall(ILots.scrapLot, (_lot, 6, ILots.Disposition.Scrapped, ROOT))
        );
        vm.expectRevert(Forwarder.ForwarderBatchRefused.selector);
        forwarder.executeBatch(requests, payable(address(0)));
        vm.expectRevert(Forwarder.ForwarderBatchRefused.selector);
        forwarder.executeBatch(requests, payable(_relayer));
        assertEq(forwarder.nonces(carrier.key), 0);
    }

    /// @dev Given too little gas, the call runs out of it: that does not count as the ledger's refusal.
    function testFuzz_tooLittleGasSpendsNoNonce(uint256 gas) public {
        ERC2771Forwarder.ForwardRequestData memory request = _request(carrier, address(ledger), _receiveCall("lot"));
        bytes memory call = abi.encodeCall(forwarder.execute, (request));
        (bool done,) = address(forwarder).call{gas: bound(gas, 1, 100_000)}(call);
        assertFalse(done, "too little");
        assertEq(forwarder.nonces(carrier.key), 0);
        forwarder.execute(request);
        assertEq(ledger.lotOf(_lot).holder, carrier.id);
    }

    // ---- inside ----

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

    function _request(Party memory from, address to, bytes memory data)
        private
        view
        returns (ERC2771Forwarder.ForwardRequestData memory request)
    {
        request = ERC2771Forwarder.ForwardRequestData(from.key, to, 0, 2_000_000, uint48(START + 60), data, "");
        bytes32 domain =
            keccak256(abi.encode(DOMAIN, keccak256("Millmark"), keccak256("1"), block.chainid, address(forwarder)));
        bytes32 inner = keccak256(
            abi.encode(
                REQUEST,
                request.from,
                request.to,
                request.value,
                request.gas,
                forwarder.nonces(from.key),
                request.deadline,
                keccak256(data)
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(from.secret, keccak256(abi.encodePacked(hex"1901", domain, inner)));
        request.signature = abi.encodePacked(r, s, v);
    }

    function _forward(Party memory from, address to, bytes memory data) private {
        ERC2771Forwarder.ForwardRequestData memory request = _request(from, to, data);
        vm.prank(_relayer); // who relays does not matter
        forwarder.execute(request);
    }

    function _refuseForward(Party memory from, address to, bytes memory data) private {
        ERC2771Forwarder.ForwardRequestData memory request = _request(from, to, data);
        vm.expectRevert(Errors.FailedCall.selector);
        forwarder.execute(request);
    }

    function _refuseInvalid(ERC2771Forwarder.ForwardRequestData memory request) private {
        assertFalse(forwarder.verify(request), "verified");
        vm.expectPartialRevert(ERC2771Forwarder.ERC2771ForwarderInvalidSigner.selector);
        forwarder.execute(request);
    }
}
