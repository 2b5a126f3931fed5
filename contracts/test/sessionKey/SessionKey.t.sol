// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";

/// @notice Vouchers of session keys, on a relayed channel, each in all three functions that take vouchers.
contract SessionKeyTest is DrainTest {
    uint256 private constant AMOUNT = 1_000_000;

    IDrainChannel.Opening private opening;
    bytes32 private channelId;
    bytes private proof;

    function setUp() public override {
        super.setUp();
        opening = relayedOpening(keccak256("salt"));
        proof = proofOf(1, opening);
        channelId = openWithAuthorization(opening);
    }

    function claimWith(bytes memory signature) private {
        vm.prank(provider.addr);
        drain.claim(channelId, AMOUNT, 1, signature);
    }

    function claimAndCloseWith(bytes memory signature) private {
        vm.prank(provider.addr);
        drain.claimAndClose(channelId, AMOUNT, 1, AMOUNT, signature);
    }

    function claimBatchWith(bytes memory signature) private returns (uint256) {
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](1);
        claims[0] = IDrainChannel.Claim(channelId, AMOUNT, 1, AMOUNT, signature);
        vm.prank(provider.addr);
        return drain.claimBatch(claims);
    }

    function signed() private view returns (bytes memory) {
        return signWithProof(sessionKey, channelId, AMOUNT, 1, proof);
    }

    function expectRefused(bytes memory signature, address recovered, address expected) private {
        uint256 claimed = DEPOSIT - drain.getBalance(channelId);
        expectInvalidSignature(recovered, expected);
        claimWith(signature);
        expectInvalidSignature(recovered, expected);
        claimAndCloseWith(signature);
        assertEq(claimBatchWith(signature), 0, "batch");
        assertClaimed(channelId, claimed);
    }

    /// @dev The session key's signature is good, but what is behind it proves nothing.
    function expectNotProven(bytes memory wrong) private {
        expectRefused(signWithProof(sessionKey, channelId, AMOUNT, 1, wrong), address(0), consumer.addr);
    }

    // ----------------------------------------------------------------------------------------------------------- accepted

    function test_sessionKey_claims() public {
        expectClaimed(channelId, AMOUNT);
        claimWith(signed());
        assertClaimed(channelId, AMOUNT);
        assertUsdc(provider.addr, AMOUNT);
    }

    function test_sessionKey_claimsAndCloses() public {
        claimAndCloseWith(signed());
        assertNoChannel(channelId);
        assertUsdc(provider.addr, AMOUNT);
    }

    function test_sessionKey_claimsInBatches() public {
        assertEq(claimBatchWith(signed()), AMOUNT);
        assertClaimed(channelId, AMOUNT);
    }

    function test_sessionKey_claimsOnDirectChannels() public {
        channelId = openWithSigner();
        proof = proofOf(0, directOpening(0));
        claimWith(signed());
        assertClaimed(channelId, AMOUNT);
    }

    function test_sessionKey_consumerCountsWithoutProof() public {
        claim(channelId, AMOUNT);
        assertClaimed(channelId, AMOUNT);
    }

    /// @dev One cumulative amount, whoever signs.
    function test_sessionKey_sharesTheAmountWithTheConsumer() public {
        claim(channelId, AMOUNT);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.NothingToClaim.selector, AMOUNT, AMOUNT));
        claimWith(signed());
    }

    // --------------------------------------------------------------------------------------------------- signed by others

    function test_sessionKey_refusedWithoutProof() public {
        expectRefused(signVoucher(sessionKey, channelId, AMOUNT, 1), sessionKey.addr, consumer.addr);
    }

    function test_sessionKey_proofMakesNobodyElseCount() public {
        expectRefused(signWithProof(stranger, channelId, AMOUNT, 1, proof), stranger.addr, sessionKey.addr);
        expectRefused(signWithProof(provider, channelId, AMOUNT, 1, proof), provider.addr, sessionKey.addr);
    }

    function test_sessionKey_consumerCountsNotWithProof() public {
        expectRefused(signWithProof(consumer, channelId, AMOUNT, 1, proof), consumer.addr, sessionKey.addr);
    }

    function test_sessionKey_signsNoCloseAuthorization() public {
        bytes memory signature = bytes.concat(signCloseAuthorization(sessionKey, channelId, AMOUNT), proof);
        expectInvalidSignature(address(0), provider.addr);
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, AMOUNT, signature);

        signature = bytes.concat(signCloseAuthorization(provider, channelId, AMOUNT), proof);
        expectInvalidSignature(address(0), provider.addr);
        vm.prank(consumer.addr);
        drain.cooperativeClose(channelId, AMOUNT, signature);
    }

    function test_sessionKey_ownsNothingElse() public {
        vm.startPrank(sessionKey.addr);
        expectNotProvider(sessionKey.addr);
        drain.claim(channelId, AMOUNT, 1, signed());
        vm.warp(EXPIRY);
        expectNotConsumer(sessionKey.addr);
        drain.close(channelId);
    }

    // ----------------------------------------------------------------------------------------------------- other vouchers

    function test_sessionKey_refusedForOtherVouchers() public {
        bytes memory otherAmount = signWithProof(sessionKey, channelId, AMOUNT + 1, 1, proof);
        bytes memory otherNonce = signWithProof(sessionKey, channelId, AMOUNT, 2, proof);
        bytes memory otherChannel = signWithProof(sessionKey, keccak256("other"), AMOUNT, 1, proof);
        bytes[3] memory signatures = [otherAmount, otherNonce, otherChannel];
        for (uint256 i = 0; i < signatures.length; i++) {
            expectInvalidSignature();
            claimWith(signatures[i]);
            expectInvalidSignature();
            claimAndCloseWith(signatures[i]);
            assertEq(claimBatchWith(signatures[i]), 0);
        }
    }

    function test_sessionKey_refusedForMalformedSignatures() public {
        bytes[] memory forms = malformedSignatures(sessionKey, digestOf(voucherHash(channelId, AMOUNT, 1)));
        for (uint256 i = 0; i < forms.length; i++) {
            bytes memory signature = bytes.concat(forms[i], proof);
            expectInvalidSignature();
            claimWith(signature);
            expectInvalidSignature();
            claimAndCloseWith(signature);
            assertEq(claimBatchWith(signature), 0);
        }
    }

    // ------------------------------------------------------------------------------------------------------- other proofs

    function test_sessionKey_refusedWhenAWordOfTheProofDiffers() public {
        IDrainChannel.Opening memory other = opening;
        expectNotProven(proofOf(0, opening));
        expectNotProven(proofOf(2, opening));
        expectNotProven(proofOf((1 << 255) + 1, opening));
        other.duration = DURATION + 1;
        expectNotProven(proofOf(1, other));
        other = opening;
        other.salt = bytes32(0);
        expectNotProven(proofOf(1, other));
        other = opening;
        other.signer = address(0);
        expectNotProven(proofOf(1, other));
    }

    /// @dev Anyone may name himself as signer; the id doesn't follow.
    function test_sessionKey_refusedWhenTheSignerNamesItself() public {
        IDrainChannel.Opening memory other = opening;
        other.signer = stranger.addr;
        expectRefused(signWithProof(stranger, channelId, AMOUNT, 1, proofOf(1, other)), address(0), consumer.addr);
        other.signer = provider.addr;
        expectRefused(signWithProof(provider, channelId, AMOUNT, 1, proofOf(1, other)), address(0), consumer.addr);
    }

    function test_sessionKey_refusedWithBitsAboveTheSigner() public {
        uint256 word = uint256(uint160(sessionKey.addr));
        uint256[3] memory dirty = [word | 1 << 160, word | 1 << 255, word | type(uint256).max << 160];
        for (uint256 i = 0; i < dirty.length; i++) {
            expectNotProven(abi.encode(1, opening.duration, dirty[i], opening.salt));
        }
    }

    function test_sessionKey_refusedWithTheProofOfAnotherChannel() public {
        IDrainChannel.Opening memory other = relayedOpening(keccak256("other"));
        openWithAuthorization(other);
        expectNotProven(proofOf(1, other));

        openWithSigner();
        expectNotProven(proofOf(0, directOpening(0)));
    }

    /// @dev Zero is what a malformed signature recovers to, so a proof of "no session key" must not expect it.
    function test_sessionKey_refusedOnAChannelWithoutOne() public {
        channelId = openChannel();
        IDrainChannel.Opening memory plain = directOpening(0);
        plain.signer = address(0);
        assertEq(idOf(0, plain), channelId, "the proof is right");
        expectNotProven(proofOf(0, plain));

        bytes memory nobody = abi.encodePacked(bytes32(0), bytes32(0), uint8(27), proofOf(0, plain));
        expectRefused(nobody, address(0), consumer.addr);
        nobody = abi.encodePacked(new bytes(65), proofOf(0, plain));
        expectRefused(nobody, address(0), consumer.addr);
    }

    function test_sessionKey_refusedAtOtherLengths() public {
        bytes memory whole = signed();
        assertEq(whole.length, 193);
        uint256[8] memory lengths = [uint256(0), 64, 66, 97, 129, 161, 192, 191];
        for (uint256 i = 0; i < lengths.length; i++) {
            bytes memory cut = signed();
            uint256 length = lengths[i];
            assembly ("memory-safe") {
                mstore(cut, length)
            }
            expectRefused(cut, address(0), consumer.addr);
        }
        expectRefused(bytes.concat(whole, hex"00"), address(0), consumer.addr);
        expectRefused(bytes.concat(whole, proof), address(0), consumer.addr);
        expectRefused(bytes.concat(whole, new bytes(63)), address(0), consumer.addr); // padded to whole words
    }

    // ------------------------------------------------------------------------------------------------------------- replay

    /// @dev The same opening on two contracts.
    function test_sessionKey_refusedOnAnotherContract() public {
        address contractThere = address(drain);
        bytes32 there = channelId = openWithSigner();
        proof = proofOf(0, directOpening(0));
        bytes memory signedThere = signed();

        drain = deployDrain(address(0), 0);
        approveDrain(consumer.addr);
        channelId = openWithSigner();
        assertNotEq(channelId, there);
        expectInvalidSignature();
        claimWith(signedThere);
        expectInvalidSignature(); // this channel's voucher, signed for the other contract
        claimWith(
            bytes.concat(
                sign(
                    sessionKey,
                    typedDataHash(domainSeparator(contractThere, block.chainid), voucherHash(channelId, AMOUNT, 1))
                ),
                proof
            )
        );
        claimWith(signed());
        assertClaimed(channelId, AMOUNT);
    }

    /// @dev After a fork that changes the chain id, the proof no longer leads to the channel's id; see IDrainChannel.
    function test_sessionKey_refusedAfterTheChainIdChanged() public {
        bytes memory before = signed();
        vm.chainId(80_002);
        expectRefused(before, address(0), consumer.addr);
        expectRefused(signed(), address(0), consumer.addr);

        claim(channelId, AMOUNT); // the consumer's own, signed for the new chain id
        assertClaimed(channelId, AMOUNT);
        vm.warp(EXPIRY);
        close(channelId);
        assertNoChannel(channelId);
    }

    function test_sessionKey_refusedAfterClose() public {
        bytes memory signature = signed();
        cooperativeClose(channelId, 0);
        expectChannelNotFound(channelId);
        claimWith(signature);
        assertEq(claimBatchWith(signature), 0);
    }
}
