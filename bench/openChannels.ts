import { approveUsdc } from '@drain/consumer'
import type { LocalChain } from '@drain/consumer/testing'
import { Domain, Duration, drainChannelAbi, Voucher } from '@drain/core'
import type { ChannelFacts, Ledger } from '@drain/provider'
import { privateKeyOf } from './payers/drain.ts'
import { createSigner } from './payers/sign.ts'

/** What a block of the local chain takes, with room to spare. */
const perBlock = 100

/** Opens channels from the chain's first account to its second, as ones that nobody has claimed from yet. */
export async function openChannels(
  chain: LocalChain,
  count: number,
  deposit: bigint,
): Promise<ChannelFacts[]> {
  const { deployment, publicClient, testClient } = chain
  const [consumer, { address: provider }] = chain.accounts
  const { contract: address } = deployment
  await approveUsdc(chain.walletClient(consumer), { deployment, amount: deposit * BigInt(count) })
  const fromBlock = (await publicClient.getBlockNumber()) + 1n
  const first = await publicClient.getTransactionCount({ address: consumer.address })
  // The node signs: it is the fastest, and who signs is not what is measured.
  const wallet = chain.walletClient(consumer.address)
  const open = (nonce: number) =>
    wallet.writeContract({
      ...{ address, abi: drainChannelAbi, functionName: 'open', nonce, gas: 300_000n, chain: null },
      args: [provider, deposit, Duration.parse('24h')],
    })
  await testClient.setAutomine(false)
  for (let sent = 0; sent < count; ) {
    // One after the other: those that come too early wait for more than their turn.
    for (const until = Math.min(sent + perBlock, count); sent < until; sent += 1) await open(first + sent)
    await testClient.mine({ blocks: 1 })
  }
  await testClient.setAutomine(true)
  const opened = await publicClient.getContractEvents({
    ...{ address, abi: drainChannelAbi, eventName: 'ChannelOpened', fromBlock, strict: true },
  })
  if (opened.length !== count) throw new Error(`${opened.length} of ${count} channels were opened.`)
  return opened.map(({ args }) => ({ ...args, claimed: 0n }))
}

/**
 * Charges channels as a provider does, each by one request: of what is signed, all but a thousandth. `total`: in all, base units;
 * some more on each channel, so that no two vouchers are alike.
 */
export async function charge(
  chain: LocalChain,
  ledger: Ledger,
  { channels, total, nonce }: { channels: readonly ChannelFacts[]; total: bigint; nonce: bigint },
): Promise<void> {
  const domainSeparator = Domain.separator(chain.deployment)
  const signer = createSigner(privateKeyOf(chain.accounts[0]))
  const work = channels.map(async (channel, index) => {
    const unsigned = { channelId: channel.channelId, amount: total + BigInt(index), nonce }
    const voucher = { ...unsigned, signature: signer.sign(Voucher.digest(unsigned, domainSeparator)) }
    const before = (await ledger.get(channel.channelId))?.charged ?? 0n
    const quote = voucher.amount - before
    const reserved = await ledger.reserve({ channel, voucher, quote })
    if (!reserved.ok) throw new Error(reserved.code)
    const captured = await ledger.capture(reserved.reservationId, quote - total / 1_000n)
    if (!captured.ok) throw new Error(captured.code)
  })
  await Promise.all(work)
}
