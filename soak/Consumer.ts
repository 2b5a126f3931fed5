/** A consumer that does what consumers do, honest and other, until it is told to stop. */
import { Channel, drainChannelAbi } from '@drain/core'
import { encodeFunctionData, parseEventLogs } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { askToClose, close as closeExpired, cooperativeClose, onChain } from './leave.ts'
import { ask, pay, payTwins, type Route, voucherOf } from './pay.ts'
import { prices, type Work } from './prices.ts'
import type { Rng } from './Rng.ts'
import { createTab, type Tab } from './Tab.ts'
import type { World } from './World.ts'

const weights = {
  one: 30,
  burst: 14,
  stream: 14,
  abort: 6,
  abortedStream: 6,
  retry: 12,
  twins: 10,
  replay: 5,
  overspend: 3,
  forge: 2,
  close: 2,
  leave: 1,
}

/** Seconds that channels are opened for. Their margins leave the settlement time enough, whatever happens to it. */
const durations = { from: 1_200, to: 3_600 }

/** Resolves when it has stopped and all its requests have ended. */
export async function consume(world: World, consumer: PrivateKeyAccount, rng: Rng): Promise<void> {
  const background = new Set<Promise<unknown>>()
  let tab: Tab | undefined
  /** Channels that are not used any more, and may still have to be closed, from when on (Unix seconds). */
  const left = new Map<Tab, bigint>()

  function beside(work: Promise<unknown>): void {
    const guarded = work
      .catch((error) => world.violate(tab, `the consumer failed: ${(error as Error).stack}`))
      .finally(() => background.delete(guarded))
    background.add(guarded)
  }

  async function open(): Promise<Tab | undefined> {
    const deposit = BigInt(rng.int(40, 600)) * 1_000n
    const duration = BigInt(rng.int(durations.from, durations.to))
    const args = [world.provider, deposit, duration] as const
    const data = encodeFunctionData({ abi: drainChannelAbi, functionName: 'open', args })
    const { contract } = world.chain.deployment
    const hash = await world.wallets.send(consumer, contract, data)
    const receipt = await world.wallets.receipt(hash)
    const [opened] = parseEventLogs({
      abi: drainChannelAbi,
      eventName: 'ChannelOpened',
      logs: receipt?.logs ?? [],
    })
    if (!opened) {
      world.violate(undefined, `an open failed: ${hash}`)
      return undefined
    }
    const channelId = Channel.parseId(opened.args.channelId)
    const tab = createTab({ channelId, consumer, deposit, now: world.now })
    tab.note(
      `opened by ${consumer.address} with ${deposit} for ${duration} s in block ${receipt?.blockNumber}`,
    )
    world.tabs.set(channelId, tab)
    left.set(tab, opened.args.expiry)
    world.count('open')
    return tab
  }

  const any = (): [Route, Work] => {
    const delayMs = rng.chance(0.3) ? rng.int(0, 300) : 0
    if (rng.chance(0.5)) return ['fixed', { cost: 0, delayMs }]
    // Sometimes more than was quoted: then the quote is what it costs.
    const cost = rng.int(0, Number(prices.quoted) + 200)
    return ['quoted', { cost, delayMs, fails: rng.chance(0.05) }]
  }
  const stream = (): [Route, Work] => {
    const events = rng.int(1, 20)
    return ['stream', { cost: rng.int(10, 1_000), delayMs: rng.int(0, 150), events }]
  }

  /** A voucher that was used must not be taken again. */
  async function replay(tab: Tab): Promise<void> {
    if (tab.spent.length === 0) return
    const again = await answerTo(rng.pick(tab.spent))
    if (again?.ok) world.violate(tab, 'a voucher was taken a second time')
  }

  async function overspend(tab: Tab): Promise<void> {
    if (rng.chance(0.5)) {
      const answer = await answerTo(await voucherOf(world, tab, tab.deposit + 1n))
      if (answer?.ok) world.violate(tab, 'a voucher above the deposit was taken')
      return
    }
    // Below what was authorized a voucher is judged by that: what earlier ones left over may pay for it. Vouchers that were signed
    // before and are still to arrive, or to arrive again, don't cover it.
    if (tab.running > 0n) return
    tab.begin(prices.fixed)
    const answer = await answerTo(await voucherOf(world, tab, 0n))
    const cost = answer?.ok ? BigInt(answer.headers.get('X-DRAIN-Cost') ?? 0) : 0n
    const isKnown = answer && answer.status < 500
    tab.end(prices.fixed, { cost, unknown: isKnown ? 0n : prices.fixed })
    tab.note(`a voucher of nothing: ${answer?.status ?? 'lost'}, cost ${cost}`)
  }

  async function forge(tab: Tab): Promise<void> {
    const forger = privateKeyToAccount(generatePrivateKey())
    const answer = await answerTo(await voucherOf(world, tab, tab.deposit, forger))
    if (answer?.ok) world.violate(tab, 'a forged voucher was taken')
  }

  async function answerTo(voucher: string): Promise<Response | undefined> {
    const answer = await ask(world, 'fixed', { cost: 0, delayMs: 0 }, voucher).catch(() => undefined)
    await answer?.arrayBuffer().catch(() => {})
    if (answer) world.count(`misused voucher ${answer.headers.get('X-DRAIN-Error') ?? answer.status}`)
    return answer
  }

  async function close(tab: Tab): Promise<void> {
    tab.over ??= 'closed by its consumer'
    for (let tries = 0; tries < 8 && !world.isEnding; tries += 1) {
      const answer = await askToClose(world, tab)
      if (!answer) {
        await world.pause(rng.int(500, 3_000))
        continue
      }
      // Settled by the provider; or the consumer does it, or leaves it until the expiry.
      if (!answer.txHash && rng.chance(0.7)) await cooperativeClose(world, tab, answer)
      return
    }
  }

  /** Takes back what is left as soon as that may be: what the provider has not claimed by then, it has lost. */
  async function collect(tab: Tab): Promise<void> {
    const channel = await onChain(world, tab)
    if (!channel) return
    const { timestamp } = await world.chain.publicClient.getBlock()
    if (timestamp < channel.expiry) left.set(tab, channel.expiry)
    else await closeExpired(world, tab)
  }

  async function act(tab: Tab): Promise<void> {
    const what = rng.weighted(weights)
    const key = `${consumer.address.slice(2, 10)}-${tab.requests}`
    if (what === 'one') await pay(world, tab, ...any())
    else if (what === 'stream') await pay(world, tab, ...stream())
    else if (what === 'burst')
      for (let count = rng.int(2, 6); count > 0; count -= 1)
        beside(pay(world, tab, ...(rng.chance(0.2) ? stream() : any())))
    else if (what === 'abort') await pay(world, tab, ...any(), { abortAfterMs: rng.int(0, 100) })
    else if (what === 'abortedStream')
      await pay(world, tab, ...stream(), { abortAfterMs: rng.int(20, 1_500) })
    else if (what === 'retry')
      beside(pay(world, tab, ...any(), { key, abortAfterMs: rng.chance(0.6) ? rng.int(0, 100) : undefined }))
    else if (what === 'twins')
      await payTwins(world, tab, key, [0, ...Array.from({ length: 5 }, () => rng.int(1, 8))])
    else if (what === 'replay') await replay(tab)
    else if (what === 'overspend') await overspend(tab)
    else if (what === 'forge') await forge(tab)
    else if (what === 'close') beside(close(tab))
    else tab.over = 'left until its expiry'
  }

  while (!world.isEnding) {
    // One that can't pay for any request any more is over too.
    if (tab && !tab.over && tab.cover(prices.quoted) === undefined) tab.over = 'used up'
    if (tab?.over) {
      if (tab.over !== 'left until its expiry' && tab.over !== 'closed by its consumer' && rng.chance(0.6))
        beside(close(tab))
      tab = undefined
    }
    for (const [other, expiry] of left) {
      if (other === tab || world.now() / 1_000 < expiry) continue
      left.delete(other)
      beside(collect(other))
    }
    try {
      tab ??= await open()
      if (tab) await act(tab)
    } catch (error) {
      world.violate(tab, `the consumer failed: ${(error as Error).stack}`)
    }
    await world.pause(rng.int(100, 2_500))
  }
  await Promise.all(background)
}
