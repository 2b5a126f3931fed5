// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {IPaymentChannel} from "../../src/interfaces/IPaymentChannel.sol";
import {DrainTest} from "../DrainTest.sol";

contract ClaimBatchTest is DrainTest {
    uint256 private constant AMOUNT = 1_000_000;

    bytes32[] private channelIds;

    function setUp() public override {
        super.setUp();
        openChannels();
    }

    function openChannels() private {
        delete channelIds;
        for (uint256 i = 0; i < 4; i++) {
            channelIds.push(openChannel());
        }
    }

    function entry(bytes32 channelId, uint256 amount, uint256 payAmount)
        private
        view
        returns (IDrainChannel.Claim memory)
    {
        return IDrainChannel.Claim(channelId, amount, 7, payAmount, signVoucher(consumer, channelId, amount, 7));
    }

    function entries() private view returns (IDrainChannel.Claim[] memory claims) {
        claims = new IDrainChannel.Claim[](4);
        for (uint256 i = 0; i < 4; i++) {
            claims[i] = entry(channelIds[i], AMOUNT + i, AMOUNT + i);
        }
    }

    function claimBatch(IDrainChannel.Claim[] memory claims) private returns (uint256) {
        vm.prank(provider.addr);
        return drain.claimBatch(claims);
    }

    function claimBatch(IDrainChannel.Claim memory first, IDrainChannel.Claim memory second) private returns (uint256) {
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](2);
        (claims[0], claims[1]) = (first, second);
        return claimBatch(claims);
    }

    /// @dev The bad entry comes between good ones, which are paid.
    function expectSkipped(IDrainChannel.Claim memory bad) private {
        uint256 snapshot = vm.snapshotState();
        (,,, uint256 before,) = drain.getChannel(bad.channelId);
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](3);
        claims[0] = entry(channelIds[2], AMOUNT, AMOUNT);
        claims[1] = bad;
        claims[2] = entry(channelIds[3], AMOUNT, AMOUNT);
        uint256 held = usdc.balanceOf(provider.addr);
        vm.recordLogs();
        assertEq(claimBatch(claims), 2 * AMOUNT, "payout");
        assertEq(countLogs(address(drain), IPaymentChannel.ChannelClaimed.selector), 2, "events");
        assertUsdc(provider.addr, held + 2 * AMOUNT);
        (,,, uint256 claimed,) = drain.getChannel(bad.channelId);
        assertEq(claimed, before, "claimed");
        vm.revertToState(snapshot);
    }

    // ---------------------------------------------------------------------------------------------------- what it pays

    function test_claimBatch_paysAllWithOneTransfer() public {
        IDrainChannel.Claim[] memory claims = entries();
        for (uint256 i = 0; i < 4; i++) {
            expectClaimed(channelIds[i], AMOUNT + i);
        }
        vm.recordLogs();
        uint256 payout = claimBatch(claims);
        Vm.Log[] memory logs = vm.getRecordedLogs();

        assertEq(payout, 4 * AMOUNT + 6);
        assertUsdc(provider.addr, payout);
        assertUsdc(address(drain), 4 * DEPOSIT - payout);
        assertEq(countLogs(logs, address(usdc), IERC20.Transfer.selector), 1);
        assertEq(logs.length, 5);
        for (uint256 i = 0; i < 4; i++) {
            assertClaimed(channelIds[i], AMOUNT + i);
        }
    }

    function test_claimBatch_paysWhatWasChargedNotWhatWasSigned() public {
        assertEq(claimBatch(entry(channelIds[0], DEPOSIT, AMOUNT), entry(channelIds[1], AMOUNT, 1)), AMOUNT + 1);
        assertClaimed(channelIds[0], AMOUNT);
        assertClaimed(channelIds[1], 1);
        assertUsdc(provider.addr, AMOUNT + 1);
    }

    function test_claimBatch_paysTheDifferenceOnly() public {
        claim(channelIds[0], AMOUNT);
        expectClaimed(channelIds[0], 500_000);
        assertEq(
            claimBatch(entry(channelIds[0], DEPOSIT, AMOUNT + 500_000), entry(channelIds[1], AMOUNT, AMOUNT)),
            AMOUNT + 500_000
        );
        assertUsdc(provider.addr, 2 * AMOUNT + 500_000);
    }

    function test_claimBatch_paysTheWholeDeposit() public {
        assertEq(
            claimBatch(entry(channelIds[0], DEPOSIT, DEPOSIT), entry(channelIds[1], DEPOSIT, DEPOSIT)), 2 * DEPOSIT
        );
        assertUsdc(address(drain), 2 * DEPOSIT);
    }

    function test_claimBatch_paysAfterExpiry() public {
        vm.warp(EXPIRY + 30 days);
        assertEq(claimBatch(entries()), 4 * AMOUNT + 6);
    }

    function test_claimBatch_paysForManyConsumersAndSessionKeys() public {
        (Account memory first, Account memory second) = (consumer, makeAccount("second consumer"));
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](3);
        claims[0] = entry(channelIds[0], AMOUNT, AMOUNT);

        consumer = second;
        fund(second.addr, DEPOSIT);
        bytes32 channelId = openChannel();
        claims[1] = entry(channelId, AMOUNT, AMOUNT);

        consumer = first;
        IDrainChannel.Opening memory opening = relayedOpening(keccak256("salt"));
        channelId = openWithAuthorization(opening);
        claims[2] = IDrainChannel.Claim(
            channelId, AMOUNT, 1, AMOUNT, signWithProof(sessionKey, channelId, AMOUNT, 1, proofOf(1, opening))
        );
        assertEq(claimBatch(claims), 3 * AMOUNT);
    }

    function test_claimBatch_paysNothingForNoEntries() public {
        pauseUsdc(); // the token is not even asked
        vm.recordLogs();
        assertEq(claimBatch(new IDrainChannel.Claim[](0)), 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_claimBatch_paysNothingWhenNoEntryCanBePaid() public {
        IDrainChannel.Claim[] memory claims = entries();
        claimBatch(claims);
        pauseUsdc();
        vm.recordLogs();
        assertEq(claimBatch(claims), 0);
        vm.prank(stranger.addr);
        assertEq(drain.claimBatch(claims), 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    // ------------------------------------------------------------------------------------------------------- duplicates

    function test_claimBatch_paysADuplicateOnce() public {
        IDrainChannel.Claim memory same = entry(channelIds[0], AMOUNT, AMOUNT);
        vm.recordLogs();
        assertEq(claimBatch(same, same), AMOUNT);
        assertEq(countLogs(address(drain), IPaymentChannel.ChannelClaimed.selector), 1);
        assertUsdc(provider.addr, AMOUNT);
    }

    function test_claimBatch_paysRisingAmountsOfOneChannelInAll() public {
        expectClaimed(channelIds[0], AMOUNT);
        expectClaimed(channelIds[0], 2 * AMOUNT);
        assertEq(
            claimBatch(entry(channelIds[0], AMOUNT, AMOUNT), entry(channelIds[0], 3 * AMOUNT, 3 * AMOUNT)), 3 * AMOUNT
        );
        assertClaimed(channelIds[0], 3 * AMOUNT);
        assertUsdc(provider.addr, 3 * AMOUNT);
    }

    function test_claimBatch_paysTheFirstOfFallingAmounts() public {
        assertEq(
            claimBatch(entry(channelIds[0], 3 * AMOUNT, 3 * AMOUNT), entry(channelIds[0], AMOUNT, AMOUNT)), 3 * AMOUNT
        );
        assertClaimed(channelIds[0], 3 * AMOUNT);
        assertUsdc(provider.addr, 3 * AMOUNT);
    }

    function test_claimBatch_neverPaysMoreThanTheDeposit() public {
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](20);
        for (uint256 i = 0; i < claims.length; i++) {
            claims[i] = entry(channelIds[0], DEPOSIT, i < 10 ? DEPOSIT / 10 * (i + 1) : DEPOSIT);
        }
        assertEq(claimBatch(claims), DEPOSIT);
        assertUsdc(address(drain), 3 * DEPOSIT);
    }

    // ------------------------------------------------------------------------------------------------- skipped entries

    function test_claimBatch_skipsUnknownAndClosedChannels() public {
        expectSkipped(entry(keccak256("unknown"), AMOUNT, AMOUNT));
        expectSkipped(entry(bytes32(0), AMOUNT, AMOUNT));
        expectSkipped(entry(keccak256("unknown"), 0, 0));
        cooperativeClose(channelIds[0], 0);
        expectSkipped(entry(channelIds[0], AMOUNT, AMOUNT));
    }

    function test_claimBatch_skipsOtherProvidersChannels() public {
        vm.prank(consumer.addr);
        bytes32 theirs = drain.open(stranger.addr, DEPOSIT, DURATION);
        expectSkipped(entry(theirs, AMOUNT, AMOUNT));
    }

    function test_claimBatch_skipsStaleEntries() public {
        claim(channelIds[0], 2 * AMOUNT);
        expectSkipped(entry(channelIds[0], 2 * AMOUNT, 2 * AMOUNT));
        expectSkipped(entry(channelIds[0], AMOUNT, AMOUNT));
        expectSkipped(entry(channelIds[0], 3 * AMOUNT, 2 * AMOUNT));
        expectSkipped(entry(channelIds[0], 3 * AMOUNT, AMOUNT));
        expectSkipped(entry(channelIds[0], 3 * AMOUNT, 0));
        expectSkipped(entry(channelIds[1], 0, 0));
        expectSkipped(entry(channelIds[1], AMOUNT, 0));
    }

    function test_claimBatch_skipsWhatExceedsTheVoucher() public {
        expectSkipped(entry(channelIds[0], AMOUNT, AMOUNT + 1));
        expectSkipped(entry(channelIds[0], AMOUNT, DEPOSIT));
        expectSkipped(entry(channelIds[0], AMOUNT, type(uint256).max));
    }

    function test_claimBatch_skipsWhatExceedsTheDeposit() public {
        expectSkipped(entry(channelIds[0], DEPOSIT + 1, DEPOSIT + 1));
        expectSkipped(entry(channelIds[0], DEPOSIT + 1, AMOUNT)); // as in claimAndClose: such a voucher is worth nothing
        expectSkipped(entry(channelIds[0], type(uint256).max, DEPOSIT));
    }

    /// @dev Values that would be in order if they were cut to the width of a field.
    function test_claimBatch_skipsWhatWouldBeCutOff() public {
        uint256[5] memory widths = [uint256(32), 64, 96, 128, 160];
        for (uint256 i = 0; i < widths.length; i++) {
            uint256 wide = (1 << widths[i]) + AMOUNT;
            expectSkipped(entry(channelIds[0], wide, wide));
            expectSkipped(entry(channelIds[0], wide, AMOUNT));
            expectSkipped(entry(channelIds[0], AMOUNT, wide));
        }
        expectSkipped(entry(channelIds[0], type(uint256).max, type(uint256).max));
    }

    function test_claimBatch_skipsOthersSignatures() public {
        IDrainChannel.Claim memory bad = entry(channelIds[0], AMOUNT, AMOUNT);
        bad.signature = signVoucher(stranger, channelIds[0], AMOUNT, 7);
        expectSkipped(bad);
        bad.signature = signVoucher(provider, channelIds[0], AMOUNT, 7);
        expectSkipped(bad);
    }

    function test_claimBatch_skipsSignaturesOfOtherVouchers() public {
        IDrainChannel.Claim memory bad = entry(channelIds[0], AMOUNT, AMOUNT);
        bad.nonce = 8;
        expectSkipped(bad);
        bad = entry(channelIds[0], AMOUNT, AMOUNT);
        bad.amount = AMOUNT + 1; // the payment is still within what was signed
        expectSkipped(bad);
        bad = entry(channelIds[0], AMOUNT, AMOUNT);
        bad.channelId = channelIds[1];
        expectSkipped(bad);
        // What is signed is the amount, not what is taken.
        bad = entry(channelIds[0], DEPOSIT, AMOUNT);
        bad.signature = signVoucher(consumer, channelIds[0], AMOUNT, 7);
        expectSkipped(bad);
    }

    function test_claimBatch_skipsMalformedSignatures() public {
        IDrainChannel.Claim memory bad = entry(channelIds[0], AMOUNT, AMOUNT);
        bytes[] memory forms = malformedSignatures(consumer, digestOf(voucherHash(channelIds[0], AMOUNT, 7)));
        for (uint256 i = 0; i < forms.length; i++) {
            bad.signature = forms[i];
            expectSkipped(bad);
        }
    }

    function test_claimBatch_skipsSignaturesOfBadLength() public {
        IDrainChannel.Claim memory bad = entry(channelIds[0], AMOUNT, AMOUNT);
        uint256[9] memory lengths = [uint256(1), 32, 64, 66, 130, 192, 193, 194, 4096];
        for (uint256 i = 0; i < lengths.length; i++) {
            bad.signature = new bytes(lengths[i]);
            expectSkipped(bad);
            for (uint256 j = 0; j < lengths[i]; j++) {
                bad.signature[j] = 0xff;
            }
            expectSkipped(bad);
        }
    }

    /// @dev An unknown channel's provider is zero, which only a simulated call can come from.
    function test_claimBatch_skipsUnknownChannelsOfTheZeroAddress() public {
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](2);
        claims[0] = entry(keccak256("unknown"), AMOUNT, AMOUNT);
        claims[1] = IDrainChannel.Claim(keccak256("unknown"), 0, 0, 0, "");
        vm.prank(address(0));
        assertEq(drain.claimBatch(claims), 0);
    }

    // ----------------------------------------------------------------------------------------------------------- reverts

    function test_claimBatch_revertsWhenProviderIsBlocked() public {
        IDrainChannel.Claim[] memory claims = entries();
        blockUsdc(provider.addr);
        vm.expectRevert("Blacklistable: account is blacklisted");
        claimBatch(claims);
        assertClaimed(channelIds[0], 0);
        unblockUsdc(provider.addr);
        assertEq(claimBatch(claims), 4 * AMOUNT + 6);
    }

    function test_claimBatch_paysWhenConsumerIsBlocked() public {
        blockUsdc(consumer.addr);
        assertEq(claimBatch(entries()), 4 * AMOUNT + 6);
    }

    /// @dev An entry that points outside of the calldata reverts the whole call, which is its sender's own.
    function test_claimBatch_revertsWhenNotEncodedByTheAbi() public {
        IDrainChannel.Claim[] memory claims = entries();
        bytes memory call = abi.encodeCall(drain.claimBatch, (claims));
        // selector, offset, length, four offsets of entries; the first entry's fifth word is its signature's offset.
        uint256[3] memory words = [uint256(4), 4 + 2 * 32, 4 + 10 * 32];
        for (uint256 i = 0; i < words.length; i++) {
            bytes memory broken = bytes.concat(call);
            uint256 position = words[i];
            assembly ("memory-safe") {
                mstore(add(add(broken, 0x20), position), shr(1, not(0)))
            }
            vm.prank(provider.addr);
            (bool success,) = address(drain).call(broken);
            assertFalse(success);
        }
        vm.prank(provider.addr);
        (bool cutOff,) = address(drain).call(abi.encodePacked(drain.claimBatch.selector));
        assertFalse(cutOff);
        assertClaimed(channelIds[0], 0);

        vm.prank(provider.addr);
        (bool whole,) = address(drain).call(call);
        assertTrue(whole);
    }

    // --------------------------------------------------------------------------------------------------------------- fee

    function deployWithFee(address recipient, uint16 bps) private {
        drain = deployDrain(recipient, bps);
        approveDrain(consumer.addr);
        openChannels();
    }

    function test_claimBatch_movesTheFeesAtOnce() public {
        deployWithFee(feeRecipient, 200);
        IDrainChannel.Claim[] memory claims = entries();
        for (uint256 i = 0; i < 4; i++) {
            expectClaimed(channelIds[i], AMOUNT + i);
        }
        vm.expectEmit(address(usdc));
        emit IERC20.Transfer(address(drain), feeRecipient, 80_000);
        for (uint256 i = 0; i < 4; i++) {
            expectFeePaid(channelIds[i], 20_000);
        }
        vm.expectEmit(address(usdc));
        emit IERC20.Transfer(address(drain), provider.addr, 4 * AMOUNT + 6 - 80_000);

        assertEq(claimBatch(claims), 4 * AMOUNT + 6, "before the fee");
        assertUsdc(feeRecipient, 80_000);
        assertUsdc(provider.addr, 4 * AMOUNT + 6 - 80_000);
    }

    function test_claimBatch_roundsTheFeeOfEachEntry() public {
        deployWithFee(feeRecipient, 200);
        IDrainChannel.Claim[] memory claims = new IDrainChannel.Claim[](3);
        claims[0] = entry(channelIds[0], 49, 49); // 0.98
        claims[1] = entry(channelIds[1], 99, 99); // 1.98
        claims[2] = entry(channelIds[2], 49, 49); // 0.98
        expectFeePaid(channelIds[1], 1);
        vm.recordLogs();
        assertEq(claimBatch(claims), 197);
        assertEq(countLogs(address(drain), IDrainChannel.FeePaid.selector), 1);
        assertUsdc(feeRecipient, 1);
        assertUsdc(provider.addr, 196);
    }

    function test_claimBatch_takesNoFeeWhenAllRoundDown() public {
        deployWithFee(feeRecipient, 200);
        vm.recordLogs();
        assertEq(claimBatch(entry(channelIds[0], 49, 49), entry(channelIds[1], 49, 49)), 98);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(countLogs(logs, address(drain), IDrainChannel.FeePaid.selector), 0);
        assertEq(countLogs(logs, address(usdc), IERC20.Transfer.selector), 1);
        assertUsdc(provider.addr, 98);
    }

    function test_claimBatch_takesNoFeeOfSkippedEntries() public {
        deployWithFee(feeRecipient, 200);
        IDrainChannel.Claim memory bad = entry(channelIds[0], AMOUNT, AMOUNT + 1);
        expectFeePaid(channelIds[1], 20_000);
        assertEq(claimBatch(bad, entry(channelIds[1], AMOUNT, AMOUNT)), AMOUNT);
        assertUsdc(feeRecipient, 20_000);
        assertUsdc(provider.addr, AMOUNT - 20_000);
    }

    function test_claimBatch_skipsTheFeeWhenRecipientIsBlocked() public {
        deployWithFee(feeRecipient, 200);
        blockUsdc(feeRecipient);
        vm.recordLogs();
        assertEq(claimBatch(entries()), 4 * AMOUNT + 6);
        assertEq(countLogs(address(drain), IDrainChannel.FeePaid.selector), 0);
        assertUsdc(provider.addr, 4 * AMOUNT + 6);
        assertUsdc(feeRecipient, 0);
    }

    function test_claimBatch_skipsTheFeeWhenItsTransferReturnsFalse() public {
        deployWithFee(feeRecipient, 200);
        vm.mockCall(address(usdc), abi.encodeCall(IERC20.transfer, (feeRecipient, 80_000)), abi.encode(false));
        vm.recordLogs();
        claimBatch(entries());
        assertEq(countLogs(address(drain), IDrainChannel.FeePaid.selector), 0);
        assertUsdc(provider.addr, 4 * AMOUNT + 6);
    }

    /// @dev As test_fee_cannotBeStarvedOfGas: whatever the gas limit, a batch that succeeds has paid the fee.
    function test_claimBatch_cannotStarveTheFeeOfGas() public {
        deployWithFee(feeRecipient, 200);
        mintUsdc(provider.addr, 1);
        bytes memory call = abi.encodeCall(drain.claimBatch, (entries()));

        bool failed;
        bool succeeded;
        for (uint256 gasLimit = 40_000; gasLimit < 260_000; gasLimit += 200) {
            uint256 snapshot = vm.snapshotState();
            vm.cool(address(usdc));
            vm.cool(address(drain));
            vm.prank(provider.addr);
            (bool success,) = address(drain).call{gas: gasLimit}(call);
            if (success) {
                succeeded = true;
                assertUsdc(feeRecipient, 80_000);
                assertUsdc(provider.addr, 1 + 4 * AMOUNT + 6 - 80_000);
            } else {
                failed = true;
                assertFalse(succeeded, "more gas, and it failed");
            }
            vm.revertToState(snapshot);
        }
        assertTrue(failed && succeeded, "the sweep covers both outcomes");
    }
}
