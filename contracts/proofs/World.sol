// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CertificateOperations} from "../src/CertificateOperations.sol";
import {LotOperations} from "../src/LotOperations.sol";
import {Registry} from "../src/Registry.sol";
import {TraceLedger} from "../src/TraceLedger.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {IEvidence} from "../src/interfaces/IEvidence.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {ITraceLedger} from "../src/interfaces/ITraceLedger.sol";
import {Base} from "../test/Base.sol";

/// @notice The part of halmos's own cheat codes that the proofs use: values of which nothing is known.
interface Unknowns {
    function createUint(uint256 bits, string calldata name) external returns (uint256);
    function createAddress(string calldata name) external returns (address);
    function createBool(string calldata name) external returns (bool);
    /// @dev A call of any function that is not a view, with any arguments. Arrays have the lengths that halmos is told.
    function createCalldata(string calldata contractName) external returns (bytes memory);
}

/// @notice A consortium of concrete companies, with keys that are plain addresses, on which one or two unknown calls
/// are made.
/// @dev Each `check_` function is proved by halmos: for all values of its arguments and of what it draws from `any`, no
/// `assert` fails. Paths that revert outside of a try or a low-level call prove nothing and are left out, so whatever
/// must be possible is called by the helpers of `setUp`.
abstract contract World is Base {
    struct Party {
        uint32 id;
        address key;
    }

    Unknowns internal constant any = Unknowns(0xF3993A62377BCd56AE39D773740A5390411E8BC9);
    address internal constant OWNER = address(0xA0);
    address internal constant FORWARDER = address(0xF0);
    uint160 private constant FIRST_KEY = 0xB0;
    uint256 internal constant START = 1_800_000_000;
    uint40 internal constant EXPIRY = 1_900_000_000;
    bytes3 internal constant PIECE = "H87";
    bytes32 internal constant ROOT = keccak256("document");
    bytes32 internal constant LEAF = keccak256("leaf");

    Registry internal registry;
    ITraceLedger internal ledger;

    uint160 private _admitted;

    function setUp() public virtual {
        vm.warp(START);
        registry = new Registry(OWNER, FORWARDER, address(0));
        ledger = _newLedger();
    }

    function _newLedger() internal returns (ITraceLedger) {
        return ITraceLedger(address(new TraceLedger(new CertificateOperations(_newLots()))));
    }

    function _newLots() internal virtual returns (LotOperations) {
        return new LotOperations(registry, FORWARDER, address(0));
    }

    function _admit(uint16 roles) internal returns (Party memory party) {
        party.key = address(FIRST_KEY + _admitted++);
        vm.prank(OWNER);
        party.id = registry.admit(roles, party.key, ROOT);
        vm.prank(party.key);
        registry.acceptKey(party.id);
    }

    /// @dev Neither a company's key nor the owner's nor the forwarder's.
    function _outsider() internal returns (address caller) {
        caller = _anybody();
        vm.assume(caller != OWNER);
        for (uint160 key = FIRST_KEY; key < FIRST_KEY + _admitted; ++key) {
            vm.assume(caller != address(key));
        }
    }

    /// @dev Any address that speaks for itself: a company's key, the owner's, a stranger's.
    function _anybody() internal returns (address caller) {
        caller = any.createAddress("caller");
        vm.assume(caller != FORWARDER && caller != address(0)); // from which nothing is ever sent
    }

    /// @dev Any call of one function of the ledger.
    function _anyCall() internal returns (bytes memory) {
        return _anyCallOf("ITraceLedger");
    }

    /// @dev Any call of one function of an interface; but halmos has no sha256 of nothing, which `openStream` asks for.
    function _anyCallOf(string memory name) internal returns (bytes memory data) {
        data = any.createCalldata(name);
        vm.assume(bytes4(data) != ITraceLedger.multicall.selector && bytes4(data) != IEvidence.openStream.selector);
    }

    /// @dev Whether the call succeeded.
    function _call(address caller, bytes memory data) internal returns (bool done) {
        vm.prank(caller);
        (done,) = address(ledger).call(data);
    }

    function _number(string memory name, uint256 bits) internal returns (uint40) {
        return uint40(any.createUint(bits, name));
    }

    function _receive(Party storage party, bytes32 name, uint40 quantity) internal returns (bytes32) {
        vm.prank(party.key);
        return ledger.receiveLot(name, quantity, PIECE, ROOT);
    }

    function _item(bytes32 lot, bytes32 order) internal pure returns (ICustody.Item[] memory list) {
        list = new ICustody.Item[](1);
        list[0] = ICustody.Item(lot, order);
    }

    function _offer(Party storage from, bytes32 lot, Party storage to) internal returns (uint40) {
        vm.prank(from.key);
        ledger.offerCustody(_item(lot, 0), to.id, ROOT);
        return ledger.sequence();
    }

    function _terms(Party storage coordinator, uint32 quantity) internal view returns (IOrders.OrderTerms memory) {
        bytes3 unit = quantity == 0 ? bytes3(0) : PIECE;
        return IOrders.OrderTerms(1, coordinator.id, 0, EXPIRY, quantity, unit, ROOT);
    }

    function _place(Party storage buyer, Party storage coordinator, IOrders.OrderTerms memory terms)
        internal
        returns (bytes32 order)
    {
        vm.prank(buyer.key);
        order = ledger.placeOrder(keccak256("order"), terms);
        vm.prank(coordinator.key);
        ledger.acceptOrder(order, ROOT);
    }
}
