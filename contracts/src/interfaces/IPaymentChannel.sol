// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title ERC-8190: Unidirectional Payment Channels with Signed Vouchers
/// @notice The interface of the draft, unchanged: https://github.com/ethereum/ERCs/pull/1592
interface IPaymentChannel {
    /// @notice A consumer escrowed `deposit` for a provider.
    /// @param channelId The channel.
    /// @param consumer Who paid the deposit and signs vouchers.
    /// @param provider Who may claim.
    /// @param deposit Escrowed amount, in base units of the token.
    /// @param expiry From this Unix second on the consumer may close alone.
    event ChannelOpened(
        bytes32 indexed channelId, address indexed consumer, address indexed provider, uint256 deposit, uint256 expiry
    );

    /// @notice The provider was paid from a channel.
    /// @param channelId The channel.
    /// @param provider Who was paid.
    /// @param amount What this claim took from the deposit, before any fee, in base units: a delta, not the cumulative
    /// total.
    event ChannelClaimed(bytes32 indexed channelId, address indexed provider, uint256 amount);

    /// @notice A channel ended and no longer exists.
    /// @param channelId The channel.
    /// @param consumer Who got the rest of the deposit.
    /// @param refund The rest of the deposit, in base units; may be zero.
    event ChannelClosed(bytes32 indexed channelId, address indexed consumer, uint256 refund);

    /// @notice Opens a channel to `provider` with a deposit of `amount`, which the caller has approved.
    /// @param provider Who may claim.
    /// @param amount The deposit, in base units.
    /// @param duration Seconds until the caller may close alone.
    /// @return channelId The channel.
    function open(address provider, uint256 amount, uint256 duration) external returns (bytes32 channelId);

    /// @notice Pays the provider, which calls this, up to the cumulative `amount` that the consumer signed.
    /// @param channelId The channel.
    /// @param amount The voucher's cumulative amount, in base units.
    /// @param nonce The voucher's nonce.
    /// @param signature The consumer's signature of the voucher.
    function claim(bytes32 channelId, uint256 amount, uint256 nonce, bytes calldata signature) external;

    /// @notice Refunds what is left to the consumer, which calls this after expiry.
    /// @param channelId The channel.
    function close(bytes32 channelId) external;

    /// @notice Settles and closes at any time, called by the consumer with the provider's consent.
    /// @param channelId The channel.
    /// @param finalAmount What the provider gets in all, cumulative, in base units.
    /// @param providerSignature The provider's signature of the close authorization.
    function cooperativeClose(bytes32 channelId, uint256 finalAmount, bytes calldata providerSignature) external;

    /// @notice The state of a channel; zeros for one that doesn't exist.
    /// @param channelId The channel.
    /// @return consumer Who opened it and signs vouchers.
    /// @return provider Who may claim.
    /// @return deposit What was escrowed, in base units.
    /// @return claimed What the provider has claimed of it, cumulative, in base units.
    /// @return expiry From this Unix second on the consumer may close alone.
    function getChannel(bytes32 channelId)
        external
        view
        returns (address consumer, address provider, uint256 deposit, uint256 claimed, uint256 expiry);

    /// @notice What is left of the deposit, `deposit - claimed`, in base units; zero for a channel that doesn't exist.
    /// @param channelId The channel.
    function getBalance(bytes32 channelId) external view returns (uint256);
}
