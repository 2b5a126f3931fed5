import { ChainUnavailableError, type ChannelReader } from '../chain/ChannelReader.ts'
import type { ChainCheck } from './ChainCheck.ts'
import type { Metrics } from './Metrics.ts'

/**
 * A reader that counts what is looked up, and looks up nothing on a chain that isn't the configured one: vouchers would be
 * accepted for channels that can never be claimed.
 */
export function observeChannels(
  channels: ChannelReader,
  chain: Pick<ChainCheck, 'identified'>,
  metrics: Pick<Metrics, 'lookups'>,
): ChannelReader {
  return {
    ...channels,
    async get(channelId, remoteAddress) {
      try {
        await chain.identified()
        const lookup = await channels.get(channelId, remoteAddress)
        metrics.lookups(lookup.status)
        return lookup
      } catch (error) {
        metrics.lookups('unavailable')
        throw error instanceof ChainUnavailableError ? error : new ChainUnavailableError(error)
      }
    },
  }
}
