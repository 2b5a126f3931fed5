// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @notice What tests use of FiatTokenV2_2.
interface IUsdc is IERC20Metadata {
    function initialize(
        string calldata tokenName,
        string calldata tokenSymbol,
        string calldata tokenCurrency,
        uint8 tokenDecimals,
        address newMasterMinter,
        address newPauser,
        address newBlacklister,
        address newOwner
    ) external;
    function initializeV2(string calldata newName) external;
    function initializeV2_1(address lostAndFound) external;
    function initializeV2_2(address[] calldata accountsToBlacklist, string calldata newSymbol) external;
    function configureMinter(address minter, uint256 minterAllowedAmount) external returns (bool);
    function mint(address to, uint256 amount) external returns (bool);
    function pause() external;
    function unpause() external;
    function blacklist(address account) external;
    function unBlacklist(address account) external;
    function isBlacklisted(address account) external view returns (bool);
    function version() external view returns (string memory);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
    function RECEIVE_WITH_AUTHORIZATION_TYPEHASH() external view returns (bytes32);
    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external;
}

interface IFiatTokenProxy {
    function changeAdmin(address newAdmin) external;
}

/// @notice Deploys Circle's USDC: FiatTokenV2_2 behind its proxy. fixtures/README.md describes the steps.
abstract contract UsdcTest is Test {
    address internal immutable usdcMasterMinter = makeAddr("USDC master minter");
    address internal immutable usdcPauser = makeAddr("USDC pauser");
    address internal immutable usdcBlacklister = makeAddr("USDC blacklister");

    IUsdc internal usdc;

    function deployUsdc() internal returns (IUsdc token) {
        string memory fixture = vm.readFile("contracts/test/fixtures/usdc.json");
        vm.etch(
            vm.parseJsonAddress(fixture, ".signatureChecker.address"),
            vm.parseJsonBytes(fixture, ".signatureChecker.runtimeCode")
        );
        address implementation = create(vm.parseJsonBytes(fixture, ".implementation.creationCode"));
        address proxy =
            create(abi.encodePacked(vm.parseJsonBytes(fixture, ".proxy.creationCode"), abi.encode(implementation)));
        IFiatTokenProxy(proxy).changeAdmin(makeAddr("USDC proxy admin"));

        token = IUsdc(proxy);
        initialize(token);
    }

    /// @dev A second USDC, at a chosen address, with nothing in it.
    function deployUsdcAt(address where) internal returns (IUsdc token) {
        bytes32[2] memory slots =
            [keccak256("org.zeppelinos.proxy.implementation"), keccak256("org.zeppelinos.proxy.admin")];
        vm.etch(where, address(usdc).code);
        for (uint256 i = 0; i < slots.length; i++) {
            vm.store(where, slots[i], vm.load(address(usdc), slots[i]));
        }
        token = IUsdc(where);
        initialize(token);
    }

    function initialize(IUsdc token) private {
        token.initialize(
            "USD Coin", "USDC", "USD", 6, usdcMasterMinter, usdcPauser, usdcBlacklister, makeAddr("USDC owner")
        );
        token.initializeV2("USD Coin");
        token.initializeV2_1(makeAddr("USDC lost and found"));
        token.initializeV2_2(new address[](0), "USDC");

        vm.prank(usdcMasterMinter);
        token.configureMinter(address(this), type(uint256).max);
    }

    function mintUsdc(address to, uint256 amount) internal {
        usdc.mint(to, amount);
    }

    function blockUsdc(address account) internal {
        vm.prank(usdcBlacklister);
        usdc.blacklist(account);
    }

    function unblockUsdc(address account) internal {
        vm.prank(usdcBlacklister);
        usdc.unBlacklist(account);
    }

    function pauseUsdc() internal {
        vm.prank(usdcPauser);
        usdc.pause();
    }

    function unpauseUsdc() internal {
        vm.prank(usdcPauser);
        usdc.unpause();
    }

    function create(bytes memory creationCode) private returns (address deployed) {
        assembly ("memory-safe") {
            deployed := create(0, add(creationCode, 0x20), mload(creationCode))
        }
        require(deployed != address(0), "create failed");
    }
}
