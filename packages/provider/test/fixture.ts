/** A provider on a private chain and a consumer with an open channel, for tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { Channel, ChannelRequest, drainChannelAbi, Usdc, Voucher, Headers as Wire } from '@drain/core'
import { createPaywall, type Paywall, type PaywallConfig } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { erc20Abi, type Hex, type LocalAccount, parseEventLogs } from 'viem'

export type OpenChannel = {
  id: Hex
  deposit: bigint
  /** A header with a voucher; nonces rise by themselves. `signer` forges. */
  voucher(
    amount: bigint,
    options?: { nonce?: bigint; signer?: LocalAccount },
  ): Promise<Record<string, string>>
  /** Body of a close request, or header of a state request. */
  request(
    action: ChannelRequest.Action,
    options?: { signer?: LocalAccount; ahead?: bigint },
  ): Promise<{ deadline: string; signature: Hex }>
}

export type Fixture = {
  chain: LocalChain
  consumer: LocalAccount
  provider: LocalAccount
  stranger: LocalAccount
  /** A fresh folder, removed at the end. */
  folder: string
  paywall(options?: Partial<PaywallConfig>): Paywall
  open(options?: { amount?: string; duration?: bigint; to?: Hex; from?: LocalAccount }): Promise<OpenChannel>
  /** A paywall, and channels that owe it `owed` each, of which one base unit more is signed. */
  owing(
    count: number,
    owed: bigint,
    options?: Partial<PaywallConfig>,
  ): Promise<{ paywall: Paywall; channels: OpenChannel[]; ids: Hex[] }>
  /** How many transactions of the provider are mined. */
  sent(): Promise<number>
  /** USDC balance in base units. */
  balance(address: Hex): Promise<bigint>
  /** What the contract has paid out on a channel, in base units. */
  claimed(channelId: Hex): Promise<bigint>
  close(): Promise<void>
}

export async function startFixture(): Promise<Fixture> {
  const chain = await startLocalChain()
  const [consumer, provider, stranger] = chain.accounts
  const folder = mkdtempSync(join(tmpdir(), 'drain-provider-'))
  const paywalls: Paywall[] = []
  const { deployment, publicClient } = chain

  async function open({
    amount = '1',
    duration = 86_400n,
    to = provider.address,
    from = consumer as LocalAccount,
  } = {}) {
    const wallet = chain.walletClient(from)
    const deposit = Usdc.parse(amount)
    const approval = {
      address: deployment.token,
      abi: erc20Abi,
      functionName: 'approve',
      args: [deployment.contract, deposit],
    } as const
    await publicClient.waitForTransactionReceipt({ hash: await wallet.writeContract(approval) })
    const opening = {
      address: deployment.contract,
      abi: drainChannelAbi,
      functionName: 'open',
      args: [to, deposit, duration],
    } as const
    const receipt = await publicClient.waitForTransactionReceipt({
      hash: await wallet.writeContract(opening),
    })
    const [opened] = parseEventLogs({ abi: drainChannelAbi, eventName: 'ChannelOpened', logs: receipt.logs })
    if (!opened) throw new Error('no ChannelOpened')
    const id = Channel.parseId(opened.args.channelId)
    let nonces = 0n
    return {
      id,
      deposit,
      async voucher(amount, { nonce = ++nonces, signer = from } = {}) {
        const unsigned = { channelId: id, amount, nonce }
        const signature = await signer.signTypedData(Voucher.typedData(unsigned, deployment))
        return { [Wire.names.voucher[0]]: Voucher.toHeader({ ...unsigned, signature }) }
      },
      async request(action, { signer = from, ahead = 60n } = {}) {
        const { timestamp } = await publicClient.getBlock()
        const clock = BigInt(Math.floor(Date.now() / 1_000))
        const deadline = (timestamp > clock ? timestamp : clock) + ahead
        const signature = await signer.signTypedData(
          ChannelRequest.typedData({ channelId: id, action, deadline }, deployment),
        )
        return { deadline: deadline.toString(), signature }
      },
    } satisfies OpenChannel
  }

  function paywall(options: Partial<PaywallConfig> = {}): Paywall {
    const paywall = createPaywall({
      account: provider,
      chainId: chain.chainId,
      rpcUrl: chain.rpcUrl,
      contractAddress: deployment.contract,
      usdcAddress: deployment.token,
      ledger: sqliteLedger(join(folder, `${paywalls.length}.db`)),
      settle: false,
      graceMs: 1_000,
      log: () => {},
      ...options,
    })
    paywalls.push(paywall)
    return paywall
  }

  return {
    chain,
    consumer,
    provider,
    stranger,
    folder,
    paywall,
    open,
    async owing(count, owed, options) {
      const owner = paywall(options)
      const channels: OpenChannel[] = []
      for (let index = 0; index < count; index += 1) {
        const channel = await open()
        const headers = await channel.voucher(owed + 1n)
        const answer = await owner.handle(
          new Request('http://p.example/x', { headers }),
          owed,
          () => new Response('done'),
        )
        if (answer.status !== 200) throw new Error(`not served: ${await answer.text()}`)
        channels.push(channel)
      }
      return { paywall: owner, channels, ids: channels.map(({ id }) => id) }
    },
    sent: () => publicClient.getTransactionCount({ address: provider.address }),
    async claimed(channelId) {
      const [, , , claimed] = await publicClient.readContract({
        address: deployment.contract,
        abi: drainChannelAbi,
        functionName: 'getChannel',
        args: [channelId],
      })
      return claimed
    },
    balance: (address) =>
      publicClient.readContract({
        address: deployment.token,
        abi: erc20Abi,
        functionName: 'balanceOf',
        args: [address],
      }),
    async close() {
      await Promise.allSettled(paywalls.map((paywall) => paywall.close()))
      await chain.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
