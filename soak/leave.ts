/** How consumers end their channels. */
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

/** Closes with the provider's signature. */
export async function cooperativeClose(world: World, tab: Tab, answer: Answer): Promise<void> {
  const args = [tab.channelId, BigInt(answer.finalAmount), answer.signature] as const
  await send(world, tab, encodeFunctionData({ abi: drainChannelAbi, functionName: 'cooperativeClose', args }))
}

/** Closes after the expiry. */
export async function close(world: World, tab: Tab): Promise<void> {
  const args = [tab.channelId] as const
  await send(world, tab, encodeFunctionData({ abi: drainChannelAbi, functionName: 'close', args }))
}

async function send(world: World, tab: Tab, data: Hex): Promise<void> {
  const hash = await world.wallets.send(tab.consumer, world.chain.deployment.contract, data)
  const receipt = await world.wallets.receipt(hash)
  tab.note(`close by the consumer: ${receipt?.status} in block ${receipt?.blockNumber}`)
  world.count(`consumer's close ${receipt?.status}`)
}

/** Whether a channel is on chain, and its expiry. */
export async function onChain(world: World, { channelId }: Tab): Promise<{ expiry: bigint } | undefined> {
  const [consumer, , , , expiry] = await world.chain.publicClient.readContract({
    address: world.chain.deployment.contract,
    abi: drainChannelAbi,
    functionName: 'getChannel',
    args: [channelId],
  })
  return BigInt(consumer) === 0n ? undefined : { expiry }
}
