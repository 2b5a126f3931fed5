/** All channels of a wallet that lock something, at whichever provider, each with a way to get the rest back. */
import type { ClientChannel, ClosedChannel, DrainClient } from '@drain/consumer'
import type { Notices } from '../notices.ts'
import { make, makeButton, part } from '../page.ts'

type Reactions = { notices: Notices; onClosed: (closed: ClosedChannel) => Promise<void> }

/**
 * Shows what the client knows of now.
 *
 * @param clientNow It may be another one by the time that a button is pressed.
 */
export async function showChannels(
  clientNow: () => DrainClient | undefined,
  reactions: Reactions,
): Promise<void> {
  const client = clientNow()
  if (!client) return
  const channels = (await client.channels()).filter(({ state }) => state !== 'closed')
  const openings = await client.openings()
  part('channel-list').replaceChildren(
    ...channels.map((channel) =>
      make('li', {}, describe(channel), ' ', closeButton(channel, clientNow, reactions)),
    ),
    ...openings.map(({ origin, deposit }) =>
      make(
        'li',
        {},
        `An opening of ${deposit} USDC at ${origin} was begun, and not heard of again. “Look for more” finds out.`,
      ),
    ),
    ...(channels.length + openings.length === 0
      ? [make('li', {}, 'None: nothing of this wallet is locked.')]
      : []),
  )
}

function describe({ origin, deposit, remaining, expiry, state }: ClientChannel): string {
  const where = origin === '' ? 'a provider that this browser doesn’t know' : origin
  const until = `${new Date(Number(expiry) * 1_000).toISOString().slice(0, 16).replace('T', ' ')} UTC`
  const left = state === 'open' ? `${remaining} left` : 'not used any more'
  return `${deposit} USDC at ${where}, ${left}, until ${until}.`
}

function closeButton(
  { channelId, origin }: ClientChannel,
  clientNow: () => DrainClient | undefined,
  { notices, onClosed }: Reactions,
): HTMLButtonElement {
  const close = () =>
    notices.run('Closing: the provider settles on the chain …', async () => {
      const closed = await clientNow()?.close(channelId)
      if (closed) await onClosed(closed)
    })
  const label = `Close and refund the channel at ${origin || 'an unknown provider'}`
  return makeButton('Close and refund', close, { 'aria-label': label })
}
