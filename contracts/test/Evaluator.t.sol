// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Evaluator} from "../src/Evaluator.sol";
import {ModelCode} from "../src/ModelCode.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IEvaluator} from "../src/interfaces/IEvaluator.sol";
import {Base} from "./Base.sol";
import {Models} from "./Models.sol";
import {NetworkReference} from "./NetworkReference.sol";

/// @notice The evaluator against the plain reference.
abstract contract EvaluatorBase is Base {
    Evaluator internal evaluator;

    function setUp() public virtual {
        evaluator = new Evaluator();
    }

    function _requireSame(bytes memory model, address code, bytes memory window) internal view {
        (bool valid, int256[] memory logits, bool fails) = NetworkReference.evaluate(model, window);
        (ICertificates.Verdict verdict, int32[] memory found) = evaluator.evaluate(code, window);
        ICertificates.Verdict expected = fails ? ICertificates.Verdict.Fail : ICertificates.Verdict.Pass;
        assertEq(uint256(verdict), valid ? uint256(expected) : 0, "verdict");
        assertEq(found.length, logits.length, "number of logits");
        for (uint256 i; i < logits.length; ++i) {
            assertEq(int256(found[i]), logits[i]);
        }
    }

    function _requireSame(bytes memory model, bytes memory window) internal {
        evaluator.requireExecutable(model);
        _requireSame(model, address(new ModelCode(model)), window);
    }
}

