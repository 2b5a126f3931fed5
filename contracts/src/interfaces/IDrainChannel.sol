// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IPaymentChannel} from "./IPaymentChannel.sol";

/// @title DRAIN payment channels
/// @notice A consumer escrows a deposit for one provider, pays off chain by signing vouchers, and the provider settles
/// on chain when it likes.
///
/// Amounts are base units of the token (USDC: 6 decimals), times Unix seconds, durations seconds. The amount of a
/// voucher is cumulative: all that was authorized on the channel so far, never an increment.
///
/// Nobody owns the contract, and token and fee never change. Each party needs the other for one thing only, a signature
/// beyond what was already signed:
/// - the provider takes what was signed to it, at any time until the channel is closed (`claim`, `claimBatch`,
///   `claimAndClose`);
/// - the consumer takes the rest, alone from expiry on (`close`), before it with the provider's consent
///   (`cooperativeClose`);
/// - anyone may send the consumer that rest from a day after expiry on (`closeFor`), for a consumer that has no gas;
/// - a session key signs vouchers and does nothing else. It can't be revoked: who steals it can give the provider of that one
///   channel at most its deposit.
///
/// A relayer (`openWithAuthorization`) changes nothing, and is nobody special. If it disappears, anyone else may send the same
/// opening until the authorization lapses, and the consumer may cancel the authorization at the token.
///
/// When the token blocks an address (USDC's block list), only transfers from and to that address fail:
/// - a blocked consumer: it can't open; `claim` and `claimBatch` still pay the provider; `close`, `closeFor`,
///   `cooperativeClose` and `claimAndClose` revert while there is a refund to deliver, and the refund waits in the channel;
/// - a blocked provider: `close` and `closeFor` still refund the consumer after expiry; whatever pays the provider reverts;
/// - a blocked fee recipient: nothing reverts, the provider keeps the fee;
/// - a blocked session key or relayer: nothing changes, neither holds any of it.
/// While the token is paused every transfer fails and every channel waits; expiry does not.
///
/// Tokens that take a fee on transfer, rebase, or call their recipients are unsupported.
///
/// When the chain forks and the chain id changes, signatures must name the new id. Ids of open channels keep the old one, so
/// proofs of session keys no longer lead to them: what a session key signed can't be claimed on the side with the new id,
/// the consumer's own vouchers (signed for the new id) and all ways to close still work there.
///
/// Signatures are EIP-712 (domain `DrainChannel`, version `1`) and plain ECDSA: 65 bytes `r || s || v`, `v` 27 or 28,
/// `s` in the lower half of the order. A voucher's is either
/// - the consumer's: these 65 bytes alone; or
/// - its session key's: these 65 bytes, and behind them the proof that the channel was opened with this key,
///   `abi.encode(uint256 kind, uint256 duration, address signer, bytes32 salt)`, 193 bytes in all. With a proof only the
///   session key counts, not the consumer. The proof is no secret: who has seen it once can append it.
///
/// Contract wallets (EIP-1271) can't sign vouchers: they open with a session key.
interface IDrainChannel is IPaymentChannel, IERC5267 {
    // --------------------------------------------------------------------------------------------------------- structs

    /// @notice Everything a channel is opened with. Its id is the hash of this, of the kind of opening, and of the
    /// contract and chain.
    /// @param consumer Who pays the deposit.
    /// @param provider Who may claim.
    /// @param amount The deposit, in base units.
    /// @param duration Seconds from the opening until the consumer may close alone.
    /// @param signer A session key that may sign vouchers too; zero for none.
    /// @param salt What tells two otherwise equal openings apart: for a direct opening (kind 0) the consumer's nonce, for a
    /// relayed one (kind 1) a random number: the token burns the opening's hash for all contracts that it is used with.
    struct Opening {
        address consumer;
        address provider;
        uint256 amount;
        uint256 duration;
        address signer;
        bytes32 salt;
    }

    /// @notice An entry of a batch of claims.
    /// @param channelId The channel.
    /// @param amount What was signed, cumulative, in base units.
    /// @param nonce The voucher's nonce.
    /// @param payAmount What the provider takes of it, cumulative, in base units.
    /// @param signature The consumer's or its session key's.
    struct Claim {
        bytes32 channelId;
        uint256 amount;
        uint256 nonce;
        uint256 payAmount;
        bytes signature;
    }

