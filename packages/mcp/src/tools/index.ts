import { channelStatus, closeChannel, cooperativeClose, listChannels, openChannel } from './channels.ts'
import { drainChat, mppChat } from './chat.ts'
import { feedback } from './feedback.ts'
import { listProviders, providerInfo } from './providers.ts'
import { mppRequest } from './request.ts'
import type { Tool } from './Tool.ts'
import { approve, balance } from './wallet.ts'

/** All tools, in the order in which an agent needs them. */
export const tools: readonly Tool[] = [
  listProviders,
  providerInfo,
  balance,
  approve,
  openChannel,
  channelStatus,
  listChannels,
  drainChat,
  mppChat,
  mppRequest,
  cooperativeClose,
  closeChannel,
  feedback,
]
