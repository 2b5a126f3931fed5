import { parseAbi } from 'viem'

/** What gasless opens need of a token: EIP-3009 with signatures as bytes, as USDC has it from version 2.2 on. */
export const tokenAbi = parseAbi([
  'function DOMAIN_SEPARATOR() view returns (bytes32)',
  'function name() view returns (string)',
  'function version() view returns (string)',
  'function authorizationState(address authorizer, bytes32 nonce) view returns (bool)',
  'function cancelAuthorization(address authorizer, bytes32 nonce, bytes signature)',
])
