// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "./ICertificates.sol";

/// @title Executes quality models, and says which ones it can execute
/// @notice Stateless. What a model is, how it is evaluated and what a digest commits to is specified in
/// quality/FORMAT.md. Executable are networks (magic "MMQN") whose layers are all dense and whose bytes fit into a
/// contract's code; all other models are registered by their digest and audited off chain.
interface IEvaluator {
    /// @notice Not the canonical bytes of a model: what is not allowed, or missing, is at `offset`.
    error EvaluatorModelMalformed(uint256 offset);
    /// @notice Another family, or a layer that is not dense, at `offset`: register the model by its digest.
    error EvaluatorModelNotExecutable(uint256 offset);
    /// @notice The model does not fit into a contract's code: register it by its digest.
    error EvaluatorModelTooLarge(uint256 size, uint256 most);
    /// @notice The sums of the layer at `offset` can reach `worst`, 2^31 or more.
    error EvaluatorSumTooLarge(uint256 offset, uint256 worst);
    /// @notice No model is kept there.
    error EvaluatorCodeMissing(address code);
    error EvaluatorLogitsTooMany(uint256 given, uint256 most);

    /// @notice Reverts unless `model` is the canonical bytes of a model that `evaluate` can execute.
    function requireExecutable(bytes calldata model) external pure;
    /// @notice What a published model says of a window.
    /// @param code Where `Registry.publishModel` put the model; for another address the answer means nothing.
    /// @param window Raw integers, 8 bytes each in two's complement, one a column: the model's scales quantise them.
    /// @return verdict None when the window is invalid for the model: of another width, or with an integer above 2^53 - 1 in
    /// magnitude.
    /// @return logits Empty when the window is invalid.
    function evaluate(address code, bytes calldata window)
        external
        view
        returns (ICertificates.Verdict verdict, int32[] memory logits);
    /// @notice What an opened inference commits to, and whether it is true.
    /// @param context What the inference belongs to.
    /// @param code As above; 0 when the model is registered by its digest alone, and nothing can be executed.
    /// @return digest The inference digest: sha256 over context, model digest, input commitment, logits and verdict.
    /// @return commitment The input commitment: sha256 over salt, width and window.
    /// @return agrees Whether executing the model gives the inference's logits and verdict; true when nothing is executed.
    /// @return executed The verdict of the execution; None when the window is invalid for the model, or nothing is executed.
    function examine(bytes32 context, bytes32 modelDigest, address code, ICertificates.Inference calldata inference)
        external
        view
        returns (bytes32 digest, bytes32 commitment, bool agrees, ICertificates.Verdict executed);
}