    // ---------------------------------------------------------------------------------------------------------- events

    /// @notice A fee moved. Fees that the recipient couldn't receive emit nothing.
    /// @param channelId The channel.
    /// @param recipient Who got the fee.
    /// @param amount The fee, in base units, part of the `ChannelClaimed` amount of the same claim.
    event FeePaid(bytes32 indexed channelId, address indexed recipient, uint256 amount);

    // ---------------------------------------------------------------------------------------------------------- errors

    /// @notice Deployment: the token is the zero address or has no code.
    error InvalidToken(address token);

    /// @notice Deployment: the fee is above the maximum; both in basis points.
    error FeeTooHigh(uint256 feeBps, uint256 maxFeeBps);

    /// @notice Deployment: a fee, in basis points, that nobody receives.
    error FeeWithoutRecipient(uint256 feeBps);

    /// @notice The provider is the zero address, the consumer itself, or this contract.
    error InvalidProvider(address provider);

    /// @notice The deposit is zero or above the maximum (2^64 - 1); both in base units.
    error InvalidDeposit(uint256 amount, uint256 maxAmount);

    /// @notice The duration is zero or above the maximum; both in seconds.
    error InvalidDuration(uint256 duration, uint256 maxDuration);

    /// @notice The session key is the provider, which could then sign its own vouchers.
    error InvalidSigner(address signer);

    /// @notice The token has no EIP-3009, so channels can't be opened with authorizations here.
    error AuthorizationUnsupported(address token);

    /// @notice No such channel: never opened here, or already closed.
    error ChannelNotFound(bytes32 channelId);

    /// @notice Only the channel's provider may do this.
    error NotProvider(address caller, address provider);

    /// @notice Only the channel's consumer may do this.
    error NotConsumer(address caller, address consumer);

    /// @notice Too early to close: possible from `closableAt` on, which is the expiry for the consumer and a day later for
    /// anyone else; both in Unix seconds.
    error NotExpired(uint256 timestamp, uint256 closableAt);

    /// @notice The voucher's amount is not above what was already claimed; both cumulative, in base units.
    error NothingToClaim(uint256 amount, uint256 claimed);

    /// @notice The amount is above the channel's deposit; both in base units.
    error ExceedsDeposit(uint256 amount, uint256 deposit);

    /// @notice The amount to pay is above what the voucher authorizes; both cumulative, in base units.
    error ExceedsVoucher(uint256 payAmount, uint256 amount);

    /// @notice The final amount is below what was already claimed; both cumulative, in base units.
    error BelowClaimed(uint256 finalAmount, uint256 claimed);

    /// @notice The signature is not by `expected`. `recovered` is zero for a malformed one (length, `v`, high `s`, a proof of
    /// something else than this channel's session key).
    error InvalidSignature(address recovered, address expected);

    // ----------------------------------------------------------------------------------------------------------- opens

    /// @inheritdoc IPaymentChannel
    /// @dev The id is `computeChannelId(0, Opening(caller, provider, amount, duration, 0, nonces(caller)))`, known
    /// before the transaction is mined, and no other channel can ever have it.
    ///
    /// Requirements:
    /// - `provider` is not zero, not the caller, not this contract;
    /// - `amount`, in base units, is positive and below 2^64, approved by the caller and in its balance;
    /// - `duration`, in seconds, is positive and at most `MAX_DURATION`.
    ///
    /// Emits `ChannelOpened`.
    function open(address provider, uint256 amount, uint256 duration) external returns (bytes32 channelId);

    /// @notice Opens a channel as `open` does, with a session key that may sign vouchers too.
    /// @dev The id is `computeChannelId(0, Opening(caller, provider, amount, duration, signer, nonces(caller)))`: one nonce
    /// counts both kinds of direct openings. Without a signer (zero) it is the same as `open`.
    ///
    /// Requirements:
    /// - those of `open`;
    /// - `signer` is not the provider, which could sign its own vouchers.
    ///
    /// Emits `ChannelOpened`.
    /// @param provider Who may claim.
    /// @param amount The deposit, in base units.
    /// @param duration Seconds until the caller may close alone.
    /// @param signer The session key; zero for none.
    /// @return channelId The channel.
    function openWithSigner(address provider, uint256 amount, uint256 duration, address signer)
        external
        returns (bytes32 channelId);

