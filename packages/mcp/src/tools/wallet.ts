import { approveUsdc } from '@drain/consumer'
import { readWallet } from '@drain/consumer/node'
import { LimitExceededError, Usdc } from '@drain/core'
import { z } from 'zod'
import type { Purse } from '../createAgent.ts'
import { usdc } from '../text/plain.ts'
import { amount } from './shapes.ts'
import { defineTool } from './Tool.ts'

export const walletShape = z.object({
  address: z.string(),
  chainId: z.number(),
  contract: z.string(),
  usdc: z.string().describe('USDC in the wallet.'),
  gas: z.string().describe('The chain’s own coin, for transactions.'),
  allowance: z.string().describe('USDC that the contract may take for deposits.'),
  locked: z.string().describe('USDC in channels that are not closed.'),
  spentToday: z.string().describe('USDC promised to providers today (UTC).'),
  charged: z.string().describe('USDC that providers have charged, in all.'),
  limits: z.object({ perRequest: z.string(), perChannel: z.string(), perDay: z.string() }),
})

export type WalletShape = z.infer<typeof walletShape>

export async function describeWallet({ client, settings }: Purse): Promise<WalletShape> {
  const { perRequest, perChannel, perDay = '' } = settings.limits
  const [report, { locked: open, today, charged }, openings] = await Promise.all([
    readWallet(settings),
    client.spending(),
    client.openings(),
  ])
  const locked = addOpenings(open, openings)
  return { ...report, locked, spentToday: today, charged, limits: { perRequest, perChannel, perDay } }
}

/** What is locked with openings that nobody has heard of again. */
export function addOpenings(locked: string, openings: readonly { deposit: string }[]): string {
  return Usdc.format(openings.reduce((sum, { deposit }) => sum + Usdc.parse(deposit), Usdc.parse(locked)))
}

export const balance = defineTool({
  name: 'drain_balance',
  title: 'Wallet',
  description: 'What this wallet has: USDC, gas, allowance; what is locked in channels; what may be spent.',
  input: z.object({}),
  output: walletShape,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  async run(_, { agent }) {
    const wallet = await describeWallet(await agent.purse())
    const { address, chainId, gas, locked, spentToday, limits } = wallet
    const lines = [
      `Address: ${address} (chain ${chainId})`,
      `Balance: ${usdc(wallet.usdc)}, ${gas} of the chain’s coin for gas`,
      `Locked in channels: ${usdc(locked)}; the contract may take ${usdc(wallet.allowance)} more`,
      `Promised today: ${usdc(spentToday)} of ${usdc(limits.perDay)}; at most ${usdc(limits.perRequest)} a request and ${usdc(limits.perChannel)} a channel`,
    ]
    if (wallet.usdc === '0') lines.push(`Next: have the owner send USDC to ${address}.`)
    else if (gas === '0')
      lines.push('Next: without gas, only providers that open channels for you can be paid (gasless: true).')
    return { text: lines.join('\n'), data: wallet }
  },
})

export const approve = defineTool({
  name: 'drain_approve',
  title: 'Approve deposits',
  description: `Lets the channel contract take that much USDC for deposits: an exact amount, never unlimited. It replaces what was approved before.
Rarely needed: drain_open_channel approves its own deposit. One approval ahead of several channels saves gas.`,
  input: z.object({ amount: amount.optional().describe('Decimal USDC; the limit per channel by default.') }),
  output: z.object({ approved: z.string(), txHash: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  async run({ amount: wanted }, { agent, progress }) {
    const { wallet, settings, inTurn } = await agent.purse()
    const { perChannel, locked } = settings.limits
    const approved = Usdc.parse(wanted ?? perChannel)
    const most = locked === undefined ? 5n * Usdc.parse(perChannel) : Usdc.parse(locked)
    if (approved > most) {
      const message = `${Usdc.display(approved)} is more than may be locked in channels at once, ${Usdc.display(most)}.`
      throw new LimitExceededError('perChannel', message, 'Approve less.')
    }
    progress.say('Approving: waiting for the transaction')
    const { txHash } = await inTurn(() =>
      approveUsdc(wallet.client, { ...wallet.parameters, amount: approved }),
    )
    const text = `The contract may now take ${usdc(Usdc.format(approved))} for deposits (transaction ${txHash}).\nNext: drain_open_channel.`
    return { text, data: { approved: Usdc.format(approved), txHash } }
  },
})
