// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDrainChannel} from "./interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "./interfaces/IPaymentChannel.sol";

/// @title DrainChannel
/// @notice See {IDrainChannel} for what each function does and requires.
/// @dev The state of a channel is final before any token moves, so a token that calls back finds nothing to repeat.
contract DrainChannel is IDrainChannel, EIP712 {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    struct Channel {
        // Slot 0: written by the opening, then only deleted.
        address consumer; // 160 bits; not zero while the channel exists
        uint64 deposit; // 64 bits
        uint32 expiry; // 32 bits: Unix seconds, until the year 2106
        // Slot 1: all that a claim writes.
        address provider; // 160 bits; not zero while the channel exists
        uint96 claimed; // 96 bits, to fill the slot; at most `deposit`, so below 2^64
    }

    /// @inheritdoc IDrainChannel
    uint256 public constant MAX_DURATION = 365 days;

    uint256 private constant MAX_FEE_BPS = 1000;

    /// @dev Kind of the openings that the consumer sends itself. 1 is for relayed ones.
    uint256 private constant DIRECT = 0;

    bytes32 private constant OPENING_TYPEHASH = keccak256(
        "Opening(address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt)"
    );
    bytes32 private constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint256 amount,uint256 nonce)");
    bytes32 private constant CLOSE_AUTHORIZATION_TYPEHASH =
        keccak256("CloseAuthorization(bytes32 channelId,uint256 finalAmount)");

    /// @inheritdoc IDrainChannel
    IERC20 public immutable token;
    /// @inheritdoc IDrainChannel
    address public immutable feeRecipient;
    /// @inheritdoc IDrainChannel
    uint16 public immutable feeBps;

    mapping(bytes32 channelId => Channel) private _channels;

    /// @inheritdoc IDrainChannel
    mapping(address consumer => uint256) public nonces;

    /// @param token_ The token of all deposits; must have code.
    /// @param feeRecipient_ Who receives the fee; may be zero if there is none.
    /// @param feeBps_ The fee, in basis points, at most 1000.
    constructor(IERC20 token_, address feeRecipient_, uint16 feeBps_) EIP712("DrainChannel", "1") {
        if (address(token_).code.length == 0) revert InvalidToken(address(token_));
        if (feeBps_ > MAX_FEE_BPS) revert FeeTooHigh(feeBps_, MAX_FEE_BPS);
        if (feeBps_ > 0 && feeRecipient_ == address(0)) revert FeeWithoutRecipient(feeBps_);

        token = token_;
        feeRecipient = feeRecipient_;
        feeBps = feeBps_;
    }

    // ----------------------------------------------------------------------------------------------------------- opens

    /// @inheritdoc IDrainChannel
    function open(address provider, uint256 amount, uint256 duration) external returns (bytes32 channelId) {
        bytes32 salt = bytes32(nonces[msg.sender]++);
        channelId = _open(DIRECT, Opening(msg.sender, provider, amount, duration, address(0), salt));
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    // ---------------------------------------------------------------------------------------------------------- claims

    /// @inheritdoc IDrainChannel
    function claim(bytes32 channelId, uint256 amount, uint256 nonce, bytes calldata signature) external {
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        _requireProvider(channelId, channel);
        if (amount <= channel.claimed) revert NothingToClaim(amount, channel.claimed);
        if (amount > channel.deposit) revert ExceedsDeposit(amount, channel.deposit);
        _requireSignature(channel.consumer, _voucherDigest(channelId, amount, nonce), signature);

        uint256 payout;
        unchecked {
            payout = amount - channel.claimed; // above zero, as just checked
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        stored.claimed = uint96(amount); // at most `deposit`, a uint64
        emit ChannelClaimed(channelId, channel.provider, payout);

        _payProvider(channelId, channel.provider, payout);
    }

    /// @inheritdoc IDrainChannel
    function claimAndClose(
        bytes32 channelId,
        uint256 amount,
        uint256 nonce,
        uint256 payAmount,
        bytes calldata signature
    ) external {
        Channel memory channel = _channels[channelId];
        _requireProvider(channelId, channel);
        if (payAmount < channel.claimed) revert BelowClaimed(payAmount, channel.claimed);
        if (payAmount > amount) revert ExceedsVoucher(payAmount, amount);
        if (amount > channel.deposit) revert ExceedsDeposit(amount, channel.deposit);
        if (payAmount > channel.claimed) {
            _requireSignature(channel.consumer, _voucherDigest(channelId, amount, nonce), signature);
        }

        _settle(channelId, channel, payAmount);
    }

    // ---------------------------------------------------------------------------------------------------------- closes

    /// @inheritdoc IDrainChannel
    function close(bytes32 channelId) external {
        Channel memory channel = _channels[channelId];
        _requireConsumer(channelId, channel);
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < channel.expiry) revert NotExpired(block.timestamp, channel.expiry);

        uint256 refund;
        unchecked {
            refund = channel.deposit - channel.claimed; // never below zero: `claim` takes no more than the deposit
        }
        delete _channels[channelId];
        _refundConsumer(channelId, msg.sender, refund);
    }

    /// @inheritdoc IDrainChannel
    function cooperativeClose(bytes32 channelId, uint256 finalAmount, bytes calldata providerSignature) external {
        Channel memory channel = _channels[channelId];
        _requireConsumer(channelId, channel);
        if (finalAmount < channel.claimed) revert BelowClaimed(finalAmount, channel.claimed);
        if (finalAmount > channel.deposit) revert ExceedsDeposit(finalAmount, channel.deposit);
        _requireSignature(channel.provider, _closeAuthorizationDigest(channelId, finalAmount), providerSignature);

        _settle(channelId, channel, finalAmount);
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IPaymentChannel
    function getChannel(bytes32 channelId)
        external
        view
        returns (address consumer, address provider, uint256 deposit, uint256 claimed, uint256 expiry)
    {
        Channel memory channel = _channels[channelId];
        return (channel.consumer, channel.provider, channel.deposit, channel.claimed, channel.expiry);
    }

    /// @inheritdoc IPaymentChannel
    function getBalance(bytes32 channelId) external view returns (uint256) {
        Channel memory channel = _channels[channelId];
        return channel.deposit - channel.claimed;
    }

    /// @inheritdoc IDrainChannel
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IDrainChannel
    function computeChannelId(uint256 kind, Opening memory opening) public view returns (bytes32 channelId) {
        return keccak256(abi.encode(kind, block.chainid, address(this), _hashOpening(opening)));
    }

    // -------------------------------------------------------------------------------------------------------- internal

    /// @dev Checks and stores a channel; the caller then pulls the deposit. No id is used twice: the salt of direct
    /// openings counts up.
    function _open(uint256 kind, Opening memory opening) internal returns (bytes32 channelId) {
        (address consumer, address provider) = (opening.consumer, opening.provider);
        if (provider == address(0) || provider == consumer || provider == address(this)) {
            revert InvalidProvider(provider);
        }
        if (opening.amount == 0 || opening.amount > type(uint64).max) {
            revert InvalidDeposit(opening.amount, type(uint64).max);
        }
        if (opening.duration == 0 || opening.duration > MAX_DURATION) {
            revert InvalidDuration(opening.duration, MAX_DURATION);
        }

        channelId = computeChannelId(kind, opening);
        uint32 expiry = (block.timestamp + opening.duration).toUint32();

        // Field by field, so that the compiler writes each slot once.
        Channel storage channel = _channels[channelId];
        channel.consumer = consumer;
        // forge-lint: disable-next-line(unsafe-typecast)
        channel.deposit = uint64(opening.amount); // at most type(uint64).max, as just checked
        channel.expiry = expiry;
        channel.provider = provider;
        channel.claimed = 0;
        emit ChannelOpened(channelId, consumer, provider, opening.amount, expiry);
    }

    /// @dev Ends a channel on which the provider gets `finalAmount` in all, and the consumer the rest. Callers check
    /// `claimed <= finalAmount <= deposit`; the subtractions are checked all the same.
    function _settle(bytes32 channelId, Channel memory channel, uint256 finalAmount) internal {
        uint256 payout = finalAmount - channel.claimed;
        uint256 refund = channel.deposit - finalAmount;
        delete _channels[channelId];

        if (payout > 0) {
            emit ChannelClaimed(channelId, channel.provider, payout);
            _payProvider(channelId, channel.provider, payout);
        }
        _refundConsumer(channelId, channel.consumer, refund);
    }

    /// @dev The caller has deleted the channel.
    function _refundConsumer(bytes32 channelId, address consumer, uint256 refund) internal {
        emit ChannelClosed(channelId, consumer, refund);
        if (refund > 0) token.safeTransfer(consumer, refund);
    }

    /// @dev Pays `payout` to the provider, less the fee, which is skipped if its recipient can't receive it.
    ///
    /// The provider must not be able to fail the fee by giving too little gas, so it is tried first, with all gas but the
    /// 1/64 that EIP-150 holds back at each call. A fee transfer of cost F that ran out of gas was offered less than
    /// F * (64/63)^2, and its two calls (USDC's proxy, its implementation) held back 1/64 each: less than F/30 is left.
    /// The payout would have to succeed with that. USDC's F is below 45,000, F/30 below 1,500, and a storage write can't
    /// even start with 2,300 (EIP-2200): the transaction reverts.
    function _payProvider(bytes32 channelId, address provider, uint256 payout) internal {
        uint256 fee;
        unchecked {
            fee = payout * feeBps / 10_000; // payout is below 2^64, feeBps below 2^10; rounds down
        }
        if (fee > 0 && token.trySafeTransfer(feeRecipient, fee)) {
            emit FeePaid(channelId, feeRecipient, fee);
            payout -= fee;
        }
        token.safeTransfer(provider, payout);
    }

    function _requireProvider(bytes32 channelId, Channel memory channel) internal view {
        if (channel.provider == address(0)) revert ChannelNotFound(channelId);
        if (msg.sender != channel.provider) revert NotProvider(msg.sender, channel.provider);
    }

    function _requireConsumer(bytes32 channelId, Channel memory channel) internal view {
        if (channel.consumer == address(0)) revert ChannelNotFound(channelId);
        if (msg.sender != channel.consumer) revert NotConsumer(msg.sender, channel.consumer);
    }

    /// @dev Malformed signatures (not 65 bytes, `v` not 27 or 28, high `s`) recover to zero, which `expected`, a party of
    /// an existing channel, never is.
    function _requireSignature(address expected, bytes32 digest, bytes calldata signature) internal pure {
        (address recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (recovered != expected) revert InvalidSignature(recovered, expected);
    }

    function _voucherDigest(bytes32 channelId, uint256 amount, uint256 nonce) internal view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, amount, nonce)));
    }

    function _closeAuthorizationDigest(bytes32 channelId, uint256 finalAmount) internal view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CLOSE_AUTHORIZATION_TYPEHASH, channelId, finalAmount)));
    }

    function _hashOpening(Opening memory opening) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPENING_TYPEHASH, opening));
    }
}
