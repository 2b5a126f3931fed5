// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDrainChannel} from "./interfaces/IDrainChannel.sol";
import {IERC3009} from "./interfaces/IERC3009.sol";
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

    /// @dev What a session key appends to its signature: what is not stored of the opening, so that the channel's id can be
    /// computed again. Full words: a signer with bits above the address is another one, and its id another.
    struct Proof {
        uint256 kind;
        uint256 duration;
        uint256 signer;
        bytes32 salt;
    }

    /// @inheritdoc IDrainChannel
    uint256 public constant MAX_DURATION = 365 days;

    /// @dev From expiry on only the consumer closes; this many seconds later anyone may, for it.
    uint256 private constant CLOSE_FOR_DELAY = 1 days;

    uint256 private constant MAX_FEE_BPS = 1000;

    /// @dev The kinds of openings: sent by the consumer itself, with its nonce as salt; or by anyone, with the consumer's
    /// EIP-3009 authorization and any salt. The kind is part of the id, so the two never meet.
    uint256 private constant DIRECT = 0;
    uint256 private constant RELAYED = 1;

    /// @dev `r || s || v`, and a {Proof}.
    uint256 private constant PROVEN_SIGNATURE_LENGTH = 65 + 4 * 32;

    /// @dev USDC behind its proxy needs less than 20,000. A token that burns all it is given (WETH9, asked what it doesn't
    /// know in a static call) must leave enough to deploy with.
    uint256 private constant PROBE_GAS = 100_000;

    bytes32 private constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
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
    /// @inheritdoc IDrainChannel
    bool public immutable supportsAuthorization;

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
        supportsAuthorization = _probeAuthorization(token_);
    }

    // ----------------------------------------------------------------------------------------------------------- opens

    /// @inheritdoc IDrainChannel
    function open(address provider, uint256 amount, uint256 duration) external returns (bytes32 channelId) {
        return _openDirect(provider, amount, duration, address(0));
    }

    /// @inheritdoc IDrainChannel
    function openWithSigner(address provider, uint256 amount, uint256 duration, address signer)
        external
        returns (bytes32 channelId)
    {
        return _openDirect(provider, amount, duration, signer);
    }

    /// @inheritdoc IDrainChannel
    function openWithAuthorization(
        Opening memory opening,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external returns (bytes32 channelId) {
        if (!supportsAuthorization) revert AuthorizationUnsupported(address(token));
        // The hash names neither chain nor contract, but what is signed does: the chain by the token's domain, this contract as
        // the payee, the only one that `receiveWithAuthorization` serves.
        bytes32 openingHash = _hashOpening(opening);
        channelId = _open(RELAYED, opening, openingHash);
        IERC3009(address(token))
            .receiveWithAuthorization(
                opening.consumer, address(this), opening.amount, validAfter, validBefore, openingHash, signature
            );
    }

    // ---------------------------------------------------------------------------------------------------------- claims

    /// @inheritdoc IDrainChannel
    function claim(bytes32 channelId, uint256 amount, uint256 nonce, bytes calldata signature) external {
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        _requireProvider(channelId, channel);
        if (amount <= channel.claimed) revert NothingToClaim(amount, channel.claimed);
        if (amount > channel.deposit) revert ExceedsDeposit(amount, channel.deposit);
        _requireVoucher(channelId, channel, amount, nonce, signature);

        uint256 payout = _take(stored, channelId, channel, amount);
        _payProvider(channelId, channel.provider, payout);
    }

    /// @inheritdoc IDrainChannel
    function claimBatch(Claim[] calldata claims) external returns (uint256 payout) {
        uint256[] memory fees = new uint256[](claims.length);
        uint256 totalFee;
        for (uint256 i = 0; i < claims.length; ++i) {
            uint256 part = _claimEntry(claims[i]);
            payout += part;
            totalFee += fees[i] = _fee(part);
        }
        if (payout == 0) return 0;

        // The fee first: see _payProvider.
        uint256 paid = payout;
        if (totalFee > 0 && token.trySafeTransfer(feeRecipient, totalFee)) {
            for (uint256 i = 0; i < claims.length; ++i) {
                if (fees[i] > 0) emit FeePaid(claims[i].channelId, feeRecipient, fees[i]);
            }
            paid -= totalFee;
        }
        token.safeTransfer(msg.sender, paid);
    }

    /// @inheritdoc IDrainChannel
    function claimAndClose(
        bytes32 channelId,
        uint256 amount,
        uint256 nonce,
        uint256 payAmount,
        bytes calldata signature
    ) external {
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        _requireProvider(channelId, channel);
        if (payAmount < channel.claimed) revert BelowClaimed(payAmount, channel.claimed);
        if (payAmount > amount) revert ExceedsVoucher(payAmount, amount);
        if (amount > channel.deposit) revert ExceedsDeposit(amount, channel.deposit);
        if (payAmount > channel.claimed) {
            _requireVoucher(channelId, channel, amount, nonce, signature);
        }

        _settle(stored, channelId, channel, payAmount);
    }

    // ---------------------------------------------------------------------------------------------------------- closes

    /// @inheritdoc IDrainChannel
    function close(bytes32 channelId) external {
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        _requireConsumer(channelId, channel);
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < channel.expiry) revert NotExpired(block.timestamp, channel.expiry);

        uint256 refund;
        unchecked {
            refund = channel.deposit - channel.claimed; // never below zero: `claim` takes no more than the deposit
        }
        _delete(stored);
        _refundConsumer(channelId, msg.sender, refund);
    }

    /// @inheritdoc IDrainChannel
    function closeFor(bytes32 channelId) external {
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        if (channel.consumer == address(0)) revert ChannelNotFound(channelId);
        uint256 opensAt = channel.expiry + CLOSE_FOR_DELAY;
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < opensAt) revert NotExpired(block.timestamp, opensAt);

        _settle(stored, channelId, channel, channel.claimed);
    }

    /// @inheritdoc IDrainChannel
    function cooperativeClose(bytes32 channelId, uint256 finalAmount, bytes calldata providerSignature) external {
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        _requireConsumer(channelId, channel);
        if (finalAmount < channel.claimed) revert BelowClaimed(finalAmount, channel.claimed);
        if (finalAmount > channel.deposit) revert ExceedsDeposit(finalAmount, channel.deposit);
        _requireSignature(channel.provider, _closeAuthorizationDigest(channelId, finalAmount), providerSignature);

        _settle(stored, channelId, channel, finalAmount);
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
        return _channelId(kind, _hashOpening(opening));
    }

    // -------------------------------------------------------------------------------------------------------- internal

    function _openDirect(address provider, uint256 amount, uint256 duration, address signer)
        internal
        returns (bytes32 channelId)
    {
        Opening memory opening = Opening(msg.sender, provider, amount, duration, signer, bytes32(nonces[msg.sender]++));
        channelId = _open(DIRECT, opening, _hashOpening(opening));
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @dev Checks and stores a channel; the caller then pulls the deposit. No id is used twice: the salt of direct
    /// openings counts up, and the token burns the hash of relayed ones.
    function _open(uint256 kind, Opening memory opening, bytes32 openingHash) internal returns (bytes32 channelId) {
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
        if (opening.signer == provider) revert InvalidSigner(provider);

        channelId = _channelId(kind, openingHash);
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

    /// @dev An entry of a batch: takes nothing where it can't be paid. A channel that doesn't exist has provider zero, and
    /// deposit zero.
    function _claimEntry(Claim calldata entry) internal returns (uint256 payout) {
        bytes32 channelId = entry.channelId;
        Channel storage stored = _channels[channelId];
        Channel memory channel = stored;
        (uint256 amount, uint256 payAmount) = (entry.amount, entry.payAmount);
        if (msg.sender != channel.provider) return 0;
        if (payAmount <= channel.claimed || payAmount > amount || amount > channel.deposit) return 0;
        (address recovered, address expected) =
            _recoverVoucher(channelId, channel, amount, entry.nonce, entry.signature);
        if (recovered != expected) return 0;

        return _take(stored, channelId, channel, payAmount);
    }

    /// @dev Stores that `payAmount` is claimed; the caller then pays the difference. Callers check
    /// `claimed < payAmount <= deposit`.
    function _take(Channel storage stored, bytes32 channelId, Channel memory channel, uint256 payAmount)
        internal
        returns (uint256 payout)
    {
        unchecked {
            payout = payAmount - channel.claimed; // above zero
        }
        stored.provider = channel.provider; // as it is, so that the slot need not be read again
        // forge-lint: disable-next-line(unsafe-typecast)
        stored.claimed = uint96(payAmount); // at most `deposit`, a uint64
        emit ChannelClaimed(channelId, channel.provider, payout);
    }

    /// @dev Ends a channel on which the provider gets `finalAmount` in all, and the consumer the rest. Callers check
    /// `claimed <= finalAmount <= deposit`; the subtractions are checked all the same.
    function _settle(Channel storage stored, bytes32 channelId, Channel memory channel, uint256 finalAmount) internal {
        uint256 payout = finalAmount - channel.claimed;
        uint256 refund = channel.deposit - finalAmount;
        _delete(stored);

        if (payout > 0) {
            emit ChannelClaimed(channelId, channel.provider, payout);
            _payProvider(channelId, channel.provider, payout);
        }
        _refundConsumer(channelId, channel.consumer, refund);
    }

    /// @dev Field by field, so that the compiler writes each slot once.
    function _delete(Channel storage stored) internal {
        stored.consumer = address(0);
        stored.deposit = 0;
        stored.expiry = 0;
        stored.provider = address(0);
        stored.claimed = 0;
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
        uint256 fee = _fee(payout);
        if (fee > 0 && token.trySafeTransfer(feeRecipient, fee)) {
            emit FeePaid(channelId, feeRecipient, fee);
            payout -= fee;
        }
        token.safeTransfer(provider, payout);
    }

    /// @dev Rounds down.
    function _fee(uint256 payout) internal view returns (uint256) {
        unchecked {
            return payout * feeBps / 10_000; // payout is below 2^64, feeBps below 2^10
        }
    }

    function _requireProvider(bytes32 channelId, Channel memory channel) internal view {
        if (channel.provider == address(0)) revert ChannelNotFound(channelId);
        if (msg.sender != channel.provider) revert NotProvider(msg.sender, channel.provider);
    }

    function _requireConsumer(bytes32 channelId, Channel memory channel) internal view {
        if (channel.consumer == address(0)) revert ChannelNotFound(channelId);
        if (msg.sender != channel.consumer) revert NotConsumer(msg.sender, channel.consumer);
    }

    function _requireVoucher(
        bytes32 channelId,
        Channel memory channel,
        uint256 amount,
        uint256 nonce,
        bytes calldata signature
    ) internal view {
        (address recovered, address expected) = _recoverVoucher(channelId, channel, amount, nonce, signature);
        if (recovered != expected) revert InvalidSignature(recovered, expected);
    }

    /// @dev Who signed a voucher, and who should have: the consumer, or the session key that the signature proves. Equal if
    /// and only if the voucher counts: what is malformed recovers to zero, and zero is never expected.
    function _recoverVoucher(
        bytes32 channelId,
        Channel memory channel,
        uint256 amount,
        uint256 nonce,
        bytes calldata signature
    ) internal view returns (address recovered, address expected) {
        expected = channel.consumer;
        if (signature.length == PROVEN_SIGNATURE_LENGTH) {
            Proof calldata proof;
            assembly ("memory-safe") {
                proof := add(signature.offset, 65) // 128 bytes from there on are the signature's, as its length says
                signature.length := 65
            }
            address signer = _provenSigner(channelId, channel, proof);
            if (signer == address(0)) return (address(0), expected);
            expected = signer;
        }
        (recovered,,) = ECDSA.tryRecoverCalldata(_voucherDigest(channelId, amount, nonce), signature);
    }

    /// @dev The signer that the channel was opened with, if the proof and what is stored hash to its id; zero if they don't
    /// or if there is none.
    function _provenSigner(bytes32 channelId, Channel memory channel, Proof calldata proof)
        internal
        view
        returns (address)
    {
        bytes32 openingHash = keccak256(
            abi.encode(
                OPENING_TYPEHASH,
                channel.consumer,
                channel.provider,
                channel.deposit,
                proof.duration,
                proof.signer,
                proof.salt
            )
        );
        // forge-lint: disable-next-line(unsafe-typecast)
        return _channelId(proof.kind, openingHash) == channelId ? address(uint160(proof.signer)) : address(0);
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

    function _channelId(uint256 kind, bytes32 openingHash) internal view returns (bytes32) {
        return keccak256(abi.encode(kind, block.chainid, address(this), openingHash));
    }

    function _hashOpening(Opening memory opening) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPENING_TYPEHASH, opening));
    }

    /// @dev Whether the token takes EIP-3009 authorizations: it says so, and it refuses one that nobody signed. A token
    /// whose fallback accepts every call would open channels that nobody paid for; it answers the first with nothing (WETH9)
    /// or fails the second, which is a call and not a static one because such a fallback may write.
    function _probeAuthorization(IERC20 token_) private returns (bool) {
        (bool success, bytes memory answer) =
            address(token_).staticcall{gas: PROBE_GAS}(abi.encodeCall(IERC3009.RECEIVE_WITH_AUTHORIZATION_TYPEHASH, ()));
        if (!success || answer.length != 32 || bytes32(answer) != RECEIVE_WITH_AUTHORIZATION_TYPEHASH) return false;

        uint256 gasBefore = gasleft();
        (success,) = address(token_).call{gas: PROBE_GAS}(
            abi.encodeCall(
                IERC3009.receiveWithAuthorization,
                (address(this), address(this), type(uint256).max, 0, 0, bytes32(0), "")
            )
        );
        // Out of gas is no refusal: with more of it, such a fallback would accept.
        return !success && gasBefore - gasleft() < PROBE_GAS / 2;
    }
}
