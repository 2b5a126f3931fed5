// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {DrainChannel} from "../../src/DrainChannel.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainTest} from "../DrainTest.sol";
import {CallingToken, Reentrant, WeirdToken} from "./WeirdToken.sol";

/// @notice Tokens that misbehave, behind SafeERC20: what didn't move was never counted. The deployment that DRAIN documents
/// is on USDC; this is for the others that somebody will make, and for a USDC that is upgraded badly.
contract WeirdTokensTest is DrainTest {
    using SafeERC20 for IERC20;

    uint16 private constant FEE_BPS = 200;

    WeirdToken private token;
    bytes32 private channelId;

    function setUp() public override {
        super.setUp();
        token = new WeirdToken();
        drain = new DrainChannel(IERC20(address(token)), feeRecipient, FEE_BPS);
        token.mint(consumer.addr, 100 * DEPOSIT);
        vm.prank(consumer.addr);
        token.approve(address(drain), type(uint256).max);
        channelId = openChannel();
    }

    function assertBalances(uint256 ofConsumer, uint256 ofProvider, uint256 ofRecipient, uint256 ofContract)
        private
        view
    {
        assertEq(token.balanceOf(consumer.addr), ofConsumer, "consumer");
        assertEq(token.balanceOf(provider.addr), ofProvider, "provider");
        assertEq(token.balanceOf(feeRecipient), ofRecipient, "fee recipient");
        assertEq(token.balanceOf(address(drain)), ofContract, "contract");
    }

    /// @dev With gas for any transaction, but not for a token that burns all of it again and again.
    function assertFails(address caller, bytes memory call) private {
        vm.prank(caller);
        (bool success,) = address(drain).call{gas: 5_000_000}(call);
        assertFalse(success);
    }

    /// @dev The manners in which nothing moves.
    function failures() private pure returns (WeirdToken.Manner[] memory manners) {
        manners = new WeirdToken.Manner[](8);
        manners[0] = WeirdToken.Manner.ReturnsFalse;
        manners[1] = WeirdToken.Manner.ReturnsTwo;
        manners[2] = WeirdToken.Manner.ReturnsFalseAndMore;
        manners[3] = WeirdToken.Manner.RevertsWithReason;
        manners[4] = WeirdToken.Manner.RevertsWithNothing;
        manners[5] = WeirdToken.Manner.RevertsWithALot;
        manners[6] = WeirdToken.Manner.BurnsAllGas;
        manners[7] = WeirdToken.Manner.Asserts;
    }

    function test_weird_openCreatesNothingWithoutTheDeposit() public {
        WeirdToken.Manner[] memory manners = failures();
        for (uint256 i = 0; i < manners.length; i++) {
            token.behave(manners[i]);
            uint256 nonce = drain.nonces(consumer.addr);
            bytes32 id = drain.computeChannelId(
                0, IDrainChannel.Opening(consumer.addr, provider.addr, DEPOSIT, DURATION, address(0), bytes32(nonce))
            );
            vm.expectRevert();
            openChannel();
            assertNoChannel(id);
            assertEq(drain.nonces(consumer.addr), nonce);
        }
        assertBalances(99 * DEPOSIT, 0, 0, DEPOSIT);
    }

    function test_weird_claimsAndClosesCountNothingThatDidNotMove() public {
        WeirdToken.Manner[] memory manners = failures();
        bytes memory voucher = signVoucher(consumer, channelId, 1_000_000, 1);
        bytes memory consent = signCloseAuthorization(provider, channelId, 1_000_000);
        IDrainChannel.Claim[] memory batch = new IDrainChannel.Claim[](1);
        batch[0] = IDrainChannel.Claim(channelId, 1_000_000, 1, 1_000_000, voucher);
        vm.warp(EXPIRY + 1 days);
        for (uint256 i = 0; i < manners.length; i++) {
            token.behave(manners[i]);
            assertFails(provider.addr, abi.encodeCall(drain.claim, (channelId, 1_000_000, 1, voucher)));
            assertFails(
                provider.addr, abi.encodeCall(drain.claimAndClose, (channelId, 1_000_000, 1, 1_000_000, voucher))
            );
            assertFails(provider.addr, abi.encodeCall(drain.claimBatch, (batch)));
            assertFails(consumer.addr, abi.encodeCall(drain.cooperativeClose, (channelId, 1_000_000, consent)));
            assertFails(consumer.addr, abi.encodeCall(drain.close, (channelId)));
            assertFails(stranger.addr, abi.encodeCall(drain.closeFor, (channelId)));
            assertClaimed(channelId, 0);
        }
        token.behave(WeirdToken.Manner.Good);
        claimAndClose(channelId, 1_000_000);
        assertBalances(100 * DEPOSIT - 1_000_000, 980_000, 20_000, 0);
    }

    function test_weird_failureNamesTheToken() public {
        token.behave(WeirdToken.Manner.ReturnsFalse);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        openChannel();
        token.behave(WeirdToken.Manner.RevertsWithReason);
        vm.expectRevert(bytes("weird"));
        openChannel();
    }

    function test_weird_refundThatFailsKeepsTheChannel() public {
        WeirdToken.Manner[] memory manners = failures();
        for (uint256 i = 0; i < manners.length; i++) {
            token.behaveTo(consumer.addr, manners[i]);
            vm.expectRevert();
            claimAndClose(channelId, 1_000_000);
            assertClaimed(channelId, 0);
        }
        claim(channelId, 1_000_000); // which refunds nobody
        assertBalances(99 * DEPOSIT, 980_000, 20_000, DEPOSIT - 1_000_000);
    }

    function test_weird_feeThatFailsStaysWithTheProvider() public {
        WeirdToken.Manner[] memory manners = failures();
        for (uint256 i = 0; i < manners.length; i++) {
            token.behaveTo(feeRecipient, manners[i]);
            vm.recordLogs();
            claim(channelId, (i + 1) * 1_000_000);
            assertEq(countLogs(address(drain), IDrainChannel.FeePaid.selector), 0);
        }
        uint256 paid = manners.length * 1_000_000;
        assertBalances(99 * DEPOSIT, paid, 0, DEPOSIT - paid);
    }

    function test_weird_tokenThatReturnsNothingWorks() public {
        token.behave(WeirdToken.Manner.ReturnsNothing);
        bytes32 second = openChannel();
        claim(channelId, 1_000_000);
        claimAndClose(channelId, 2_000_000);
        cooperativeClose(second, 1_000_000);
        assertBalances(100 * DEPOSIT - 3_000_000, 2_940_000, 60_000, 0);
    }

    function test_weird_tokenWithoutCodeMovesNothing() public {
        vm.etch(address(token), "");
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        openChannel();
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        claim(channelId, 1_000_000);
        vm.warp(EXPIRY);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(token)));
        close(channelId);
        assertClaimed(channelId, 0);
    }

    function test_weird_tokenWithoutAuthorizationsOpensDirectlyOnly() public {
        IDrainChannel.Opening memory opening =
            IDrainChannel.Opening(consumer.addr, provider.addr, DEPOSIT, DURATION, address(0), 0);
        vm.expectRevert(abi.encodeWithSelector(IDrainChannel.AuthorizationUnsupported.selector, address(token)));
        drain.openWithAuthorization(opening, 0, type(uint256).max, "");
    }

    /// @dev Why such tokens are unsupported: the last to leave lacks what the token took.
    function test_weird_tokenThatTakesAShareIsUnsupported() public {
        token.behaveTo(address(drain), WeirdToken.Manner.TakesAShare);
        bytes32 second = openChannel();
        vm.warp(EXPIRY);
        close(channelId);
        vm.expectRevert();
        close(second);
        token.mint(address(drain), DEPOSIT / 100); // anyone can make it whole
        close(second);
        assertEq(token.balanceOf(address(drain)), 0);
    }

    // ----------------------------------------------------------------------------------------------------- reentrancy

    /// @dev A provider that the token calls in the middle of its payout, and that then tries everything again.
    function test_weird_providerCalledBackFindsNothingToRepeat() public {
        (CallingToken calling, Reentrant greedy, bytes32 id) = reentrantChannel();
        bytes memory signature = signVoucher(consumer, id, 4_000_000, 1);
        bytes memory claimCall = abi.encodeCall(drain.claim, (id, 4_000_000, 1, signature));
        IDrainChannel.Claim[] memory batch = new IDrainChannel.Claim[](1);
        batch[0] = IDrainChannel.Claim(id, 4_000_000, 1, 4_000_000, signature);
        greedy.prepare(address(drain), claimCall);
        greedy.prepare(address(drain), abi.encodeCall(drain.claimBatch, (batch))); // pays 0
        greedy.execute(address(drain), claimCall);

        assertEq(greedy.made(), 2);
        assertEq(greedy.succeeded(), 1);
        assertEq(calling.balanceOf(address(greedy)), 4_000_000);
        assertEq(calling.balanceOf(address(drain)), 2 * DEPOSIT - 4_000_000);
    }

    function test_weird_providerCalledBackWhileClosingFindsNoChannel() public {
        (CallingToken calling, Reentrant greedy, bytes32 id) = reentrantChannel();
        bytes memory signature = signVoucher(consumer, id, 4_000_000, 1);
        bytes memory closeCall = abi.encodeCall(drain.claimAndClose, (id, 4_000_000, 1, 4_000_000, signature));
        vm.warp(EXPIRY + 1 days);
        greedy.prepare(address(drain), closeCall);
        greedy.prepare(address(drain), abi.encodeCall(drain.claim, (id, 4_000_000, 1, signature)));
        greedy.prepare(address(drain), abi.encodeCall(drain.closeFor, (id)));
        greedy.execute(address(drain), closeCall);

        assertEq(greedy.made(), 3);
        assertEq(greedy.succeeded(), 0);
        assertEq(calling.balanceOf(address(greedy)), 4_000_000);
        assertEq(calling.balanceOf(consumer.addr), DEPOSIT - 4_000_000);
        assertEq(calling.balanceOf(address(drain)), DEPOSIT);
    }

    /// @dev Inside of its claim it may end the channel: the rest goes to the consumer, once.
    function test_weird_providerCalledBackMayClose() public {
        (CallingToken calling, Reentrant greedy, bytes32 id) = reentrantChannel();
        bytes memory signature = signVoucher(consumer, id, 4_000_000, 1);
        greedy.prepare(address(drain), abi.encodeCall(drain.claimAndClose, (id, 4_000_000, 1, 4_000_000, "")));
        greedy.execute(address(drain), abi.encodeCall(drain.claim, (id, 4_000_000, 1, signature)));

        assertEq(greedy.succeeded(), 1);
        assertNoChannel(id);
        assertEq(calling.balanceOf(address(greedy)), 4_000_000);
        assertEq(calling.balanceOf(consumer.addr), DEPOSIT - 4_000_000);
        assertEq(calling.balanceOf(address(drain)), DEPOSIT);
    }

    /// @dev A consumer's channel to a contract, beside one to somebody else, whose deposit is what could be stolen.
    function reentrantChannel() private returns (CallingToken calling, Reentrant greedy, bytes32 id) {
        calling = new CallingToken();
        greedy = new Reentrant();
        drain = new DrainChannel(IERC20(address(calling)), address(0), 0);
        calling.mint(consumer.addr, 2 * DEPOSIT);
        vm.startPrank(consumer.addr);
        calling.approve(address(drain), type(uint256).max);
        drain.open(provider.addr, DEPOSIT, DURATION);
        id = drain.open(address(greedy), DEPOSIT, DURATION);
        vm.stopPrank();
    }
}
