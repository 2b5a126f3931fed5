export { approveUsdc } from './actions/approveUsdc.ts'
export { closeChannel } from './actions/closeChannel.ts'
export { cooperativeClose } from './actions/cooperativeClose.ts'
export { getAllowance } from './actions/getAllowance.ts'
export { getChannel } from './actions/getChannel.ts'
export { getChannelBalance } from './actions/getChannelBalance.ts'
export { getUsdcBalance } from './actions/getUsdcBalance.ts'
export { openChannel } from './actions/openChannel.ts'
export type { ReadParameters, SignParameters, WriteParameters } from './actions/Parameters.ts'
export { signChannelRequest } from './actions/signChannelRequest.ts'
export { signVoucher } from './actions/signVoucher.ts'
export { TransactionPendingError } from './actions/transact.ts'
export { type ChannelRecord, type ChannelStore, memoryStore } from './client/ChannelStore.ts'
export {
  type ClientChannel,
  type ClosedChannel,
  createDrainClient,
  type DrainClient,
  type DrainClientOptions,
  type Spending,
} from './client/createDrainClient.ts'
export type { LimitOptions } from './client/Limits.ts'
export { createDrainConsumer, type DrainConsumer, type DrainConsumerConfig } from './createDrainConsumer.ts'
