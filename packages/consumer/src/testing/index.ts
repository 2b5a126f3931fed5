export { type LocalChain, startLocalChain } from './LocalChain.ts'
export { fiatTokenAbi } from './usdc.ts'
