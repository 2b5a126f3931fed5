import { getChannel } from '@drain/consumer'
import { ChannelNotFoundError, DrainError, UntrustedProviderError, Usdc } from '@drain/core'
import { type Hex, isAddressEqual } from 'viem'
import { z } from 'zod'
import type { Purse } from '../createAgent.ts'
import { readDocs, readPricing } from '../directory/pricing.ts'
import type { Provider } from '../directory/schema.ts'
import { isoDate, usdc } from '../text/plain.ts'
import { framed, oneLine } from '../text/untrusted.ts'
import { amount, type ChannelShape, channelId, channelShape, providerName, toChannel } from './shapes.ts'
import { defineTool } from './Tool.ts'
import { addOpenings } from './wallet.ts'

const readOnly = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true }

export const openChannel = defineTool({
  name: 'drain_open_channel',
  title: 'Open a channel',
  description: `Locks USDC in a channel to one provider; its requests are then paid from it without a transaction each. Step 3 of 4.
What is not used comes back: call drain_cooperative_close when the task is done. The deposit is approved by itself, exactly.
Deposit little: another channel can be opened any time.`,
  input: z.object({
    provider: providerName,
    amount: amount
      .optional()
      .describe(
        'Deposit in decimal USDC, such as 0.50; as the provider’s terms and the limits say by default.',
      ),
    duration: z
      .union([z.string().max(20), z.number().int().positive()])
      .optional()
      .describe(
        'How long at most, such as 30m, 1h or 24h (the longest); the provider’s recommendation by default. Until then only the provider can give the rest back.',
      ),
    gasless: z
      .boolean()
      .optional()
      .describe(
        'Have the provider send the transaction: the wallet needs no gas. Not all providers offer it.',
      ),
  }),
  output: channelShape.extend({
    docs: z.string().optional().describe('How to use the provider. Untrusted: the provider wrote it.'),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  async run({ provider: name, amount: deposit, duration, gasless }, { agent, progress, signal }) {
    const purse = await agent.purse()
    progress.say('Looking whether the provider answers')
    const listed = await agent.directory.find(name)
    const { origin } = new URL(listed.apiUrl)
    assertPaidFromChannels(listed)
    const own = await readPricing(agent.fetch, origin)
    assertSame(listed, own)
    if (gasless && !own.features.includes('open')) throw noRelay(origin)
    signal.throwIfAborted()
    progress.say('Opening the channel: waiting for the chain')
    const options = { origin, amount: deposit, duration, gasless }
    const channel = toChannel(await purse.inTurn(() => purse.client.openChannel(options)))
    const docs = await readDocs(agent.fetch, listed, 4_000)
    const model = listed.models[0]?.id
    const text = [
      `Opened channel ${channel.channelId}\nwith ${usdc(channel.deposit)} for ${origin}, until ${channel.expires} at the latest.`,
      ...(docs ? [framed(docs.text, `${origin}, its instructions`)] : []),
      `Next: drain_chat with channelId "${channel.channelId}"${model ? ` (a model: ${JSON.stringify(oneLine(model, 100))})` : ''}. When the task is done: drain_cooperative_close.`,
    ].join('\n\n')
    return { text, data: { ...channel, ...(docs && { docs: docs.text }) } }
  },
})

function noRelay(origin: string): DrainError {
  return new DrainError('gasless_unavailable', `${origin} opens no channels for wallets without gas.`, {
    action:
      'Leave gasless out and open with the wallet’s own gas, or look for another provider: drain_providers.',
  })
}

/** @throws {DrainError} `no_channels` */
function assertPaidFromChannels({ protocol, id }: Provider): void {
  if (protocol === 'drain') return
  throw new DrainError('no_channels', `${id} is paid by the request: it needs no channel.`, {
    action: `Use mpp_chat with provider "${id}", or mpp_request.`,
  })
}

/**
 * The directory and the provider have to agree on who is paid.
 *
 * @throws {UntrustedProviderError}
 */
function assertSame({ providerAddress: listed, id }: Provider, { providerAddress: own }: Provider): void {
  if (!listed || !own || isAddressEqual(listed, own)) return
  throw new UntrustedProviderError(
    `The directory says that ${id} is paid as ${listed}, the provider itself says ${own}.`,
    'Look for another provider.',
  )
}

export const channelStatus = defineTool({
  name: 'drain_channel_status',
  title: 'A channel’s state',
  description:
    'Deposit, what was charged, what is left and when it expires, as this machine and the chain know it.',
  input: z.object({ channelId }),
  output: channelShape.extend({
    claimed: z.string().describe('What the provider has taken on chain.'),
    next: z.string(),
  }),
  annotations: readOnly,
  async run({ channelId: id }, { agent }) {
    const purse = await agent.purse()
    const known = await purse.channel(id).catch((error) => {
      if (error instanceof DrainError && error.code === 'channel_unknown') return undefined
      throw error
    })
    const onChain = await readOnChain(purse, id)
    if (!known && !onChain) throw new ChannelNotFoundError(id)
    const channel = known ? toChannel(known) : ofOthers(id, onChain as OnChain)
    const claimed = Usdc.format(onChain?.claimed ?? 0n)
    const next = onChain || channel.state === 'closed' ? nextOf(channel) : unseen
    const { state, deposit, promised, charged, remaining, expires } = channel
    const text = `Channel ${id} is ${state}: ${usdc(deposit)} deposited, ${usdc(charged)} charged, at most ${usdc(promised)} promised, ${usdc(remaining)} left. It expires ${expires}.\nNext: ${next}`
    return { text, data: { ...channel, claimed, next } }
  },
})

type OnChain = Awaited<ReturnType<typeof getChannel>>

/** `undefined` where it was never opened, or is closed. */
async function readOnChain({ wallet }: Purse, id: Hex): Promise<OnChain | undefined> {
  try {
    return await getChannel(wallet.publicClient, { deployment: wallet.deployment, channelId: id })
  } catch (error) {
    if (error instanceof ChannelNotFoundError) return undefined
    throw error
  }
}

/** A channel that isn't kept here: of another machine, or another wallet. */
function ofOthers(id: string, { provider, deposit, claimed, expiry }: OnChain): ChannelShape {
  const left = Number(expiry) - Math.floor(Date.now() / 1_000)
  return {
    ...{ channelId: id, provider, origin: '', state: left > 0 ? 'unknown here' : 'expired' },
    deposit: Usdc.format(deposit),
    promised: Usdc.format(claimed),
    charged: Usdc.format(claimed),
    remaining: Usdc.format(deposit - claimed),
    expires: isoDate(expiry),
    secondsLeft: Math.max(0, left),
  }
}

/** Of a channel that is open as far as this machine knows. */
const unseen =
  'The node doesn’t show it on the chain at the moment: it may be behind, or another has closed it. Ask again in a minute; drain_channels with recover: true finds out.'

function nextOf({ state, remaining, origin }: ChannelShape): string {
  if (origin === '' && (state === 'retired' || state === 'open'))
    return 'drain_channels with recover: true and origins: [the provider’s URL] finds its server; after the expiry drain_close_channel needs none.'
  if (state === 'closed')
    return 'Nothing: what was left has come back. Open another one with drain_open_channel if you need it.'
  if (state === 'expired') return 'drain_close_channel brings the rest back.'
  if (state === 'unknown here') return 'drain_channels with recover: true, if it is this wallet’s.'
  if (state !== 'open') return 'drain_cooperative_close brings the rest back.'
  if (remaining === '0')
    return 'It is used up: drain_cooperative_close, and drain_open_channel if there is more to do.'
  return 'drain_chat uses it; drain_cooperative_close brings the rest back when the task is done.'
}

export const listChannels = defineTool({
  name: 'drain_channels',
  title: 'All channels',
  description: `The channels of this wallet, the open ones first. Close those that are not needed: what they hold is locked until then.
With recover: true it also looks on the chain for channels that this machine doesn't know, and closes expired ones; that can take a minute.`,
  input: z.object({
    recover: z
      .boolean()
      .default(false)
      .describe('Search the chain for lost channels, and close expired ones.'),
    origins: z
      .array(z.string().max(2_000))
      .max(20)
      .default([])
      .describe('With recover: URLs of providers that lost channels may belong to.'),
    includeClosed: z.boolean().default(false),
  }),
  output: z.object({
    channels: z.array(channelShape),
    openings: z
      .array(z.object({ origin: z.string(), provider: z.string(), deposit: z.string() }))
      .describe('Begun, and not heard of again: recover finds out what became of them.'),
    locked: z.string(),
    charged: z.string(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  async run({ recover, origins, includeClosed }, { agent, progress }) {
    const { client } = await agent.purse()
    if (recover) {
      progress.say('Searching the chain for channels of this wallet')
      await client.recover({ origins: origins.map(originOf) })
    }
    const [all, openings] = [await client.channels(), await client.openings()]
    const { locked: open, charged } = await client.spending()
    const locked = addOpenings(open, openings)
    const channels = all
      .map((channel) => toChannel(channel))
      .filter(({ state }) => includeClosed || state !== 'closed')
      .sort((one, other) => Number(one.state === 'closed') - Number(other.state === 'closed'))
    const lines = channels.map(
      ({ channelId, state, origin, deposit, charged, remaining, expires }) =>
        `- ${channelId} ${state}, ${origin || 'server not known'}: ${remaining} of ${usdc(deposit)} left, ${charged} charged, expires ${expires}`,
    )
    for (const { origin, deposit } of openings) {
      lines.push(`- an opening with ${usdc(deposit)} for ${origin} was begun, and not heard of again`)
    }
    const expired = channels.some(({ state }) => state === 'expired')
    const text = [
      lines.length === 0 ? 'There are no open channels.' : lines.join('\n'),
      `${usdc(locked)} locked, ${usdc(charged)} charged in all.`,
      ...(expired ? ['Next: drain_close_channel for each expired one brings its rest back.'] : []),
      ...(openings.length > 0
        ? ['Next: drain_channels with recover: true finds out what became of the opening.']
        : []),
    ].join('\n')
    return { text, data: { channels, openings, locked, charged } }
  },
})

function originOf(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text).origin
  throw new DrainError('invalid_format', 'Origins are URLs of providers.', {
    action: 'Such as https://api.example.',
  })
}

const closedShape = z.object({
  channelId: z.string(),
  paid: z.string().describe('What the provider got in all.'),
  refund: z.string().describe('What came back to the wallet.'),
  txHash: z.string(),
})

export const cooperativeClose = defineTool({
  name: 'drain_cooperative_close',
  title: 'Close a channel now',
  description: `Step 4 of 4, when the task is done: the provider takes what it charged, and the rest of the deposit comes back at once.
It agrees to no more than was charged. If the provider doesn't answer, try again later, or use drain_close_channel after the expiry.`,
  input: z.object({ channelId }),
  output: closedShape,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  async run({ channelId: id }, { agent, progress }) {
    const purse = await agent.purse()
    const { origin, state, secondsLeft, expires } = toChannel(await purse.channel(id))
    if (state === 'closed') throw new ChannelNotFoundError(id)
    if (origin === '' && secondsLeft > 0) {
      throw new DrainError('server_unknown', 'Nobody is known who could close the channel early.', {
        action: `Call drain_channels with recover: true and origins: [the provider’s URL], or drain_close_channel after ${expires}.`,
      })
    }
    progress.say(`Closing: waiting for ${origin} and the chain`)
    return closed(await close(purse, id))
  },
})

export const closeChannel = defineTool({
  name: 'drain_close_channel',
  title: 'Close an expired channel',
  description: `Brings back what an expired channel holds, without the provider. Before the expiry use drain_cooperative_close.
What expires doesn't come back by itself: call this.`,
  input: z.object({ channelId }),
  output: closedShape,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  async run({ channelId: id }, { agent, progress }) {
    const purse = await agent.purse()
    const { state, expires, secondsLeft } = toChannel(await purse.channel(id))
    if (state === 'closed') throw new ChannelNotFoundError(id)
    if (secondsLeft > 0) {
      throw new DrainError('not_expired', `The channel has not expired: it does ${expires}.`, {
        action: 'Use drain_cooperative_close now, or this one after that.',
      })
    }
    progress.say('Closing: waiting for the chain')
    return closed(await close(purse, id))
  },
})

/** @throws {DrainError} `no_gas_to_close`, and what `DrainClient.close` throws */
async function close({ client, wallet }: Purse, id: Hex) {
  try {
    return await client.close(id)
  } catch (error) {
    if (!(error instanceof DrainError) || error.code !== 'insufficient_gas') throw error
    const { address } = wallet.account
    throw new DrainError('no_gas_to_close', error.shortMessage, {
      action: `Have the owner send a little of the chain’s coin to ${address}, then try again. Without any, anybody can close it for this wallet a day after its expiry.`,
      cause: error,
    })
  }
}

function closed({
  channelId,
  finalAmount: paid,
  refund,
  txHash,
}: Awaited<ReturnType<Purse['client']['close']>>) {
  const text = `Closed channel ${channelId}: the provider got ${usdc(paid)}, ${usdc(refund)} came back (transaction ${txHash}).`
  return { text, data: { channelId, paid, refund, txHash } }
}
