export { localAccount } from '@drain/keys'
export { approveUsdc } from './actions/approveUsdc.ts'
export { cancelGaslessOpen } from './actions/cancelGaslessOpen.ts'
export { closeChannel } from './actions/closeChannel.ts'
export { closeFor } from './actions/closeFor.ts'
export { cooperativeClose } from './actions/cooperativeClose.ts'
export { getAllowance } from './actions/getAllowance.ts'
export { getChannel } from './actions/getChannel.ts'
export { getChannelBalance } from './actions/getChannelBalance.ts'
export { getGaslessOpen } from './actions/getGaslessOpen.ts'
export { getUsdcBalance } from './actions/getUsdcBalance.ts'
export { openChannel } from './actions/openChannel.ts'
export type {
  ReadParameters,
  Session,
  SessionParameters,
  SignParameters,
  WriteParameters,
} from './actions/Parameters.ts'
export { relayGaslessOpen } from './actions/relayGaslessOpen.ts'
export { requestGaslessOpen } from './actions/requestGaslessOpen.ts'
export { signChannelRequest } from './actions/signChannelRequest.ts'
export { signGaslessOpen } from './actions/signGaslessOpen.ts'
export { signVoucher } from './actions/signVoucher.ts'
export { TransactionPendingError } from './actions/transact.ts'
export {
  type ClientChannel,
  type ClientOpening,
  type ClosedChannel,
  createDrainClient,
  type DrainClient,
  type DrainClientOptions,
  type OpenOptions,
  type Spending,
} from './client/createDrainClient.ts'
export type { ClientEvents } from './client/events.ts'
export type { Confirmable, LimitOptions } from './client/Limits.ts'
export type { PaymentScheme, SchemeAnswer, SchemeOffer } from './client/PaymentScheme.ts'
export type { ReplayableRequest } from './client/ReplayableRequest.ts'
export type { RecoverOptions } from './client/recover.ts'
export { headersWire, type Wire, type WireCosts, type WireOffer, type WireRefusal } from './client/Wire.ts'
export { createDrainConsumer, type DrainConsumer, type DrainConsumerConfig } from './createDrainConsumer.ts'
export type { ClientStore, Decide, Entry, Write } from './store/ClientStore.ts'
export { indexedDbStore } from './store/indexedDb.ts'
export { memoryStore } from './store/memory.ts'
