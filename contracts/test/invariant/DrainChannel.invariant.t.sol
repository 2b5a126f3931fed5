// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {VmSafe} from "forge-std/Vm.sol";
import {Test} from "forge-std/Test.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDrainChannel} from "../../src/interfaces/IDrainChannel.sol";
import {DrainHandler} from "./DrainHandler.sol";

/// @notice What always holds, whatever eight parties, four session keys, relayers and strangers do:
///
/// 1. Solvency: the contract holds exactly the sum of `deposit - claimed` over the open channels, and donations.
/// 2. Bounds: nothing beyond a deposit is claimed, and what a channel was opened with never changes.
/// 3. Consumers: a channel that ended returned exactly `deposit - paid`; one that didn't returned nothing.
/// 4. Providers: none is paid more on a channel than the highest voucher signed to it, or the final amount it agreed to
///    itself; and none is paid less than it took.
/// 5. Ends: a channel opens once and ends once; its id is never alive again.
/// 6. Fees: what a channel paid in fees never exceeds the rate; the recipient gets every fee it can receive, and nothing
///    else.
/// 7. Books: everybody's balance in USDC is what the events say.
/// 8. Exit (at the end of each run): providers take what was signed, consumers or strangers close, and only donations are
///    left: no money is ever stuck.
///
/// Besides, the handler knows of each call whether the contract has to allow it; one that is allowed wrongly, or refused
/// wrongly, reverts there and fails the run (`fail_on_revert`).
/// @dev One campaign checks 1 to 7 after each call: forge would run a campaign of its own per invariant.
abstract contract DrainChannelInvariants is Test {
    DrainHandler internal handler;
    IDrainChannel private drain;
    IERC20 private usdc;
    address private feeRecipient;

    function setUpWith(uint16 feeBps) internal {
        vm.skip(vm.isContext(VmSafe.ForgeContext.Coverage)); // adds minutes, and no line that other tests don't reach
        handler = new DrainHandler(feeBps);
        address token;
        (drain, token, feeRecipient) = handler.contracts();
        usdc = IERC20(token);
        targetContract(address(handler));
    }

    /// @dev What each suite adds its own actions to.
    function actions() internal pure returns (bytes4[] memory selectors) {
        selectors = new bytes4[](17);
        selectors[0] = DrainHandler.open.selector;
        selectors[1] = DrainHandler.openWithSigner.selector;
        selectors[2] = DrainHandler.openWithAuthorization.selector;
        selectors[3] = DrainHandler.replayOpening.selector;
        selectors[4] = DrainHandler.claim.selector;
        selectors[5] = DrainHandler.claimAndClose.selector;
        selectors[6] = DrainHandler.claimBatch.selector;
        selectors[7] = DrainHandler.signVoucher.selector;
        selectors[8] = DrainHandler.replayVoucher.selector;
        selectors[9] = DrainHandler.forgeVoucher.selector;
        selectors[10] = DrainHandler.overdraw.selector;
        selectors[11] = DrainHandler.close.selector;
        selectors[12] = DrainHandler.closeFor.selector;
        selectors[13] = DrainHandler.cooperativeClose.selector;
        selectors[14] = DrainHandler.agree.selector;
        selectors[15] = DrainHandler.replayAuthorization.selector;
        selectors[16] = DrainHandler.touchClosed.selector;
    }

    function target(bytes4[] memory selectors) internal {
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function target(bytes4 selector) internal {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        target(selectors);
    }

    function invariant_moneyAndChannels() public view {
        checkAll();
    }

    function afterInvariant() public {
        handler.exit();
        checkAll();
        assertEq(usdc.balanceOf(address(drain)), handler.donated(), "8: money is stuck");
    }

    function checkAll() private view {
        DrainHandler.Ghost[] memory ghosts = handler.ghosts();
        uint256 escrowed;
        uint256 fees;
        for (uint256 i = 0; i < ghosts.length; i++) {
            escrowed += checkChannel(ghosts[i]);
            fees += ghosts[i].fees;
        }
        assertEq(usdc.balanceOf(address(drain)), escrowed + handler.donated(), "1: balance");
        assertEq(fees, handler.feesDue(), "6: fees that moved, of those due");
        assertEq(usdc.balanceOf(feeRecipient), fees, "6: balance of the fee recipient");
        assertEq(handler.strayEvents(), 0, "7: event of an unknown channel");
        address[] memory parties = handler.partyAddresses();
        for (uint256 i = 0; i < parties.length; i++) {
            assertEq(int256(usdc.balanceOf(parties[i])), handler.balanceDue(parties[i]), "7: balance of a party");
        }
    }

    /// @return escrowed What the contract says is left on the channel.
    function checkChannel(DrainHandler.Ghost memory g) private view returns (uint256 escrowed) {
        escrowed = drain.getBalance(g.id);
        assertEq(g.opens, 1, "5: opened once");
        assertLe(g.closes, 1, "5: ended twice");
        assertLe(g.paid, g.opening.amount, "2: paid beyond the deposit");
        assertLe(g.paid, g.signed > g.agreed ? g.signed : g.agreed, "4: paid beyond what was signed");
        assertEq(g.paid, g.due, "4: paid other than taken");
        assertLe(g.fees * 10_000, g.paid * handler.rate(), "6: fee above its rate");
        if (g.closes == 0) {
            assertEq(g.refunded, 0, "3: refund of an open channel");
            checkOpen(g);
        } else {
            assertEq(g.refunded, g.opening.amount - g.paid, "3: refund");
            assertEq(escrowed, 0, "5: a closed id is alive");
            (address consumer, address provider, uint256 deposit, uint256 claimed, uint256 expiry) =
                drain.getChannel(g.id);
            assertEq(consumer, address(0), "5: a closed id is alive");
            assertEq(provider, address(0), "5: a closed id is alive");
            assertEq(deposit + claimed + expiry, 0, "5: a closed id is alive");
        }
    }

    function checkOpen(DrainHandler.Ghost memory g) private view {
        (address consumer, address provider, uint256 deposit, uint256 claimed, uint256 expiry) = drain.getChannel(g.id);
        assertLe(claimed, deposit, "2: claimed beyond the deposit");
        assertEq(claimed, g.paid, "2: claimed other than paid");
        assertEq(consumer, g.opening.consumer, "2: consumer changed");
        assertEq(provider, g.opening.provider, "2: provider changed");
        assertEq(deposit, g.opening.amount, "2: deposit changed");
        assertEq(expiry, g.expiry, "2: expiry changed");
    }
}

/// @notice Without a fee and without donations: the balance is exactly what the channels say.
contract DrainChannelInvariantTest is DrainChannelInvariants {
    function setUp() public {
        setUpWith(0);
        target(actions());
        target(DrainHandler.jump.selector);
    }
}

/// @notice With a fee of 2 %, donations, and a fee recipient that the token blocks from time to time.
contract DrainChannelFeeInvariantTest is DrainChannelInvariants {
    function setUp() public {
        setUpWith(200);
        target(actions());
        target(DrainHandler.jump.selector);
        target(DrainHandler.donate.selector);
        target(DrainHandler.blockFeeRecipient.selector);
    }
}

/// @notice With the highest fee, 10 %.
contract DrainChannelMaxFeeInvariantTest is DrainChannelInvariants {
    function setUp() public {
        setUpWith(1000);
        target(actions());
        target(DrainHandler.jump.selector);
        target(DrainHandler.blockFeeRecipient.selector);
    }
}
