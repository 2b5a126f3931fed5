export { type Secp256k1Name, type SelectedSecp256k1, selectSecp256k1 } from '@drain/keys'
export { loadKey } from '@drain/keys/node'
export {
  ChainUnavailableError,
  type ChannelReader,
  type Confirmations,
  createChannelReader,
} from './chain/ChannelReader.ts'
export { networkOf } from './chain/LookupBudget.ts'
export type { RpcUrlInput, RpcUrls } from './chain/rpcUrlOf.ts'
export { rpcTransport } from './chain/transport.ts'
export { secretFile } from './cli/secretFile.ts'
export {
  createDrainProvider,
  createDrainProviderWithWallet,
  type DrainProvider,
  type VoucherVerification,
} from './createDrainProvider.ts'
export type { Answer } from './http/Answer.ts'
export type { AdminToken } from './http/admin.ts'
export type { Beginning, RequestOptions } from './http/beginning.ts'
export { type Asker, type ChannelRequests, closingJson } from './http/channelRequests.ts'
export type { RouteInput } from './http/discovery.ts'
export type { OpenRelay, RelayCode, Relayed, RelayInput } from './http/openRelay.ts'
export { Payment, PaymentFailedError } from './http/Payment.ts'
export { createPaywall, type Paywall } from './http/Paywall.ts'
export type { PaywallConfig } from './http/PaywallConfig.ts'
export type { RequestHead } from './http/RequestHead.ts'
export type { LimitsInput } from './http/rateLimits.ts'
export type * from './http/Scheme.ts'
export type { RequestQuote, StreamQuote } from './http/StreamQuote.ts'
export type { PaidHandler } from './http/serving.ts'
export * from './ledger/Errors.ts'
export type * from './ledger/Ledger.ts'
export { memoryLedger } from './ledger/memory.ts'
export type * from './ledger/Notebook.ts'
export type { Health, HealthReason, HealthReport } from './observe/Health.ts'
export { type Log, type LogInput, redactedPaths } from './observe/Log.ts'
export type { ChargeOutcome, Metrics } from './observe/Metrics.ts'
export type { ChargeBook } from './settle/ChargeBook.ts'
export type { Closing } from './settle/Closings.ts'
export {
  type Authorization,
  authorizationAbi,
  hasPaid,
  nameOf as authorizationName,
} from './settle/chargeEvents.ts'
export { createChargeUses } from './settle/chargeUses.ts'
export type { Entry as JournalEntry } from './settle/Journal.ts'
export type { Claimed, Settlement } from './settle/Settlement.ts'
export type { Call, Transactions } from './settle/Transactions.ts'
export type { Ended } from './stream/frames.ts'
export type { StreamSettings } from './stream/StreamSettings.ts'
export { type MeteredEvent, sse } from './stream/sse.ts'
export * as Terms from './verify/Terms.ts'
export {
  type KnownChannel,
  type Verdict,
  type VerifyContext,
  verifyVoucher,
} from './verify/verifyVoucher.ts'
