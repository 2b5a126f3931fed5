// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Deploy} from "../script/Deploy.s.sol";
import {IDrainChannel} from "../src/interfaces/IDrainChannel.sol";
import {UsdcTest} from "./Usdc.sol";

/// @notice The deployment script; scripts/deploy-local.ts runs it against anvil, with transactions that are mined.
contract DeployTest is UsdcTest {
    address private constant POLYGON_USDC = 0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359;
    address private constant AMOY_USDC = 0x41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582;
    Deploy private script;
    Deploy.Config private config;

    function setUp() public {
        usdc = deployUsdc();
        script = new Deploy();
        config = Deploy.Config(usdc, address(0), 0);
    }

    /// @dev Tests run at the same time, so each has a file of its own.
    function recordFile(string memory name) private returns (string memory path) {
        vm.createDir("cache", true);
        path = string.concat("cache/deployment-record-", name, ".json");
        if (vm.isFile(path)) vm.removeFile(path);
    }

    function expectWrongToken(address token, string memory reason) private {
        vm.expectRevert(abi.encodeWithSelector(Deploy.WrongToken.selector, token, reason));
    }

    // ------------------------------------------------------------------------------------------------------ chain table

    function test_configFor_knowsTheUsdcOfEachChain() public view {
        assertEq(address(script.configFor(137, address(0)).token), POLYGON_USDC);
        assertEq(address(script.configFor(80_002, address(0)).token), AMOY_USDC);
        assertEq(address(script.configFor(31_337, address(usdc)).token), address(usdc));
    }

    function test_configFor_hasNoFeeByDefault() public view {
        Deploy.Config memory ofPolygon = script.configFor(137, address(0));
        assertEq(ofPolygon.feeBps, 0);
        assertEq(ofPolygon.feeRecipient, address(0));
    }

    function test_configFor_refusesUnknownChains() public {
        vm.expectRevert(abi.encodeWithSelector(Deploy.UnknownChain.selector, 1));
        script.configFor(1, address(usdc));
        vm.expectRevert(abi.encodeWithSelector(Deploy.UnknownChain.selector, 31_337));
        script.configFor(31_337, address(0));
    }

    function test_configFor_refusesAnotherTokenOnAKnownChain() public {
        expectWrongToken(AMOY_USDC, "DRAIN_TOKEN is not this chain's USDC");
        script.configFor(137, AMOY_USDC);
        assertEq(address(script.configFor(137, POLYGON_USDC).token), POLYGON_USDC);
    }

    // ------------------------------------------------------------------------------------------------------------ token

    function test_checkToken_acceptsUsdc() public view {
        script.checkToken(usdc);
    }

    function test_checkToken_refusesAnAddressWithoutCode() public {
        expectWrongToken(POLYGON_USDC, "has no code"); // on this chain
        script.checkToken(IERC20Metadata(POLYGON_USDC));
    }

    function test_checkToken_refusesOtherDecimals() public {
        vm.mockCall(address(usdc), abi.encodeWithSignature("decimals()"), abi.encode(18));
        expectWrongToken(address(usdc), "decimals() is not 6");
        script.checkToken(usdc);

        vm.mockCall(address(usdc), abi.encodeWithSignature("decimals()"), "");
        expectWrongToken(address(usdc), "decimals() is not 6");
        script.checkToken(usdc);
    }

    function test_checkToken_refusesOtherSymbols() public {
        string[3] memory symbols = ["USDT", "USDC.e", ""];
        for (uint256 i = 0; i < symbols.length; i++) {
            vm.mockCall(address(usdc), abi.encodeWithSignature("symbol()"), abi.encode(symbols[i]));
            expectWrongToken(address(usdc), "symbol() is not USDC");
            script.checkToken(usdc);
        }
        vm.mockCallRevert(address(usdc), abi.encodeWithSignature("symbol()"), "");
        expectWrongToken(address(usdc), "symbol() is not USDC");
        script.checkToken(usdc);
    }

    function test_checkToken_refusesTokensWithoutAuthorizations() public {
        bytes memory probe = abi.encodeWithSignature("RECEIVE_WITH_AUTHORIZATION_TYPEHASH()");
        bytes[3] memory answers = [bytes(""), abi.encode(keccak256("another")), abi.encode(0, 0)];
        for (uint256 i = 0; i < answers.length; i++) {
            vm.mockCall(address(usdc), probe, answers[i]);
            expectWrongToken(address(usdc), "has no EIP-3009 receiveWithAuthorization");
            script.checkToken(usdc);
        }
        vm.mockCallRevert(address(usdc), probe, "");
        expectWrongToken(address(usdc), "has no EIP-3009 receiveWithAuthorization");
        script.checkToken(usdc);
    }

    function test_deploy_checksTheTokenFirst() public {
        vm.mockCall(address(usdc), abi.encodeWithSignature("symbol()"), abi.encode("USDT"));
        expectWrongToken(address(usdc), "symbol() is not USDC");
        script.deploy(config);
        assertEq(script.addressOf(config).code.length, 0);
    }

    // ------------------------------------------------------------------------------------------------------- deployment

    function test_deploy_isAtTheComputedAddress() public {
        address computed = script.addressOf(config);
        (address drain, bool isNew) = script.deploy(config);
        assertTrue(isNew);
        assertEq(drain, computed);
        assertEq(address(IDrainChannel(drain).token()), address(usdc));
        assertEq(IDrainChannel(drain).feeBps(), 0);
        assertTrue(IDrainChannel(drain).supportsAuthorization());
    }

    function test_deploy_twiceChangesNothing() public {
        (address drain,) = script.deploy(config);
        bytes32 code = drain.codehash;
        (address again, bool isNew) = script.deploy(config);
        assertEq(again, drain);
        assertFalse(isNew);
        assertEq(drain.codehash, code);
    }

    function test_deploy_addressDependsOnTokenAndFee() public {
        Deploy.Config memory withFee = Deploy.Config(usdc, makeAddr("fee recipient"), 200);
        (address drain,) = script.deploy(withFee);
        assertEq(drain, script.addressOf(withFee));
        assertEq(IDrainChannel(drain).feeBps(), 200);
        assertNotEq(drain, script.addressOf(config));
        assertNotEq(script.addressOf(config), script.addressOf(script.configFor(137, address(0))));
    }

    function test_deploy_needsTheCreate2Deployer() public {
        vm.etch(CREATE2_FACTORY, "");
        vm.expectRevert(abi.encodeWithSelector(Deploy.NoCreate2Deployer.selector, CREATE2_FACTORY));
        script.deploy(config);
    }

    function test_checkDeployment_refusesAnother() public {
        (address drain,) = script.deploy(config);
        Deploy.Config memory withFee = Deploy.Config(usdc, address(0), 200);
        vm.expectRevert(abi.encodeWithSelector(Deploy.WrongDeployment.selector, drain, "fee"));
        script.checkDeployment(IDrainChannel(drain), withFee);
    }

    // ----------------------------------------------------------------------------------------------------------- record

    function test_writeRecord_saysWhatIsOnTheChain() public {
        string memory path = recordFile("new");
        (address drain,) = script.deploy(Deploy.Config(usdc, makeAddr("fee recipient"), 200));
        script.writeRecord(path, drain);
        string memory record = vm.readFile(path);
        assertEq(vm.parseJsonUint(record, ".chainId"), block.chainid);
        assertEq(vm.parseJsonAddress(record, ".contract"), drain);
        assertEq(vm.parseJsonAddress(record, ".token"), address(usdc));
        assertEq(vm.parseJsonUint(record, ".feeBps"), 200);
        assertEq(vm.parseJsonAddress(record, ".feeRecipient"), makeAddr("fee recipient"));
        assertEq(vm.parseJsonUint(record, ".block"), 0); // unknown: not deployed by a transaction
        assertFalse(vm.keyExistsJson(record, ".transaction"));
        vm.removeFile(path);
    }

    function test_writeRecord_keepsWhatAnEarlierOneKnew() public {
        string memory path = recordFile("known");
        (address drain,) = script.deploy(config);
        string memory known = string.concat(
            '{"contract":"', vm.toString(drain), '","block":7,"transaction":"', vm.toString(bytes32(uint256(5))), '"}'
        );
        vm.writeFile(path, known);
        script.writeRecord(path, drain);
        string memory record = vm.readFile(path);
        assertEq(vm.parseJsonUint(record, ".block"), 7);
        assertEq(vm.parseJsonBytes32(record, ".transaction"), bytes32(uint256(5)));

        (address other,) = script.deploy(Deploy.Config(usdc, makeAddr("fee recipient"), 200));
        script.writeRecord(path, other);
        assertEq(vm.parseJsonUint(vm.readFile(path), ".block"), 0);
        vm.removeFile(path);
    }
}
