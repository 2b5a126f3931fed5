/** How channels end: with the provider's help, without it, and against its lies. */
import { ChannelNotFoundError, drainChannelAbi, UntrustedProviderError } from '@drain/core'
import type { Hex } from 'viem'
import { beforeEach, expect, test } from 'vitest'
import { type DrainClient, getUsdcBalance } from '../src/index.ts'
import { chain, clientsWith, provider, setUp, url } from './fixture.ts'
import { dropped } from './serve.ts'
import { consent, startTestProvider } from './TestProvider.ts'

setUp()

let client: DrainClient
let time: number
beforeEach(() => {
  time = Date.now()
  client = createClient()
})

const createClient = clientsWith(() => ({ now: () => time }))

const balance = (index: 0 | 1) =>
  getUsdcBalance(chain.publicClient, { deployment: chain.deployment, account: chain.accounts[index].address })

/** Opens a channel with three requests on it. */
async function use(): Promise<Hex> {
  for (let index = 0; index < 3; index++) await client.fetch(url('/joke'))
  const [channel] = await client.channels()
  if (!channel) throw new Error('no channel')
  return channel.channelId
}

function answerClose(answer: (channelId: Hex) => Response | Promise<Response>): void {
  provider.instead = (_, { path, body }) =>
    path === '/v1/close-channel' ? answer(JSON.parse(body).channelId) : undefined
}

async function sendAsProvider(
  functionName: 'claim' | 'claimAndClose',
  args: readonly unknown[],
): Promise<Hex> {
  const call = { address: chain.deployment.contract, abi: drainChannelAbi, functionName, args }
  const hash = await chain.walletClient(chain.accounts[1]).writeContract(call as never)
  await chain.publicClient.waitForTransactionReceipt({ hash })
  return hash
}

test.each(['sign', 'transact'] as const)(
  'the provider agrees (%s): it gets what it charged',
  async (settle) => {
    provider.settle = settle
    const [consumer, earner] = [await balance(0), await balance(1)]
    const channelId = await use()
    const closed = await client.close(channelId)
    expect(closed).toEqual({
      channelId,
      finalAmount: '0.003',
      refund: '0.997',
      txHash: expect.stringMatching(/^0x[0-9a-f]{64}$/),
    })
    expect(await balance(0)).toBe(consumer - 3_000n)
    expect(await balance(1)).toBe(earner + 3_000n)
    expect(await client.channels()).toMatchObject([{ state: 'closed', charged: '0.003', remaining: '0' }])
    expect(await client.spending()).toMatchObject({ charged: '0.003', signed: '0.003', locked: '0' })
    await expect(client.close(channelId)).rejects.toMatchObject({ code: 'channel_unknown' })
  },
)

test('a request after it opens another channel', async () => {
  await client.close(await use())
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
})

test('by origin, in any form of its URL', async () => {
  const channelId = await use()
  expect(await client.close(url('/v1/chat'))).toMatchObject({ channelId })
  await expect(client.close(provider.origin)).rejects.toThrow(/no open channel for/)
  await expect(client.close('not a url')).rejects.toMatchObject({ code: 'channel_unknown' })
  await expect(client.close(`0x${'11'.repeat(32)}`)).rejects.toMatchObject({ code: 'channel_unknown' })
})

test('more than was charged is not agreed to', async () => {
  const channelId = await use()
  const before = await chain.publicClient.getBlockNumber()
  for (const finalAmount of [3_001n, 1_000_000n, 2n ** 200n]) {
    answerClose(async (id) => Response.json(await consent(chain, chain.accounts[1], id, finalAmount)))
    const closing = client.close(channelId)
    await expect(closing).rejects.toThrow(UntrustedProviderError)
    await expect(closing).rejects.toThrow(/of which at most 0\.003000 USDC was charged.*Nothing was signed/)
  }
  expect(await chain.publicClient.getBlockNumber()).toBe(before)
  // The channel is as it was: an honest answer closes it.
  provider.instead = () => undefined
  await client.fetch(url('/joke'))
  expect(await client.close(channelId)).toMatchObject({ finalAmount: '0.004' })
})

test('what was paid and got no answer may be charged', async () => {
  const channelId = await use()
  provider.instead = (_, { voucher }) => (voucher ? dropped : undefined)
  await expect(client.fetch(url('/joke'))).rejects.toThrow()
  answerClose(async (id) => Response.json(await consent(chain, chain.accounts[1], id, 4_000n)))
  expect(await client.close(channelId)).toMatchObject({ finalAmount: '0.004' })
})

test('a consent that someone else signed is none', async () => {
  const channelId = await use()
  answerClose(async (id) => Response.json(await consent(chain, chain.accounts[2], id, 3_000n)))
  await expect(client.close(channelId)).rejects.toThrow(/without a valid signature/)
  answerClose(async (id) => Response.json({ channelId: id, finalAmount: '3000' }))
  await expect(client.close(channelId)).rejects.toThrow(/without a valid signature/)
})

test('a transaction that did not close the channel does not count; a consent beside it does', async () => {
  const channelId = await use()
  const hash = await chain.walletClient(chain.accounts[1]).sendTransaction({ to: chain.accounts[1].address })
  await chain.publicClient.waitForTransactionReceipt({ hash })
  answerClose((id) => Response.json({ channelId: id, finalAmount: '3000', txHash: hash }))
  await expect(client.close(channelId)).rejects.toThrow(/did not close channel/)
  answerClose(async (id) =>
    Response.json({ ...(await consent(chain, chain.accounts[1], id, 3_000n)), txHash: hash }),
  )
  const closed = await client.close(channelId)
  expect(closed).toMatchObject({ finalAmount: '0.003' })
  expect(closed.txHash).not.toBe(hash)
})