    /// @notice Opens a channel for a consumer that has no gas and gave no approval: anyone may send this.
    /// @dev The consumer signs the token's `ReceiveWithAuthorization(from: consumer, to: this contract, value: amount,
    /// validAfter, validBefore, nonce)` (EIP-3009), where the nonce is the EIP-712 struct hash of `opening`. So the sender can
    /// change nothing; only this contract can use the authorization; and since the token burns the nonce, each opening works
    /// once, also after its channel is closed. If someone else sent the same before, this reverts with the token's error and
    /// the channel exists.
    ///
    /// The id is `computeChannelId(1, opening)`.
    ///
    /// Requirements:
    /// - `supportsAuthorization`;
    /// - those of `openWithSigner`, for `opening.consumer` in the caller's place, but no approval;
    /// - the block's timestamp is after `validAfter` and before `validBefore`;
    /// - `signature` is what the token asks of the consumer: for USDC plain ECDSA, or what an EIP-1271 wallet (also a consumer
    ///   with EIP-7702 code) takes;
    /// - the consumer has neither used nor cancelled the authorization.
    ///
    /// Emits `ChannelOpened`.
    /// @param opening What the channel is opened with.
    /// @param validAfter The authorization is valid after this Unix second.
    /// @param validBefore The authorization is valid before this Unix second.
    /// @param signature The consumer's signature for the token, opaque to this contract.
    /// @return channelId The channel.
    function openWithAuthorization(
        Opening calldata opening,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external returns (bytes32 channelId);

    // ---------------------------------------------------------------------------------------------------------- claims

    /// @inheritdoc IPaymentChannel
    /// @dev Pays `amount - claimed` to the provider, less the fee. Works until the channel is closed, also after expiry;
    /// but from expiry on the consumer's `close` may come first.
    ///
    /// Requirements:
    /// - the channel exists, and the caller is its provider;
    /// - `amount`, cumulative in base units, is above `claimed` and at most `deposit`;
    /// - `signature` is the consumer's, or its session key's with proof, over `Voucher(channelId, amount, nonce)`. The nonce's
    ///   order is the provider's concern, not checked here.
    ///
    /// Emits `ChannelClaimed`, and `FeePaid` if a fee moved.
    function claim(bytes32 channelId, uint256 amount, uint256 nonce, bytes calldata signature) external;

    /// @notice Claims from many channels of the caller, with one transfer.
    /// @dev An entry that can't be paid is skipped and the others are paid: success of an entry is its `ChannelClaimed`, not
    /// the transaction's status. Entries are taken in order, each sees what those before it claimed, and a channel may occur
    /// more than once. What reverts is the token's refusal to pay the caller, and calldata that isn't encoded by the ABI (an
    /// entry that points outside of it).
    ///
    /// An entry is paid, `payAmount - claimed`, if:
    /// - the channel exists, and the caller is its provider;
    /// - `claimed < payAmount <= amount <= deposit`, all cumulative in base units;
    /// - its signature is good for `claim`, over `Voucher(channelId, amount, nonce)`.
    ///
    /// The fee is rounded down for each entry, and moved for all of them at once.
    ///
    /// Emits `ChannelClaimed` for each entry paid, then `FeePaid` for each of them with a fee, if the fees moved.
    /// @param claims The entries.
    /// @return payout The sum of the `ChannelClaimed` amounts, before the fee, in base units; zero if nothing could be paid,
    /// and then nothing moves.
    function claimBatch(Claim[] calldata claims) external returns (uint256 payout);

    /// @notice Takes the last payment and refunds the consumer at once, which then needs no transaction of its own.
    /// @dev Pays `payAmount - claimed` to the provider, less the fee, and `deposit - payAmount` to the consumer. The
    /// provider takes what it charged, which may be less than the voucher authorizes.
    ///
    /// Requirements:
    /// - the channel exists, and the caller is its provider;
    /// - `claimed <= payAmount <= amount <= deposit`, all cumulative in base units;
    /// - `signature` is good for `claim`. With `payAmount == claimed` nothing is taken, so `nonce` and `signature` are not
    ///   looked at.
    ///
    /// Emits `ChannelClaimed` if anything is paid, `FeePaid` if a fee moved, and `ChannelClosed`.
    /// @param channelId The channel.
    /// @param amount What was signed, cumulative.
    /// @param nonce The voucher's nonce.
    /// @param payAmount What the provider takes of it, cumulative.
    /// @param signature The consumer's or its session key's.
    function claimAndClose(
        bytes32 channelId,
        uint256 amount,
        uint256 nonce,
        uint256 payAmount,
        bytes calldata signature
    ) external;

    // ---------------------------------------------------------------------------------------------------------- closes

    /// @inheritdoc IPaymentChannel
    /// @dev Refunds `deposit - claimed` to the consumer and deletes the channel: vouchers not claimed by then are void.
    ///
    /// Requirements:
    /// - the channel exists, and the caller is its consumer;
    /// - the block's timestamp is at or after `expiry`.
    ///
    /// Emits `ChannelClosed`.
    function close(bytes32 channelId) external;

    /// @notice Refunds what is left to the consumer, from a day after expiry on: anyone may send this.
    /// @dev Refunds `deposit - claimed` to the consumer, never to the caller, and deletes the channel.
    ///
    /// Requirements:
    /// - the channel exists;
    /// - the block's timestamp is at or after `expiry + 1 days`: until then only the consumer closes.
    ///
    /// Emits `ChannelClosed`.
    /// @param channelId The channel.
    function closeFor(bytes32 channelId) external;

    /// @inheritdoc IPaymentChannel
    /// @dev Pays `finalAmount - claimed` to the provider, less the fee, refunds `deposit - finalAmount` to the consumer
    /// and deletes the channel, before or after expiry. The provider's signature never lapses: whoever gives it must
    /// accept no voucher above `finalAmount` from then on.
    ///
    /// Requirements:
    /// - the channel exists, and the caller is its consumer;
    /// - `claimed <= finalAmount <= deposit`, all cumulative in base units;
    /// - `providerSignature` is the provider's over `CloseAuthorization(channelId, finalAmount)`.
    ///
    /// Emits `ChannelClaimed` if anything is paid, `FeePaid` if a fee moved, and `ChannelClosed`.
    function cooperativeClose(bytes32 channelId, uint256 finalAmount, bytes calldata providerSignature) external;

    // ----------------------------------------------------------------------------------------------------------- views

    /// @notice The id of a channel, from what it is opened with.
    /// @dev `keccak256(abi.encode(kind, chainId, contract, opening))`, with `opening` the EIP-712 struct hash of
    /// `Opening(address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt)`.
    /// It checks nothing: an opening that `open` refuses has an id too.
    /// @param kind 0 for a direct opening, where `salt` is the consumer's nonce; 1 for a relayed one. A `uint256`,
    /// hashed as 32 bytes.
    /// @param opening What the channel is opened with.
    function computeChannelId(uint256 kind, Opening calldata opening) external view returns (bytes32 channelId);

    /// @notice How many direct openings `consumer` has made, with a session key or without: the salt of its next one.
    function nonces(address consumer) external view returns (uint256);

    /// @notice The token of all deposits.
    function token() external view returns (IERC20);

    /// @notice Who receives the fee; zero without a fee.
    function feeRecipient() external view returns (address);

    /// @notice The fee on what a provider claims, in basis points (1/100 of a percent), rounded down per claim and per entry of
    /// a batch.
    function feeBps() external view returns (uint16);

    /// @notice Whether channels can be opened with EIP-3009 authorizations. Found out once, when the contract was deployed.
    function supportsAuthorization() external view returns (bool);

    /// @notice The longest duration of a channel, in seconds: 365 days.
    function MAX_DURATION() external view returns (uint256);

    /// @notice The EIP-712 domain separator, of the current chain id.
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
