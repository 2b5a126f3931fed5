export {
  ChainUnavailableError,
  type ChannelReader,
  type Confirmations,
  createChannelReader,
} from './chain/ChannelReader.ts'
export {
  createDrainProvider,
  createDrainProviderWithWallet,
  type DrainProvider,
  type VoucherVerification,
} from './createDrainProvider.ts'
export { Payment } from './http/Payment.ts'
export { createPaywall, type PaidHandler, type Paywall, type PaywallConfig } from './http/Paywall.ts'
export * from './ledger/Errors.ts'
export type * from './ledger/Ledger.ts'
export { memoryLedger } from './ledger/memory.ts'
export type { Claimed, Closing, Settlement } from './settle/Settlement.ts'
export { type MeteredEvent, sse } from './stream/sse.ts'
export * as Terms from './verify/Terms.ts'
export { type Verdict, verifyVoucher } from './verify/verifyVoucher.ts'