test('a provider that takes all that was signed: closed, and said', async () => {
  provider.cost = (quote) => quote / 10n
  const channelId = await use()
  const highest = provider.vouchers().at(-1)
  expect(highest?.amount).toBe(1_200n)
  answerClose(async (id) => {
    const { amount = 0n, nonce = 0n, signature = '0x' } = highest ?? {}
    const txHash = await sendAsProvider('claimAndClose', [id, amount, nonce, amount, signature])
    return Response.json({ channelId: id, finalAmount: '300', txHash })
  })
  const closing = client.close(channelId)
  await expect(closing).rejects.toThrow(/takes 0\.001200 USDC .* at most 0\.000300 USDC was charged/)
  await expect(closing).rejects.toThrow(/The channel is closed; 0\.998800 USDC came back/)
  expect(await client.channels()).toMatchObject([{ state: 'closed' }])
  expect(await client.spending()).toMatchObject({ charged: '0.0012', locked: '0' })
})

test('what is claimed on chain already can be agreed to: refusing would lock the rest', async () => {
  provider.cost = (quote) => quote / 10n
  const channelId = await use()
  const { amount = 0n, nonce = 0n, signature = '0x' } = provider.vouchers().at(-1) ?? {}
  await sendAsProvider('claim', [channelId, amount, nonce, signature])
  answerClose(async (id) => Response.json(await consent(chain, chain.accounts[1], id, amount)))
  await expect(client.close(channelId)).rejects.toThrow(/The channel is closed/)
  expect(await client.channels()).toMatchObject([{ state: 'closed' }])
})

test.each([
  ['drops the connection', () => dropped],
  ['answers an error', () => new Response('', { status: 500 })],
  ['redirects', () => Response.redirect('https://elsewhere.example/', 307)],
  [
    'talks about another channel',
    () => Response.json({ channelId: `0x${'11'.repeat(32)}`, finalAmount: '0' }),
  ],
  ['names no amount', (channelId: Hex) => Response.json({ channelId, finalAmount: 3_000 })],
  ['sends no JSON', () => new Response('closed')],
])('a provider that %s: an error now, closed alone after expiry', async (_, answer) => {
  const channelId = await use()
  answerClose(answer)
  await expect(client.close(channelId)).rejects.toMatchObject({ code: 'close_failed' })
  expect(await client.channels()).toMatchObject([{ state: 'open' }])
  const [{ expiry = 0n } = {}] = await client.channels()
  await chain.testClient.setNextBlockTimestamp({ timestamp: expiry })
  await chain.testClient.mine({ blocks: 1 })
  time = Number(expiry) * 1_000
  provider.seen.length = 0
  expect(await client.close(channelId)).toMatchObject({ finalAmount: '0', refund: '1' })
  expect(provider.seen).toEqual([])
})

test('closing twice at once closes once', async () => {
  const channelId = await use()
  const [first, second] = await Promise.all([client.close(channelId), client.close(provider.origin)])
  expect(second).toEqual(first)
  expect(provider.seen.filter(({ path }) => path === '/v1/close-channel')).toHaveLength(1)
})

test('a channel that the provider closed by itself is found to be closed', async () => {
  const channelId = await use()
  const { amount = 0n, nonce = 0n, signature = '0x' } = provider.vouchers().at(-1) ?? {}
  const txHash = await sendAsProvider('claimAndClose', [channelId, amount, nonce, amount, signature])
  // A provider that still knows how tells it.
  answerClose((id) => Response.json({ channelId: id, finalAmount: `${amount}`, txHash }))
  expect(await client.close(channelId)).toMatchObject({ finalAmount: '0.003', txHash })

  const another = await use().then(async () => (await client.channels())[1]?.channelId ?? '0x')
  const last = provider.vouchers().at(-1)
  await sendAsProvider('claimAndClose', [another, last?.amount, last?.nonce, last?.amount, last?.signature])
  answerClose(() => new Response('', { status: 404 }))
  await expect(client.close(another)).rejects.toThrow(ChannelNotFoundError)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'closed'])
  expect(await client.closeAll()).toEqual([])
})

test('while it closes, nothing is paid from it', async () => {
  const channelId = await use()
  answerClose(async (id) => {
    await client.fetch(url('/joke'))
    return Response.json(await consent(chain, chain.accounts[1], id, provider.books(id).charged))
  })
  expect(await client.close(channelId)).toMatchObject({ finalAmount: '0.003' })
  expect((await client.channels()).map(({ state, charged }) => [state, charged])).toEqual([
    ['closed', '0.003'],
    ['open', '0.001'],
  ])
})

test('closeAll closes what it can, and says what it could not', async () => {
  const other = await startTestProvider(chain, chain.accounts[2])
  await use()
  await client.fetch(`${other.origin}/joke`)
  answerClose(() => dropped)
  await expect(client.closeAll()).rejects.toMatchObject({ code: 'close_failed' })
  expect((await client.channels()).map(({ state }) => state)).toEqual(['open', 'closed'])
  provider.instead = () => undefined
  expect(await client.closeAll()).toMatchObject([{ finalAmount: '0.003' }])
  expect(await client.closeAll()).toEqual([])

  await use()
  await client.fetch(`${other.origin}/joke`)
  answerClose(() => dropped)
  other.instead = (_, { path }) => (path === '/v1/close-channel' ? dropped : undefined)
  const failed = client.closeAll()
  await expect(failed).rejects.toThrow('2 of 2 channels were not closed')
  await expect(failed).rejects.toMatchObject({ cause: expect.any(AggregateError) })
  await other.close()
})