contract EvaluatorTest is EvaluatorBase {
    // ---- evaluation ----

    function test_smallestNetwork() public {
        bytes memory model = Models.uniform(1, 1, 5, -3);
        (ICertificates.Verdict verdict, int32[] memory logits) = _evaluate(model, Models.raw(hex"02"));
        assertEq(int256(logits[0]), -1);
        assertEq(uint256(verdict), uint256(ICertificates.Verdict.Pass));
        (verdict, logits) = _evaluate(model, Models.raw(hex"ff"));
        assertEq(int256(logits[0]), 8);
        assertEq(uint256(verdict), uint256(ICertificates.Verdict.Fail));
    }

    /// @dev FAIL from the threshold on.
    function test_thresholdBelongsToFail() public {
        bytes memory model = Models.uniform(1, 1, 0, 1);
        (ICertificates.Verdict verdict,) = _evaluate(model, Models.raw(hex"00"));
        assertEq(uint256(verdict), uint256(ICertificates.Verdict.Fail));
        (verdict,) = _evaluate(model, Models.raw(hex"ff"));
        assertEq(uint256(verdict), uint256(ICertificates.Verdict.Pass));
    }

    function test_largestSums() public {
        int8[3] memory values = [int8(-127), int8(127), int8(0)];
        int32 rest = int32(2 ** 31 - 1 - 4096 * 127 * 127);
        for (uint256 i; i < 9; ++i) {
            bytes memory window = Models.raw(Models.fill(4096, values[i / 3]));
            _requireSame(Models.uniform(4096, 1, i % 2 == 0 ? rest : -rest, values[i % 3]), window);
        }
    }

    /// @dev Every width up to a few words: what a row's last word reads beyond the row must not count.
    function testFuzz_anyShape(uint256 width, uint256 hidden, uint256 hidden2, uint256 outputs, uint256 seed) public {
        width = bound(width, 1, 70);
        (hidden, hidden2) = (bound(hidden, 1, 40), bound(hidden2, 1, 40));
        outputs = bound(outputs, 1, 32);
        Models.Plan memory plan = Models.plan(Models.sizesOf(width, hidden, hidden2, outputs), seed % 2 ** 200);
        if (outputs > 1) plan.rejects = uint32(bound(seed, 1, 2 ** outputs - 1));
        plan.threshold = outputs > 1 && plan.rejects == 2 ** outputs - 1 ? int32(0) : int32(int256(seed % 2001) - 1000);
        plan.scales = seed % 2 == 0 ? 1 : width;
        bytes memory model = Models.build(plan);
        _requireSame(model, Models.integers(width, seed));
    }

    function test_allClassesRejectedFails() public {
        Models.Plan memory plan = Models.plan(Models.sizesOf(4, 3), 1);
        plan.rejects = 7;
        bytes memory model = Models.build(plan);
        for (uint256 i; i < 8; ++i) {
            (ICertificates.Verdict verdict,) = _evaluate(model, Models.integers(4, i));
            assertEq(uint256(verdict), uint256(ICertificates.Verdict.Fail));
        }
    }

    function test_invalidWindows() public {
        bytes memory model = Models.uniform(33, 2, 0, 1);
        bytes memory window = Models.integers(33, 1);
        _refuseWindow(model, Models.integers(32, 1));
        _refuseWindow(model, Models.integers(34, 1));
        _refuseWindow(model, bytes.concat(window, hex"00"));
        _refuseWindow(model, "");
        int64[4] memory tooLarge = [int64(2 ** 53), -2 ** 53, type(int64).max, type(int64).min];
        int64[2] memory largest = [int64(2 ** 53 - 1), 1 - 2 ** 53];
        for (uint256 i; i < 33; ++i) {
            for (uint256 j; j < 4; ++j) {
                _refuseWindow(model, _with(window, 8 * i, abi.encodePacked(tooLarge[j])));
            }
            _requireSame(model, _with(window, 8 * i, abi.encodePacked(largest[i % 2])));
        }
        _requireSame(model, window);
    }

    /// @dev What the library computes, see tests/unit/quality: half up, floor, and clamped at either end.
    function test_quantisation() public {
        bytes memory model = Models.uniform(1, 1, 0, 1);
        _put(model, 20, abi.encodePacked(int64(-7), uint8(3), uint8(2)));
        int64[7] memory raw = [int64(-7), -6, -5, -8, -9, 162, 2 ** 53 - 1];
        int32[7] memory words = [int32(0), 1, 2, -1, -1, 127, 127];
        for (uint256 i; i < 7; ++i) {
            (, int32[] memory logits) = _evaluate(model, abi.encodePacked(raw[i]));
            assertEq(logits[0], words[i]);
        }
    }

    function test_noModel() public {
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorCodeMissing.selector, address(1234)));
        evaluator.evaluate(address(1234), Models.raw(hex"00"));
    }

    function test_modelIsKeptBehindAStop() public {
        bytes memory model = Models.uniform(3, 1, 0, 1);
        address code = address(new ModelCode(model));
        assertEq(code.code, bytes.concat(hex"00", model), "code");
        (bool done, bytes memory answer) = code.call(hex"12345678");
        assertTrue(done && answer.length == 0, "a call does something");
    }

    function test_tooManyLogits() public {
        ICertificates.Inference memory inference =
            ICertificates.Inference({window: "", salt: 0, logits: new int32[](33), verdict: 1});
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorLogitsTooMany.selector, 33, 32));
        evaluator.examine(0, 0, address(0), inference);
    }

    // ---- format ----

    function test_largestModels() public view {
        evaluator.requireExecutable(Models.build(Models.plan(Models.sizesOf(4096, 1), 1)));
        evaluator.requireExecutable(Models.build(Models.plan(Models.sizesOf(5, 32), 1)));
        uint256[] memory sizes = new uint256[](17);
        for (uint256 i; i < 17; ++i) {
            sizes[i] = 2;
        }
        evaluator.requireExecutable(Models.build(Models.plan(sizes, 1)));
        // 1 * 1024 + 1024 * 4 weights and their biases
        sizes = new uint256[](3);
        (sizes[0], sizes[1], sizes[2]) = (1, 1024, 4);
        evaluator.requireExecutable(Models.build(Models.plan(sizes, 1)));
    }

    function test_tooLarge() public {
        bytes memory model = Models.build(Models.plan(Models.sizesOf(818, 30), 1));
        assertEq(model.length, 24_706);
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorModelTooLarge.selector, 24_706, 24_575));
        evaluator.requireExecutable(model);
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorModelTooLarge.selector, 24_576, 24_575));
        evaluator.requireExecutable(new bytes(24_576));
        _refuse(new bytes(24_575), 0);
    }

    /// @dev Every field of a model of 2 columns, 2 scales, a layer of 2 and one of 2, with what it may not be.
    function test_fields() public {
        Models.Plan memory plan = Models.plan(_three(2, 2, 2), 1);
        plan.scales = 2;
        bytes memory model = Models.build(plan);
        evaluator.requireExecutable(model);
        _refuseField(model, 0, "MMQX", 0);
        _refuseField(model, 0, "mmqn", 0);
        _refuseField(model, 4, hex"0000", 4);
        _refuseField(model, 4, hex"0002", 4);
        _refuseField(model, 6, hex"0a", 6);
        _refuseField(model, 7, hex"00", 7);
        _refuseField(model, 7, hex"21", 7);
        _refuseField(model, 8, hex"00000000", 8);
        _refuseField(model, 8, hex"00000004", 8);
        _refuseField(model, 8, hex"80000001", 8);
        _refuseField(model, 12, hex"80000000", 12);
        _refuseField(model, 8, hex"0000000300000001", 12);
        _refuseField(model, 8, hex"00000003ffffffff", 12);
        _refuseField(model, 16, hex"0000", 16);
        _refuseField(model, 16, hex"1001", 16);
        _refuseField(model, 18, hex"0000", 18);
        _refuseField(model, 18, hex"0003", 18);
        _refuseField(model, 20, hex"0020000000000000", 20);
        _refuseField(model, 20, hex"ffe0000000000000", 20);
        _refuseField(model, 30, hex"8000000000000000", 30);
        _refuseField(model, 28, hex"00", 28);
        _refuseField(model, 38, hex"00", 38);
        _refuseField(model, 29, hex"3f", 29);
        _refuseField(model, 40, hex"00", 40);
        _refuseField(model, 40, hex"11", 40);
        _refuseField(model, 41, hex"00", 41);
        _refuseField(model, 41, hex"04", 41);
        _refuseField(model, 42, hex"00000001", 42);
        _refuseField(model, 42, hex"00010002", 42);
        _refuseField(model, 46, hex"0000", 46);
        _refuseField(model, 46, hex"0401", 46);
        _refuseField(model, 48, hex"0001", 48);
        _refuseField(model, 50, hex"0001", 48);
        _refuseField(model, 52, hex"00000000", 52);
        _refuseField(model, 52, hex"80000000", 52);
        _refuseField(model, 56, hex"80000000", 56);
        _refuseField(model, 60, hex"80000000", 60);
        for (uint256 i = 64; i < 68; ++i) {
            _refuseField(model, i, hex"80", i < 66 ? 64 : 66);
        }
        // the second layer begins at 68
        _refuseField(model, 73, hex"0001", 73);
        _refuseField(model, 73, hex"0003", 73);
        _refuseField(model, 79, hex"00000001", 79);
        assertEq(model.length, 95);
    }

    /// @dev The outermost values that are allowed.
    function test_fieldsAtTheirBounds() public view {
        Models.Plan memory plan = Models.plan(_three(2, 2, 2), 1);
        plan.scales = 2;
        bytes memory model = Models.build(plan);
        _allowField(model, 6, hex"09");
        _allowField(model, 8, hex"00000002");
        _allowField(model, 12, hex"80000001");
        _allowField(model, 12, hex"7fffffff");
        _allowField(model, 8, hex"0000000300000000");
        _allowField(model, 20, hex"001fffffffffffff01");
        _allowField(model, 20, hex"ffe0000000000001ff");
        _allowField(model, 29, hex"3e");
        _allowField(model, 52, hex"7fffffff");
        _allowField(model, 52, hex"00000001");
        _allowField(model, 64, hex"817f");
    }

    /// @dev One logit is rejected by the threshold alone.
    function test_oneLogit() public {
        bytes memory model = Models.uniform(2, 1, 0, 1);
        _refuseField(model, 8, hex"00000002", 8);
        _refuseField(model, 8, hex"00000000", 8);
        _allowField(model, 12, hex"00000001");
    }

    function test_otherFamiliesAndLayersAreRegisteredByDigest() public {
        bytes memory model = Models.build(Models.plan(_three(2, 2, 2), 1));
        _refuseUnexecutable(model, 0, "MMQR", 0);
        _refuseUnexecutable(model, 0, "MMQT", 0);
        _refuseUnexecutable(model, 31, hex"02", 31);
        _refuseUnexecutable(model, 31, hex"03", 31);
    }

    function test_everyCut() public {
        Models.Plan memory plan = Models.plan(_three(3, 2, 2), 1);
        plan.scales = 3;
        bytes memory model = Models.build(plan);
        for (uint256 size; size < model.length; ++size) {
            bytes memory cut = new bytes(size);
            for (uint256 i; i < size; ++i) {
                cut[i] = model[i];
            }
            _refuse(cut, size);
        }
        _refuse(bytes.concat(model, hex"00"), model.length);
        _refuse(bytes.concat(model, model), model.length);
    }

    /// @dev Just below 2^31, and 2^31; of either sign.
    function test_sums() public {
        int32 rest = int32(2 ** 31 - 1 - 33 * 127 * 127);
        for (int8 sign = -1; sign < 2; sign += 2) {
            evaluator.requireExecutable(Models.uniform(33, 1, rest * sign, 127 * sign));
            bytes memory model = Models.uniform(33, 1, (rest + 1) * sign, 127 * sign);
            vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorSumTooLarge.selector, 31, 2 ** 31));
            evaluator.requireExecutable(model);
            model = Models.uniform(1, 1, type(int32).max * sign, sign);
            vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorSumTooLarge.selector, 31, 2 ** 31 + 126));
            evaluator.requireExecutable(model);
        }
    }

    /// @dev The worst output counts, wherever it is.
    function testFuzz_worstSum(uint256 seed, uint256 width, uint256 outputs, uint256 worst) public {
        width = bound(width, 1, 100);
        outputs = bound(outputs, 1, 32);
        worst = bound(worst, 0, outputs - 1);
        bytes memory model = Models.build(Models.plan(Models.sizesOf(width, outputs), seed % 2 ** 200));
        uint256 place = 31 + 15;
        uint256 row = place + 4 * outputs + worst * width;
        uint256 sum;
        for (uint256 i; i < width; ++i) {
            int256 weight = int8(uint8(model[row + i]));
            sum += uint256(weight < 0 ? -weight : weight) * 127;
        }
        uint32 bias = uint32(2 ** 31 - 1 - sum);
        evaluator.requireExecutable(_put(model, place + 4 * worst, abi.encodePacked(bias)));
        if (sum == 0) return;
        _put(model, place + 4 * worst, abi.encodePacked(bias + 1));
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorSumTooLarge.selector, 31, 2 ** 31));
        evaluator.requireExecutable(model);
    }

    function testFuzz_noiseIsRefused(bytes memory noise) public {
        vm.expectRevert();
        evaluator.requireExecutable(bytes.concat("MMQN", noise));
    }

    // ---- inside ----

    function _evaluate(bytes memory model, bytes memory window)
        private
        returns (ICertificates.Verdict verdict, int32[] memory logits)
    {
        evaluator.requireExecutable(model);
        return evaluator.evaluate(address(new ModelCode(model)), window);
    }

    function _refuseWindow(bytes memory model, bytes memory window) private {
        (ICertificates.Verdict verdict, int32[] memory logits) = _evaluate(model, window);
        assertEq(uint256(verdict), 0);
        assertEq(logits.length, 0);
    }

    function _three(uint256 width, uint256 hidden, uint256 outputs) private pure returns (uint256[] memory sizes) {
        sizes = new uint256[](3);
        (sizes[0], sizes[1], sizes[2]) = (width, hidden, outputs);
    }

    /// @dev Writes in place.
    function _put(bytes memory model, uint256 place, bytes memory field) private pure returns (bytes memory) {
        for (uint256 i; i < field.length; ++i) {
            model[place + i] = field[i];
        }
        return model;
    }

    function _with(bytes memory model, uint256 place, bytes memory field) private pure returns (bytes memory) {
        return _put(bytes.concat(model), place, field);
    }

    function _allowField(bytes memory model, uint256 place, bytes memory field) private view {
        evaluator.requireExecutable(_with(model, place, field));
    }

    function _refuseField(bytes memory model, uint256 place, bytes memory field, uint256 offset) private {
        _refuse(_with(model, place, field), offset);
    }

    function _refuse(bytes memory model, uint256 offset) private {
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorModelMalformed.selector, offset));
        evaluator.requireExecutable(model);
    }

    function _refuseUnexecutable(bytes memory model, uint256 place, bytes memory field, uint256 offset) private {
        model = _with(model, place, field);
        vm.expectRevert(abi.encodeWithSelector(IEvaluator.EvaluatorModelNotExecutable.selector, offset));
        evaluator.requireExecutable(model);
    }
}

/// @notice Ten thousand inputs for each size of network that is promised on chain.
contract EvaluatorFuzzTest is EvaluatorBase {
    bytes private _small;
    bytes private _large;
    address private _smallCode;
    address private _largeCode;

    function setUp() public override {
        super.setUp();
        _small = Models.build(Models.plan(Models.sizesOf(16, 32, 16, 2), 1));
        _large = Models.build(Models.plan(Models.sizesOf(152, 32, 16, 2), 2));
        evaluator.requireExecutable(_small);
        evaluator.requireExecutable(_large);
        (_smallCode, _largeCode) = (address(new ModelCode(_small)), address(new ModelCode(_large)));
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_16_32_16_2(uint256 seed) public view {
        _requireSame(_small, _smallCode, Models.integers(16, seed));
    }

    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_152_32_16_2(uint256 seed) public view {
        _requireSame(_large, _largeCode, Models.integers(152, seed));
    }
}
