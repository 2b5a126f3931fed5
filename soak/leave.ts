/** What consumers ask about their channels, and how they end them. */
import { ChannelRequest, drainChannelAbi, Headers as Wire } from '@drain/core'
import { encodeFunctionData, type Hex } from 'viem'
import type { Tab } from './Tab.ts'
import type { World } from './World.ts'

type Answer = { finalAmount: string; txHash?: Hex; signature: Hex }

/** Asks the provider to close. `undefined` when it doesn't, for now. */
export async function askToClose(world: World, tab: Tab): Promise<Answer | undefined> {
  const { channelId, consumer } = tab
  const deadline = BigInt(Math.floor(world.now() / 1_000)) + 120n
  const signature = await consumer.signTypedData(
    ChannelRequest.typedData({ channelId, action: 'close', deadline }, world.chain.deployment),
  )
  const body = JSON.stringify({ channelId, deadline: deadline.toString(), signature })
  try {
    const response = await fetch(`${world.url}/v1/close-channel`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json' },
      signal: AbortSignal.timeout(90_000),
    })
    const answer = await response.json()
    const code = Wire.parseRejection(response.headers).code ?? response.status
    tab.note(
      `close: ${response.ok ? `final amount ${answer.finalAmount}, ${answer.txHash ?? 'signed'}` : code}`,
    )
    world.count(`close ${response.ok ? (answer.txHash ? 'settled' : 'signed') : code}`)
    if (!response.ok) return undefined
    const final = BigInt(answer.finalAmount)
    const [least, most] = [tab.told, tab.told + tab.unknown + tab.running]
    if (final < least || final > most)
      world.violate(tab, `the final amount is ${final}, and the consumer knows of ${least} to ${most}`)
    return answer
  } catch (error) {
    tab.note(`close: lost (${(error as Error).name})`)
    world.count('close lost')
    return undefined
  }
}

/** What the provider says is reserved on a channel, base units; `undefined` when it doesn't answer. */
export async function askReserved(world: World, { channelId, consumer }: Tab): Promise<bigint | undefined> {
  const deadline = BigInt(Math.floor(world.now() / 1_000)) + 120n
  const signature = await consumer.signTypedData(
    ChannelRequest.typedData({ channelId, action: 'state', deadline }, world.chain.deployment),
  )
  const headers = { 'X-DRAIN-Request': JSON.stringify({ deadline: deadline.toString(), signature }) }
  try {
    const signal = AbortSignal.timeout(60_000)
    const response = await fetch(`${world.url}/v1/channels/${channelId}`, { headers, signal })
    const { reserved } = await response.json()
    return response.ok ? BigInt(reserved) : undefined
  } catch {
    return undefined
  }
}

/** Closes with the provider's signature. */
export async function cooperativeClose(world: World, tab: Tab, answer: Answer): Promise<void> {
  const args = [tab.channelId, BigInt(answer.finalAmount), answer.signature] as const
  const data = encodeFunctionData({ abi: drainChannelAbi, functionName: 'cooperativeClose', args })
  await send(world, tab, 'closed with the signature', data)
}

/** Closes after the expiry. */
export async function close(world: World, tab: Tab): Promise<void> {
  const args = [tab.channelId] as const
  const data = encodeFunctionData({ abi: drainChannelAbi, functionName: 'close', args })
  await send(world, tab, 'taken back at the expiry', data)
}

async function send(world: World, tab: Tab, what: string, data: Hex): Promise<void> {
  const hash = await world.wallets.send(tab.consumer, world.chain.deployment.contract, data)
  const receipt = await world.wallets.receipt(hash)
  tab.note(`${what}: ${receipt?.status} in block ${receipt?.blockNumber}`)
  world.count(`${what}: ${receipt?.status}`)
}

/** Whether a channel is on chain, and its expiry. */
export async function onChain(world: World, tab: Tab): Promise<{ expiry: bigint } | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await look(world, tab)
    } catch (error) {
      // While its blocks are being replaced, anvil asks itself for one that is gone.
      if (tries === 20) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function look(world: World, { channelId }: Tab): Promise<{ expiry: bigint } | undefined> {
  const { publicClient, deployment } = world.chain
  const call = { address: deployment.contract, abi: drainChannelAbi, functionName: 'getChannel' } as const
  const ask = () => publicClient.readContract({ ...call, args: [channelId] })
  // In the middle of a reorganisation the node has no newest block.
  const [consumer, , , , expiry] = await ask().catch(() => world.pause(1_000).then(ask))
  return BigInt(consumer) === 0n ? undefined : { expiry }
}
