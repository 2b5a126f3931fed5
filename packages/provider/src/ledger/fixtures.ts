import type { Hex } from 'viem'
import type { ChannelFacts, LedgerIdentity, LedgerVoucher } from './Ledger.ts'

/** Whose ledger the tests open. */
export const identity: LedgerIdentity = {
  chainId: 31337,
  contract: '0x00000000000000000000000000000000000000cc',
  provider: '0x00000000000000000000000000000000000000bb',
}

let channels = 0

/** A channel that no test has used. */
export function aChannel(facts: Partial<ChannelFacts> = {}): ChannelFacts {
  channels += 1
  return {
    channelId: `0xabcdef${channels.toString(16).padStart(58, '0')}`,
    consumer: '0x00000000000000000000000000000000000000aa',
    provider: identity.provider,
    deposit: 1000n,
    claimed: 0n,
    expiry: 2_000_000_000n,
    ...facts,
  }
}

/** A voucher as the ledger gets it, whose signature says what it is for. */
export function aVoucher(amount: bigint, nonce: bigint): LedgerVoucher {
  const word = (value: bigint): string => BigInt.asUintN(256, value).toString(16).padStart(64, '0')
  return { amount, nonce, signature: `0x${word(amount)}${word(nonce)}1b` }
}

/** Any order, but the same in each run. */
export function shuffled<type>(items: readonly type[]): type[] {
  return items
    .map((item, index) => ({ item, rank: (index * 7919 + 104_729) % 65_537 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

/** The channels that `hammer.child.ts` works on. */
export function hammered(lane: number): ChannelFacts {
  const deposit = { 0: 1500n, 5: 500n, 6: 1000n }[lane] ?? 1_000_000n
  return aChannel({ channelId: `0x${'5e'.repeat(31)}0${lane}` as Hex, deposit })
}
