// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";

/// @notice Does to a DrainChannel what anybody can, allowed or not, and keeps books of its own.
/// @dev An action knows from the books whether the contract has to allow it, and reverts when the contract sees that
/// differently. What happened goes into the books from the contract's events, what was agreed from the signatures; nothing
/// is ever read from the contract's storage.
contract DrainHandler is DrainTest {
    struct Ghost {
        bytes32 id;
        uint256 kind;
        IDrainChannel.Opening opening;
        uint256 expiry;
        bytes authorization; // of a relayed opening
        // What was agreed:
        uint256 signed; // the highest voucher within the deposit
        uint256 agreed; // the highest final amount that the provider signed
        uint256 due; // what the provider took by calls that the books allow
        // What happened, by events:
        uint256 opens;
        uint256 paid;
        uint256 fees;
        uint256 closes;
        uint256 refunded;
    }

    struct Signed {
        uint256 channel;
        uint256 amount;
        uint256 nonce;
        bytes signature;
    }

    uint256 private constant PARTIES = 8;
    uint256 private constant SESSION_KEYS = 4;

    uint16 public immutable rate;

    /// @dev Each is a consumer of some channels and a provider of others.
    Account[] private _parties;
    Account[] private _sessionKeys;

    Ghost[] private _ghosts;
    mapping(bytes32 id => uint256 indexPlusOne) private _ghostOf;
    mapping(address party => uint256) private _openings;
    Signed[] private _vouchers;
    Signed[] private _authorizations;
    uint256 private _nonce;

    // Ghosts of the whole contract.
    uint256 public donated;
    uint256 public feesDue;
    uint256 public strayEvents;
    mapping(address party => int256) public balanceDue;

    constructor(uint16 feeBps) {
        DrainTest.setUp();
        if (feeBps > 0) drain = deployDrain(feeRecipient, feeBps);
        rate = feeBps;
        for (uint256 i = 0; i < PARTIES; i++) {
            _parties.push(makeAccount(string.concat("party ", vm.toString(i))));
            approveDrain(_parties[i].addr);
        }
        for (uint256 i = 0; i < SESSION_KEYS; i++) {
            _sessionKeys.push(makeAccount(string.concat("session key ", vm.toString(i))));
        }
    }

    /// @dev DrainTest's is for tests.
    function setUp() public override {}

    // ----------------------------------------------------------------------------------------------------------- opens

    function open(uint256 parties, uint256 amount, uint256 duration) external {
        IDrainChannel.Opening memory opening = _direct(parties, amount, duration);
        _expectOpen(0, opening, "");
        _must(opening.consumer, abi.encodeCall(drain.open, (opening.provider, opening.amount, opening.duration)));
    }

    function openWithSigner(uint256 parties, uint256 amount, uint256 duration, uint256 key) external {
        IDrainChannel.Opening memory opening = _direct(parties, amount, duration);
        opening.signer = _signer(key, opening.provider);
        _expectOpen(0, opening, "");
        _must(
            opening.consumer,
            abi.encodeCall(drain.openWithSigner, (opening.provider, opening.amount, opening.duration, opening.signer))
        );
    }

    function openWithAuthorization(uint256 parties, uint256 amount, uint256 duration, uint256 key, bytes32 salt)
        external
    {
        IDrainChannel.Opening memory opening = _opening(parties, amount, duration);
        if (key % 3 > 0) opening.signer = _signer(key, opening.provider);
        opening.salt = salt;
        if (_ghostOf[idOf(1, opening)] > 0) return;

        bytes memory authorization = signAuthorization(_account(opening.consumer), opening, 0, type(uint256).max);
        // A relayer that changes anything gets nowhere.
        IDrainChannel.Opening memory other = _changed(opening, key);
        _mustNot(stranger.addr, _relayedOpen(other, authorization));
        _expectOpen(1, opening, authorization);
        _must(_anybody(key), _relayedOpen(opening, authorization));
    }

    function replayOpening(uint256 seed, uint256 caller) external {
        if (_ghosts.length == 0) return;
        Ghost storage g = _ghosts[seed % _ghosts.length];
        if (g.kind == 1) _mustNot(_anybody(caller), _relayedOpen(g.opening, g.authorization));
    }

    // ---------------------------------------------------------------------------------------------------------- claims

    function claim(uint256 seed, uint256 amount, bool bySessionKey) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        if (g.paid == g.opening.amount) return;
        Signed memory voucher = _sign(i, _bound(amount, g.paid + 1, g.opening.amount), bySessionKey);
        g.due = voucher.amount;
        _must(g.opening.provider, _claim(voucher));
    }

    function claimAndClose(uint256 seed, uint256 amount, uint256 payAmount, bool bySessionKey) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        amount = _bound(amount, g.paid, g.opening.amount);
        payAmount = _bound(payAmount, g.paid, amount);
        Signed memory voucher = _sign(i, amount, bySessionKey);
        // It is not for others, not for less than was claimed, not for more than was signed.
        _mustNot(_notProvider(g, seed), _claimAndClose(voucher, payAmount));
        _mustNot(g.opening.provider, _claimAndClose(voucher, amount + 1));
        if (g.paid > 0) _mustNot(g.opening.provider, _claimAndClose(voucher, g.paid - 1));
        g.due = payAmount;
        _must(g.opening.provider, _claimAndClose(voucher, payAmount));
    }

    /// @dev Up to eight entries of one provider, good and bad ones of all kinds.
    function claimBatch(uint256 party, uint256 seed) external {
        address caller = _parties[party % PARTIES].addr;
        if (_ghosts.length == 0) return;
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](1 + seed % 8);
        uint256 payout;
        for (uint256 i = 0; i < claims.length; i++) {
            seed = uint256(keccak256(abi.encode(seed, i)));
            if (i > 0 && seed % 8 == 0) {
                claims[i] = claims[i - 1]; // pays once
                continue;
            }
            (bool found, uint256 channel) = _aliveOf(seed, caller);
            if (!found || seed % 8 == 1) channel = (seed >> 8) % _ghosts.length; // closed, or somebody else's, or fine
            bool good;
            (good, claims[i]) = _entry(channel, caller, seed >> 16);
            if (good) {
                payout += claims[i].payAmount - _ghosts[channel].due;
                _ghosts[channel].due = claims[i].payAmount;
            }
        }
        bytes memory returned = _must(caller, abi.encodeCall(drain.claimBatch, (claims)));
        assertEq(abi.decode(returned, (uint256)), payout, "payout of the batch");
    }

    /// @dev An entry, and whether it pays: its `claimed` is what earlier entries made it.
    function _entry(uint256 channel, address caller, uint256 seed)
        private
        returns (bool good, IDrainChannel.Claim memory entry)
    {
        Ghost storage g = _ghosts[channel];
        uint256 deposit = g.opening.amount;
        uint256 fault = seed % 12; // most have none
        uint256 amount = _bound(seed >> 8, g.due, deposit);
        if (fault == 1) amount = deposit + 1 + (seed >> 8) % deposit;
        if (fault == 2) amount = _tooLong(seed, amount);
        Signed memory voucher = _sign(channel, amount, seed >> 4 & 1 == 1);
        entry = IDrainChannel.Claim(g.id, amount, voucher.nonce, _bound(seed >> 72, 0, amount), voucher.signature);
        if (fault == 3) entry.payAmount = amount + 1;
        if (fault == 4) entry.signature = _forged(g, seed >> 8, amount, entry.nonce);
        if (fault == 5) entry.amount = amount + 1;
        if (fault == 6) entry.nonce++;
        good = (fault == 0 || fault > 6) && g.closes == 0 && caller == g.opening.provider && entry.payAmount > g.due;
    }

    /// @dev A voucher that nobody claims now.
    function signVoucher(uint256 seed, uint256 amount, bool bySessionKey) external {
        (bool found, uint256 i) = _alive(seed);
        if (found) _sign(i, _bound(amount, 1, _ghosts[i].opening.amount), bySessionKey);
    }

    /// @dev An old voucher, maybe of a closed channel, maybe by somebody else.
    function replayVoucher(uint256 seed, uint256 caller) external {
        if (_vouchers.length == 0) return;
        Signed storage voucher = _vouchers[seed % _vouchers.length];
        Ghost storage g = _ghosts[voucher.channel];
        if (voucher.amount > g.opening.amount) return;
        _mustNot(_notProvider(g, caller), _claim(voucher));
        if (g.closes == 0 && voucher.amount > g.paid) {
            g.due = voucher.amount;
            _must(g.opening.provider, _claim(voucher));
        } else {
            _mustNot(g.opening.provider, _claim(voucher));
            if (g.closes > 0) _mustNot(g.opening.provider, _claimAndClose(voucher, voucher.amount));
        }
    }

    function forgeVoucher(uint256 seed, uint256 forgery, uint256 amount) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        if (g.paid == g.opening.amount) return;
        amount = _bound(amount, g.paid + 1, g.opening.amount);
        bytes memory signature = _forged(g, forgery, amount, 0);
        _mustNot(g.opening.provider, abi.encodeCall(drain.claim, (g.id, amount, 0, signature)));
        _mustNot(g.opening.provider, abi.encodeCall(drain.claimAndClose, (g.id, amount, 0, amount, signature)));
    }

    function overdraw(uint256 seed, uint256 amount, bool bySessionKey) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        amount = amount % 2 == 0 ? g.opening.amount + 1 : _tooLong(amount, g.paid + 1);
        Signed memory voucher = _sign(i, amount, bySessionKey);
        _mustNot(g.opening.provider, _claim(voucher));
        _mustNot(g.opening.provider, _claimAndClose(voucher, amount));
        _mustNot(g.opening.provider, _claimAndClose(voucher, g.opening.amount));
    }

    // ---------------------------------------------------------------------------------------------------------- closes

    function close(uint256 seed) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        bytes memory call = abi.encodeCall(drain.close, (g.id));
        _mustNot(g.opening.provider, call);
        if (block.timestamp < g.expiry) _mustNot(g.opening.consumer, call);
        else _must(g.opening.consumer, call);
    }

    function closeFor(uint256 seed, uint256 caller) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        bytes memory call = abi.encodeCall(drain.closeFor, (g.id));
        if (block.timestamp < g.expiry + 1 days) _mustNot(_anybody(caller), call);
        else _must(_anybody(caller), call);
    }

    function cooperativeClose(uint256 seed, uint256 finalAmount) external {
        (bool found, uint256 i) = _alive(seed);
        if (!found) return;
        Ghost storage g = _ghosts[i];
        Signed memory authorization = _agree(i, _bound(finalAmount, g.paid, g.opening.amount));
        // Not by others, not with the consumer's own signature.
        _mustNot(g.opening.provider, _cooperativeClose(authorization));
        bytes memory own = signCloseAuthorization(_account(g.opening.consumer), g.id, authorization.amount);
        _mustNot(g.opening.consumer, abi.encodeCall(drain.cooperativeClose, (g.id, authorization.amount, own)));
        g.due = authorization.amount;
        _must(g.opening.consumer, _cooperativeClose(authorization));
    }

    /// @dev A consent that nobody uses now, perhaps below what is claimed already.
    function agree(uint256 seed, uint256 finalAmount) external {
        (bool found, uint256 i) = _alive(seed);
        if (found) _agree(i, _bound(finalAmount, 0, _ghosts[i].opening.amount));
    }

    /// @dev An old consent, maybe below what was claimed since, maybe of a closed channel.
    function replayAuthorization(uint256 seed) external {
        if (_authorizations.length == 0) return;
        Signed storage authorization = _authorizations[seed % _authorizations.length];
        Ghost storage g = _ghosts[authorization.channel];
        if (g.closes == 0 && authorization.amount >= g.paid) {
            g.due = authorization.amount;
            _must(g.opening.consumer, _cooperativeClose(authorization));
        } else {
            _mustNot(g.opening.consumer, _cooperativeClose(authorization));
        }
    }

    /// @dev Nothing works on a channel that ended.
    function touchClosed(uint256 seed) external {
        if (_ghosts.length == 0) return;
        uint256 i = seed % _ghosts.length;
        Ghost storage g = _ghosts[i];
        if (g.closes == 0) return;
        _mustNot(g.opening.consumer, abi.encodeCall(drain.close, (g.id)));
        _mustNot(g.opening.provider, abi.encodeCall(drain.closeFor, (g.id)));
        _mustNot(g.opening.provider, abi.encodeCall(drain.claimAndClose, (g.id, g.paid, 0, g.paid, "")));
        bytes memory signature = signCloseAuthorization(_account(g.opening.provider), g.id, g.paid);
        _mustNot(g.opening.consumer, abi.encodeCall(drain.cooperativeClose, (g.id, g.paid, signature)));
    }

    // ------------------------------------------------------------------------------------------------------- the world

    function jump(uint256 time) external {
        vm.warp(block.timestamp + _bound(time, 1 minutes, 12 hours));
    }

    function donate(uint256 amount) external {
        amount = _bound(amount, 1, 1000e6);
        mintUsdc(address(drain), amount);
        donated += amount;
    }

    function blockFeeRecipient() external {
        if (usdc.isBlacklisted(feeRecipient)) unblockUsdc(feeRecipient);
        else blockUsdc(feeRecipient);
    }

    /// @dev After this nothing is left: providers take what was signed to them, consumers or others take the rest.
    function exit() external {
        for (uint256 i = 0; i < _ghosts.length; i++) {
            Ghost storage g = _ghosts[i];
            if (g.closes > 0) continue;
            if (block.timestamp < g.expiry + 1 days) vm.warp(g.expiry + 1 days);
            if (g.signed > g.paid) {
                Signed memory voucher = _sign(i, g.signed, false);
                g.due = voucher.amount;
                _must(g.opening.provider, _claim(voucher));
            }
            if (i % 2 == 0) _must(g.opening.consumer, abi.encodeCall(drain.close, (g.id)));
            else _must(stranger.addr, abi.encodeCall(drain.closeFor, (g.id)));
        }
    }

    // ------------------------------------------------------------------------------------------------------- the books

    function ghosts() external view returns (Ghost[] memory) {
        return _ghosts;
    }

    function partyAddresses() external view returns (address[] memory addresses) {
        addresses = new address[](PARTIES);
        for (uint256 i = 0; i < PARTIES; i++) {
            addresses[i] = _parties[i].addr;
        }
    }

    function contracts() external view returns (IDrainChannel drain_, address usdc_, address feeRecipient_) {
        return (drain, address(usdc), feeRecipient);
    }

    /// @dev Done with a call that the contract has to allow.
    function _must(address caller, bytes memory call) private returns (bytes memory returned) {
        bool success;
        vm.recordLogs();
        vm.prank(caller);
        (success, returned) = address(drain).call(call);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(returned, 0x20), mload(returned))
            }
        }
        _record(vm.getRecordedLogs());
    }

    function _mustNot(address caller, bytes memory call) private {
        vm.prank(caller);
        (bool success,) = address(drain).call(call);
        assertFalse(success, "the contract allowed what it must not");
    }

    function _record(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter != address(drain)) continue;
            uint256 index = _ghostOf[logs[i].topics[1]];
            if (index == 0) {
                strayEvents++;
                continue;
            }
            _record(_ghosts[index - 1], logs[i].topics[0], logs[i].data);
        }
    }

    function _record(Ghost storage g, bytes32 topic, bytes memory data) private {
        uint256 amount = abi.decode(data, (uint256)); // the first word
        if (topic == IPaymentChannel.ChannelOpened.selector) {
            g.opens++;
            balanceDue[g.opening.consumer] -= int256(amount);
        } else if (topic == IPaymentChannel.ChannelClaimed.selector) {
            g.paid += amount;
            balanceDue[g.opening.provider] += int256(amount);
            if (!usdc.isBlacklisted(feeRecipient)) feesDue += amount * rate / 10_000;
        } else if (topic == IDrainChannel.FeePaid.selector) {
            g.fees += amount;
            balanceDue[g.opening.provider] -= int256(amount);
        } else if (topic == IPaymentChannel.ChannelClosed.selector) {
            g.closes++;
            g.refunded += amount;
            balanceDue[g.opening.consumer] += int256(amount);
        } else {
            strayEvents++;
        }
    }

    function _expectOpen(uint256 kind, IDrainChannel.Opening memory opening, bytes memory authorization) private {
        Ghost storage g = _ghosts.push();
        g.id = idOf(kind, opening);
        g.kind = kind;
        g.opening = opening;
        g.expiry = block.timestamp + opening.duration;
        g.authorization = authorization;
        _ghostOf[g.id] = _ghosts.length;
        if (kind == 0) _openings[opening.consumer]++;
    }

    // -------------------------------------------------------------------------------------------------- who and on what

    /// @dev The first channel from a random one on that has not ended.
    function _alive(uint256 seed) private view returns (bool found, uint256 index) {
        uint256 count = _ghosts.length;
        for (uint256 i = 0; i < count; i++) {
            index = addmod(seed, i, count);
            if (_ghosts[index].closes == 0) return (true, index);
        }
    }

    function _aliveOf(uint256 seed, address provider_) private view returns (bool found, uint256 index) {
        uint256 count = _ghosts.length;
        for (uint256 i = 0; i < count; i++) {
            index = addmod(seed, i, count);
            Ghost storage g = _ghosts[index];
            if (g.closes == 0 && g.opening.provider == provider_) return (true, index);
        }
    }

    function _account(address party) private view returns (Account memory) {
        for (uint256 i = 0; i < PARTIES; i++) {
            if (_parties[i].addr == party) return _parties[i];
        }
        for (uint256 i = 0; i < SESSION_KEYS; i++) {
            if (_sessionKeys[i].addr == party) return _sessionKeys[i];
        }
        revert("nobody's address");
    }

    function _anybody(uint256 seed) private view returns (address) {
        return seed % 3 == 0 ? stranger.addr : _parties[seed % PARTIES].addr;
    }

    function _notProvider(Ghost storage g, uint256 seed) private view returns (address caller) {
        caller = _anybody(seed);
        if (caller == g.opening.provider) caller = g.opening.consumer;
    }

    /// @dev A session key: mostly one that is only that, sometimes another party.
    function _signer(uint256 seed, address provider_) private view returns (address signer) {
        signer = seed % 4 == 0 ? _parties[(seed >> 8) % PARTIES].addr : _sessionKeys[(seed >> 8) % SESSION_KEYS].addr;
        if (signer == provider_) signer = _sessionKeys[0].addr;
    }

    function _direct(uint256 parties, uint256 amount, uint256 duration)
        private
        returns (IDrainChannel.Opening memory opening)
    {
        opening = _opening(parties, amount, duration);
        opening.salt = bytes32(_openings[opening.consumer]);
    }

    /// @dev The consumer has the deposit then.
    function _opening(uint256 parties, uint256 amount, uint256 duration)
        private
        returns (IDrainChannel.Opening memory opening)
    {
        uint256 consumer_ = parties % PARTIES;
        opening.consumer = _parties[consumer_].addr;
        opening.provider = _parties[(consumer_ + 1 + (parties >> 8) % (PARTIES - 1)) % PARTIES].addr;
        opening.amount = _bound(amount, 1, amount % 8 == 0 ? type(uint64).max : amount % 8 == 1 ? 20 : 100e6);
        opening.duration = duration % 8 == 0 ? 365 days : _bound(duration, 1, 2 days);
        mintUsdc(opening.consumer, opening.amount);
        balanceDue[opening.consumer] += int256(opening.amount);
    }

    // ------------------------------------------------------------------------------------------------ calls, signatures

    function _relayedOpen(IDrainChannel.Opening memory opening, bytes memory authorization)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeCall(drain.openWithAuthorization, (opening, 0, type(uint256).max, authorization));
    }

    function _claim(Signed memory voucher) private view returns (bytes memory) {
        bytes32 id = _ghosts[voucher.channel].id;
        return abi.encodeCall(drain.claim, (id, voucher.amount, voucher.nonce, voucher.signature));
    }

    function _claimAndClose(Signed memory voucher, uint256 payAmount) private view returns (bytes memory) {
        bytes32 id = _ghosts[voucher.channel].id;
        return abi.encodeCall(drain.claimAndClose, (id, voucher.amount, voucher.nonce, payAmount, voucher.signature));
    }

    function _cooperativeClose(Signed memory authorization) private view returns (bytes memory) {
        bytes32 id = _ghosts[authorization.channel].id;
        return abi.encodeCall(drain.cooperativeClose, (id, authorization.amount, authorization.signature));
    }

    /// @dev By the consumer, or by the session key where there is one.
    function _sign(uint256 channel, uint256 amount, bool bySessionKey) private returns (Signed memory voucher) {
        Ghost storage g = _ghosts[channel];
        uint256 nonce = ++_nonce;
        bytes32 digest = digestOf(voucherHash(g.id, amount, nonce));
        bytes memory signature = bySessionKey && g.opening.signer != address(0)
            ? abi.encodePacked(sign(_account(g.opening.signer), digest), proofOf(g.kind, g.opening))
            : sign(_account(g.opening.consumer), digest);
        voucher = Signed(channel, amount, nonce, signature);
        _vouchers.push(voucher);
        // A voucher above the deposit authorizes nothing.
        if (amount <= g.opening.amount && amount > g.signed) g.signed = amount;
    }

    function _agree(uint256 channel, uint256 finalAmount) private returns (Signed memory authorization) {
        Ghost storage g = _ghosts[channel];
        bytes memory signature = signCloseAuthorization(_account(g.opening.provider), g.id, finalAmount);
        authorization = Signed(channel, finalAmount, 0, signature);
        _authorizations.push(authorization);
        if (finalAmount > g.agreed) g.agreed = finalAmount;
    }

    /// @dev Of the session key, or as if it were `signer`.
    function _proof(Ghost storage g, address signer) private view returns (bytes memory) {
        IDrainChannel.Opening memory opening = g.opening;
        opening.signer = signer;
        return proofOf(g.kind, opening);
    }

    /// @dev A signature that neither the consumer nor its session key gave for this.
    function _forged(Ghost storage g, uint256 seed, uint256 amount, uint256 nonce) private view returns (bytes memory) {
        bytes32 digest = digestOf(voucherHash(g.id, amount, nonce));
        address signer = g.opening.signer;
        Account memory forger = (seed >> 8) % 2 == 0 ? _account(g.opening.provider) : stranger;
        bytes memory byForger = sign(forger, digest);
        uint256 form = seed % 8;
        if (form == 0) return abi.encodePacked(byForger, _proof(g, signer)); // the session key's proof
        if (form == 1) return abi.encodePacked(byForger, _proof(g, forger.addr)); // its own as session key
        if (form == 2) return abi.encodePacked(sign(_account(g.opening.consumer), digest), _proof(g, forger.addr));
        if (form == 3) return abi.encodePacked(bytes32(0), bytes32(0), uint8(27), _proof(g, address(0))); // no one
        if (form == 4) return abi.encodePacked(bytes32(0), bytes32(0), uint8(0)); // recovers to zero
        if (form == 5) return sign(_account(g.opening.consumer), digestOf(voucherHash(g.id, amount + 1, nonce)));
        if (form == 6 && signer != address(0) && signer != g.opening.consumer) {
            return sign(_account(signer), digest); // the session key without its proof
        }
        return byForger;
    }

    function _changed(IDrainChannel.Opening memory opening, uint256 seed)
        private
        view
        returns (IDrainChannel.Opening memory other)
    {
        other = abi.decode(abi.encode(opening), (IDrainChannel.Opening)); // a copy
        uint256 field = (seed >> 16) % 6;
        if (field == 0) other.consumer = stranger.addr;
        if (field == 1) other.provider = stranger.addr;
        if (field == 2) other.amount = opening.amount == 1 ? 2 : opening.amount - 1;
        if (field == 3) other.duration += 1;
        if (field == 4) other.signer = stranger.addr;
        if (field == 5) other.salt ^= bytes32(uint256(1));
    }

    /// @dev `amount` with a bit set above those that are stored.
    function _tooLong(uint256 seed, uint256 amount) private pure returns (uint256) {
        return amount | 1 << 64 + (seed >> 8) % 192;
    }
}
