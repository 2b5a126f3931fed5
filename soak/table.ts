/** A run's result, for people. */
import { Usdc } from '@drain/core'
import { formatEther } from 'viem'
import type { SoakReport } from './soak.ts'

export function table({ balance, counts, problems }: SoakReport): string {
  const rows: [string, string][] = balance
    ? [
        ['channels', `${balance.channels}`],
        ['told to consumers', Usdc.display(balance.told)],
        ['answers lost, at most', Usdc.display(balance.unknown)],
        ['charged', Usdc.display(balance.charged)],
        ['claimed', Usdc.display(balance.claimed)],
        ['dust left', Usdc.display(balance.dust)],
        ['paid on chain', Usdc.display(balance.paid)],
        ['of that, fees', Usdc.display(balance.fees)],
        ['deposited', Usdc.display(balance.deposited)],
        ['refunded', Usdc.display(balance.refunded)],
        ['transactions', `${balance.transactions}`],
        ['gas', `${formatEther(balance.gas)} of the chain’s coin`],
      ]
    : []
  const happened = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, count]) => `${what} ${count}`)
  return [
    '',
    ...rows.map(([name, value]) => `${name.padEnd(22)} ${value.padStart(24)}`),
    '',
    happened.join('; '),
    ...problems.map((problem) => `PROBLEM: ${problem}`),
  ].join('\n')
}
