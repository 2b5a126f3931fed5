/** Channels as a ledger knows them after a day's work: made up, so that there can be a million of them soon. */
import { createHash } from 'node:crypto'
import type { Address, Hex } from 'viem'
import * as Account from '../packages/provider/src/ledger/Account.ts'
import * as Day from '../packages/provider/src/ledger/Day.ts'
import type { ChannelFacts, LedgerVoucher } from '../packages/provider/src/ledger/Ledger.ts'

/** The channel number `index` of a provider. */
export function channelOf(index: number, provider: Address): ChannelFacts {
  return {
    channelId: `0x${createHash('sha256').update(String(index)).digest('hex')}`,
    consumer: `0x${(index + 1).toString(16).padStart(40, '0')}`,
    provider,
    deposit: 2n ** 60n,
    claimed: 0n,
    expiry: 4_000_000_000n,
  }
}

const signatures = Array.from({ length: 64 }, (_, index): Hex => {
  const hash = createHash('sha512').update(String(index)).digest('hex')
  return `0x${hash}1b`
})

/** For ten base units more than the one before. */
export function voucherOf(nonce: bigint): LedgerVoucher {
  return { amount: nonce * 10n, nonce, signature: signatures[Number(nonce % 64n)] ?? '0x' }
}

/** A channel that was served forty times today. */
export function usedAccount(index: number, provider: Address): Account.Account {
  const fresh = Account.open(channelOf(index, provider), Date.now())
  return {
    ...fresh,
    ...{ authorized: 400n, charged: 120n, requests: 40n, chargedOn: Day.at(Date.now()) },
    nonces: { highest: 40n, seen: 2n ** 40n - 1n },
    ...{ highest: voucherOf(40n), next: voucherOf(13n), claimable: voucherOf(12n) },
  }
}
