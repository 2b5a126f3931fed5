// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title What this project calls of EIP-3009, as USDC has it since FiatTokenV2_2
/// @notice https://eips.ethereum.org/EIPS/eip-3009, with the signature as opaque bytes, which USDC gives to EIP-1271
/// where the payer has code.
interface IERC3009 {
    /// @notice Moves `value` from `from` to `to`, which must be the caller, and burns the nonce.
    /// @param from Who pays and signed.
    /// @param to The payee.
    /// @param value The amount, in base units.
    /// @param validAfter Valid after this Unix second.
    /// @param validBefore Valid before this Unix second.
    /// @param nonce Burned: each works once per payer.
    /// @param signature The payer's, over all of the above.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice `keccak256("ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256
    /// validBefore,bytes32 nonce)")`.
    function RECEIVE_WITH_AUTHORIZATION_TYPEHASH() external view returns (bytes32);
}
