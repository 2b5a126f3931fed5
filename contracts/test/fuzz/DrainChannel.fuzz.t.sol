// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract DrainChannelFuzzTest is DrainTest {
    /// @dev Any opening either reverts for a documented reason or is stored as it was asked for.
    function testFuzz_open_storesWhatWasAskedOrReverts(address provider_, uint256 amount, uint256 duration) public {
        bool valid = provider_ != address(0) && provider_ != consumer.addr && provider_ != address(drain) && amount > 0
            && amount <= type(uint64).max && duration > 0 && duration <= 365 days;
        if (valid) mintUsdc(consumer.addr, amount);
        if (!valid) vm.expectRevert();
        vm.prank(consumer.addr);
        bytes32 channelId = drain.open(provider_, amount, duration);
        if (valid) assertChannel(channelId, consumer.addr, provider_, amount, 0, NOW + duration);
    }

    /// @dev The same, with inputs that are mostly valid.
    function testFuzz_open_storesAnyValidOpening(address provider_, uint64 amount, uint256 duration) public {
        vm.assume(provider_ != address(0) && provider_ != consumer.addr && provider_ != address(drain));
        amount = uint64(bound(amount, 1, type(uint64).max));
        duration = bound(duration, 1, 365 days);
        mintUsdc(consumer.addr, amount);
        vm.prank(consumer.addr);
        bytes32 channelId = drain.open(provider_, amount, duration);
        assertChannel(channelId, consumer.addr, provider_, amount, 0, NOW + duration);
        assertUsdc(address(drain), amount);
    }

    /// @dev A series of claims pays the highest amount in all, whatever the order and the values.
    function testFuzz_claim_paysTheHighestAmount(uint64 deposit, uint256[8] memory amounts, uint256 nonce) public {
        deposit = uint64(bound(deposit, 1, 1_000_000e6));
        bytes32 channelId = openChannel(deposit, DURATION);
        uint256 highest;
        for (uint256 i = 0; i < amounts.length; i++) {
            // Around the deposit, or anywhere.
            uint256 amount = i % 4 == 3 ? amounts[i] : bound(amounts[i], 0, uint256(deposit) + deposit / 4 + 1);
            bytes memory signature = signVoucher(consumer, channelId, amount, nonce);
            if (amount <= highest) {
                vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, amount, highest));
            } else if (amount > deposit) {
                vm.expectRevert(abi.encodeWithSelector(IDrainChannel.ExceedsDeposit.selector, amount, deposit));
            } else {
                highest = amount;
            }
            vm.prank(provider.addr);
            drain.claim(channelId, amount, nonce, signature);
        }
        assertUsdc(provider.addr, highest);
        assertUsdc(address(drain), deposit - highest);
        assertEq(drain.getBalance(channelId), deposit - highest);
    }

    /// @dev It goes through exactly when claimed <= payAmount <= amount <= deposit, and then pays exactly that.
    function testFuzz_claimAndClose_keepsTheOrder(
        uint64 deposit,
        uint256 claimed,
        uint256 amount,
        uint256 payAmount,
        bool anywhere
    ) public {
        deposit = uint64(bound(deposit, 1, 1_000_000e6));
        claimed = bound(claimed, 0, deposit);
        if (!anywhere) {
            amount = bound(amount, 0, uint256(deposit) + deposit / 8 + 1);
            payAmount = bound(payAmount, 0, amount + amount / 8 + 1);
        }
        uint256 funds = usdc.balanceOf(consumer.addr);
        bytes32 channelId = openChannel(deposit, DURATION);
        if (claimed > 0) claim(channelId, claimed);

        bool valid = claimed <= payAmount && payAmount <= amount && amount <= deposit;
        bytes memory signature = signVoucher(consumer, channelId, amount, 7);
        if (!valid) vm.expectRevert();
        vm.prank(provider.addr);
        drain.claimAndClose(channelId, amount, 7, payAmount, signature);

        assertUsdc(provider.addr, valid ? payAmount : claimed);
        assertUsdc(consumer.addr, valid ? funds - payAmount : funds - deposit);
        assertUsdc(address(drain), valid ? 0 : deposit - claimed);
    }

    /// @dev It goes through exactly when claimed <= finalAmount <= deposit, and then pays exactly that.
    function testFuzz_cooperativeClose_keepsTheOrder(
        uint64 deposit,
        uint256 claimed,
        uint256 finalAmount,
        bool anywhere
    ) public {
        deposit = uint64(bound(deposit, 1, 1_000_000e6));
        claimed = bound(claimed, 0, deposit);
        if (!anywhere) finalAmount = bound(finalAmount, 0, uint256(deposit) + deposit / 8 + 1);
        uint256 funds = usdc.balanceOf(consumer.addr);
        bytes32 channelId = openChannel(deposit, DURATION);
        if (claimed > 0) claim(channelId, claimed);

        bool valid = claimed <= finalAmount && finalAmount <= deposit;
        bytes memory signature = signCloseAuthorization(provider, channelId, finalAmount);
        if (!valid) vm.expectRevert();
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, finalAmount, signature);

        assertUsdc(provider.addr, valid ? finalAmount : claimed);
        assertUsdc(consumer.addr, valid ? funds - finalAmount : funds - deposit);
        assertUsdc(address(drain), valid ? 0 : deposit - claimed);
    }

    /// @dev Open exactly from expiry on.
    function testFuzz_close_worksFromExpiryOn(uint256 duration, uint256 elapsed) public {
        duration = bound(duration, 1, 365 days);
        elapsed = bound(elapsed, 0, 2 * duration);
        bytes32 channelId = openChannel(DEPOSIT, duration);
        vm.warp(NOW + elapsed);
        if (elapsed < duration) {
            vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NotExpired.selector, NOW + elapsed, NOW + duration));
        }
        close(channelId);
        assertUsdc(address(drain), elapsed < duration ? DEPOSIT : 0);
    }

    /// @dev No fee is above its rate, none is lost, and none touches the consumer.
    function testFuzz_fee_isTakenFromTheProvider(uint16 bps, uint64 deposit, uint256 payAmount, bool blocked) public {
        bps = uint16(bound(bps, 0, 1000));
        deposit = uint64(bound(deposit, 1, 1_000_000e6));
        payAmount = bound(payAmount, 0, deposit);
        drain = deployDrain(feeRecipient, bps);
        approveDrain(consumer.addr);
        uint256 funds = usdc.balanceOf(consumer.addr);
        bytes32 channelId = openChannel(deposit, DURATION);
        if (blocked) blockUsdc(feeRecipient);

        claimAndClose(channelId, payAmount);

        uint256 fee = blocked ? 0 : payAmount * bps / 10_000;
        assertUsdc(feeRecipient, fee);
        assertUsdc(provider.addr, payAmount - fee);
        assertUsdc(consumer.addr, funds - payAmount);
        assertUsdc(address(drain), 0);
    }

    /// @dev Bytes that nobody signed claim nothing.
    function testFuzz_signature_refusesRandomBytes(bytes calldata signature) public {
        bytes32 channelId = openChannel();
        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
    }

    /// @dev Nor do 65 random bytes with a proper v.
    function testFuzz_signature_refusesRandomPoints(bytes32 r, bytes32 s, bool v) public {
        bytes32 channelId = openChannel();
        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, abi.encodePacked(r, s, v ? 27 : 28));
    }

    /// @dev Nor does a signature with one bit changed.
    function testFuzz_signature_refusesOneBitChanged(uint256 bit) public {
        bytes32 channelId = openChannel();
        bytes memory signature = signVoucher(consumer, channelId, 1_000_000, 1);
        bit = bound(bit, 0, signature.length * 8 - 1);
        signature[bit / 8] ^= bytes1(uint8(2 ** (bit % 8)));
        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
    }

    /// @dev Only the consumer's own key counts, and each of them does.
    function testFuzz_signature_acceptsTheConsumersOnly(uint256 key, uint256 otherKey, uint256 nonce) public {
        key = boundPrivateKey(key);
        otherKey = boundPrivateKey(otherKey);
        consumer = Account(vm.addr(key), key);
        Account memory other = Account(vm.addr(otherKey), otherKey);
        vm.assume(key != otherKey && consumer.addr != provider.addr);
        fund(consumer.addr, DEPOSIT);
        bytes32 channelId = openChannel();

        bytes memory signature = signVoucher(other, channelId, 1_000_000, nonce);
        expectInvalidSignature(other.addr, consumer.addr);
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, nonce, signature);

        signature = signVoucher(consumer, channelId, 1_000_000, nonce);
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, nonce, signature);
        assertUsdc(provider.addr, 1_000_000);
    }

    /// @dev A relayed opening is stored as it was signed, and by no other sender otherwise.
    function testFuzz_openWithAuthorization_storesWhatWasSigned(
        IDrainChannel.Opening memory opening,
        address sender,
        uint256 validAfter,
        uint256 validBefore
    ) public {
        opening.consumer = consumer.addr;
        vm.assume(opening.provider != address(0) && opening.provider != consumer.addr);
        vm.assume(opening.provider != address(drain) && opening.provider != opening.signer);
        opening.amount = bound(opening.amount, 1, 1_000_000e6);
        opening.duration = bound(opening.duration, 1, 365 days);
        validAfter = bound(validAfter, 0, NOW - 1);
        validBefore = bound(validBefore, NOW + 1, type(uint256).max);
        bytes memory signature = signAuthorization(consumer, opening, validAfter, validBefore);
        vm.prank(sender);
        bytes32 channelId = drain.openWithAuthorization(opening, validAfter, validBefore, signature);
        assertEq(channelId, idOf(1, opening));
        assertChannel(channelId, consumer.addr, opening.provider, opening.amount, 0, NOW + opening.duration);
        assertUsdc(address(drain), opening.amount);
    }

    /// @dev One bit of anything that is sent: the token refuses it, or `open`'s rules do.
    function testFuzz_openWithAuthorization_refusesOneBitChanged(uint256 bit) public {
        IDrainChannel.Opening memory opening = relayedOpening(keccak256("salt"));
        bytes memory signature = signAuthorization(consumer, opening, 0, NOW + 10 minutes);
        bytes memory terms = abi.encode(opening, 0, NOW + 10 minutes);
        bit = bound(bit, 0, (terms.length + signature.length) * 8 - 1);
        bytes memory changed = bit < terms.length * 8 ? terms : signature;
        uint256 position = bit < terms.length * 8 ? bit : bit - terms.length * 8;
        changed[position / 8] ^= bytes1(uint8(2 ** (position % 8)));

        // Six words of the opening, two of the validity, the signature's offset behind them.
        bytes memory call = bytes.concat(
            drain.openWithAuthorization.selector, terms, abi.encode(9 * 32), abi.encode(signature.length), signature
        );
        (bool success,) = address(drain).call(call);
        assertFalse(success);
        assertUsdc(address(drain), 0);
    }

    /// @dev A session key's voucher counts on channels of either kind, with any opening.
    function testFuzz_sessionKey_claims(
        uint256 key,
        bool relayed,
        bytes32 salt,
        uint256 duration,
        uint256 amount,
        uint256 nonce
    ) public {
        sessionKey = Account(vm.addr(boundPrivateKey(key)), boundPrivateKey(key));
        vm.assume(sessionKey.addr != provider.addr);
        duration = bound(duration, 1, 365 days);
        amount = bound(amount, 1, DEPOSIT);
        IDrainChannel.Opening memory opening = relayedOpening(relayed ? salt : bytes32(0));
        opening.duration = duration;
        bytes32 channelId;
        if (relayed) {
            channelId = openWithAuthorization(opening);
        } else {
            vm.prank(consumer.addr);
            channelId = drain.openWithSigner(provider.addr, DEPOSIT, duration, sessionKey.addr);
        }
        bytes memory proof = proofOf(relayed ? 1 : 0, opening);
        bytes memory signature = signWithProof(sessionKey, channelId, amount, nonce, proof);
        vm.prank(provider.addr);
        drain.claim(channelId, amount, nonce, signature);
        assertUsdc(provider.addr, amount);
    }

    /// @dev Nor does it with one bit changed, in the signature or in the proof.
    function testFuzz_sessionKey_refusesOneBitChanged(uint256 bit) public {
        bytes32 channelId = openWithSigner();
        bytes memory signature = signWithProof(sessionKey, channelId, 1_000_000, 1, proofOf(0, directOpening(0)));
        bit = bound(bit, 0, signature.length * 8 - 1);
        signature[bit / 8] ^= bytes1(uint8(2 ** (bit % 8)));
        expectInvalidSignature();
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
    }

    /// @dev Nor do random words behind anyone's signature.
    function testFuzz_sessionKey_refusesRandomProofs(bytes32[4] memory words, uint256 key, bool named) public {
        bytes32 channelId = openWithSigner();
        Account memory anyone = Account(vm.addr(boundPrivateKey(key)), boundPrivateKey(key));
        if (named) words[2] = bytes32(uint256(uint160(anyone.addr)));
        bytes memory signature =
            signWithProof(anyone, channelId, 1_000_000, 1, abi.encodePacked(words[0], words[1], words[2], words[3]));
        expectInvalidSignature(address(0), consumer.addr);
        vm.prank(provider.addr);
        drain.claim(channelId, 1_000_000, 1, signature);
    }

    /// @dev A batch of anything pays what claim by claim would have paid, and never reverts.
    function testFuzz_claimBatch_paysWhatCanBePaid(uint256 seed, uint16 bps, bool blocked) public {
        bps = uint16(bound(bps, 0, 1000));
        drain = deployDrain(feeRecipient, bps);
        approveDrain(consumer.addr);
        bytes32[3] memory channelIds = [openChannel(), openWithSigner(), keccak256("unknown")];
        bytes memory proof = proofOf(0, directOpening(1));
        if (blocked) blockUsdc(feeRecipient);

        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](12);
        uint256[3] memory claimed;
        uint256 payout;
        uint256 fee;
        for (uint256 i = 0; i < claims.length; i++) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint256 which = random % 8 % 3;
            // Around what is in order, or anywhere.
            uint256 amount = random >> 8 & 15 == 0 ? random : bound(random >> 16, 0, DEPOSIT + DEPOSIT / 8);
            uint256 payAmount = random >> 12 & 15 == 0 ? random << 7 : bound(random >> 80, 0, amount);
            uint256 form = random >> 144 & 7;
            claims[i] = IDrainChannel.Claim(channelIds[which], amount, random, payAmount, "");
            claims[i].signature = signatureOf(form, claims[i], proof);

            bool signed = form < 4 || (form < 6 && which == 1);
            if (signed && which < 2 && claimed[which] < payAmount && payAmount <= amount && amount <= DEPOSIT) {
                payout += payAmount - claimed[which];
                fee += (payAmount - claimed[which]) * bps / 10_000;
                claimed[which] = payAmount;
            }
        }
        if (blocked) fee = 0;

        vm.prank(provider.addr);
        assertEq(drain.claimBatch(claims), payout);
        assertUsdc(feeRecipient, fee);
        assertUsdc(provider.addr, payout - fee);
        assertUsdc(address(drain), 2 * DEPOSIT - payout);
        assertChannel(channelIds[0], consumer.addr, provider.addr, DEPOSIT, claimed[0], EXPIRY);
        assertChannel(channelIds[1], consumer.addr, provider.addr, DEPOSIT, claimed[1], EXPIRY);
        assertNoChannel(channelIds[2]);
    }

    /// @dev 0 to 3 the consumer's, 4 and 5 the session key's, 6 and 7 nobody's.
    function signatureOf(uint256 form, IDrainChannel.Claim memory entry, bytes memory proof)
        private
        view
        returns (bytes memory)
    {
        if (form < 4) return signVoucher(consumer, entry.channelId, entry.amount, entry.nonce);
        if (form < 6) return signWithProof(sessionKey, entry.channelId, entry.amount, entry.nonce, proof);
        if (form == 6) return signVoucher(stranger, entry.channelId, entry.amount, entry.nonce);
        return abi.encodePacked(new bytes(entry.nonce % 256));
    }

    /// @dev Signatures of any bytes never revert a batch, nor pay.
    function testFuzz_claimBatch_skipsRandomSignatures(bytes memory signature, bytes memory proof) public {
        bytes32 channelId = openWithSigner();
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](3);
        claims[0] = IDrainChannel.Claim(channelId, 1_000_000, 1, 1_000_000, signature);
        claims[1] = IDrainChannel.Claim(
            channelId, 1_000_000, 1, 1_000_000, signWithProof(sessionKey, channelId, 1_000_000, 1, proof)
        );
        bytes memory whole = abi.encodePacked(bytes.concat(signature, proof), new bytes(193));
        assembly ("memory-safe") {
            mstore(whole, 193)
        }
        claims[2] = IDrainChannel.Claim(channelId, 1_000_000, 1, 1_000_000, whole);
        vm.prank(provider.addr);
        assertEq(drain.claimBatch(claims), 0);
    }

    /// @dev Open to anyone exactly from a day after expiry on.
    function testFuzz_closeFor_worksFromADayAfterExpiry(uint256 duration, uint256 elapsed, address sender) public {
        duration = bound(duration, 1, 365 days);
        elapsed = bound(elapsed, 0, 2 * (duration + 1 days));
        uint256 funds = usdc.balanceOf(consumer.addr);
        bytes32 channelId = openChannel(DEPOSIT, duration);
        vm.warp(NOW + elapsed);
        bool early = elapsed < duration + 1 days;
        if (early) {
            vm.expectRevert(
                abi.encodeWithSelector(IDrainChannel.NotExpired.selector, NOW + elapsed, NOW + duration + 1 days)
            );
        }
        vm.prank(sender);
        drain.closeFor(channelId);
        assertUsdc(address(drain), early ? DEPOSIT : 0);
        assertUsdc(consumer.addr, early ? funds - DEPOSIT : funds);
    }

    /// @dev Two openings that differ in anything have different ids.
    function testFuzz_computeChannelId_isInjective(
        uint256 kind,
        IDrainChannel.Opening memory opening,
        uint256 otherKind,
        IDrainChannel.Opening memory other
    ) public view {
        bool equal = kind == otherKind && keccak256(abi.encode(opening)) == keccak256(abi.encode(other));
        assertEq(drain.computeChannelId(kind, opening) == drain.computeChannelId(otherKind, other), equal);
        assertEq(drain.computeChannelId(kind, opening), drain.computeChannelId(kind, opening));
    }

    /// @dev Many channels, closed in every way: each party ends with what the channels say, and nothing is left over.
    function testFuzz_flows_leaveNothingBehind(uint256 seed) public {
        uint256 funds = usdc.balanceOf(consumer.addr);
        uint256 paid;
        for (uint256 i = 0; i < 8; i++) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint256 deposit = bound(random, 1, 100e6);
            uint256 first = bound(random >> 64, 0, deposit);
            uint256 last = bound(random >> 128, first, deposit);
            bytes32 channelId = openChannel(deposit, DURATION);
            if (first > 0) claim(channelId, first);

            if (random % 3 == 0) {
                claimAndClose(channelId, last);
                paid += last;
            } else if (random % 3 == 1) {
                cooperativeClose(channelId, last);
                paid += last;
            } else {
                skip(DURATION);
                close(channelId);
                paid += first;
            }
            assertNoChannel(channelId);
        }
        assertUsdc(provider.addr, paid);
        assertUsdc(consumer.addr, funds - paid);
        assertUsdc(address(drain), 0);
    }
}
