/** A little of the chain's coin for wallets that have USDC and no gas. */
import { Usdc } from '@drain/core'
import { type Address, formatEther } from 'viem'
import { Problem } from '../problem.ts'
import type { FundSettings } from '../settings.ts'
import { cannotReceive, chainUnavailable, empty } from './fundProblems.ts'
import type { Grant } from './Grant.ts'
import { type Grants, latestOf, outstanding, promise, promisedSince } from './Grants.ts'
import type { HotWallet } from './HotWallet.ts'

export const dayMs = 86_400_000

type Options = {
  station: NonNullable<FundSettings['gasStation']>
  grants: Grants
  wallet: HotWallet
  now(): number
}

/**
 * Promises a wallet its gas: at most once a day for an address and for a network, and within the budget of a day.
 *
 * @param network Keyed hash of the network that asks.
 * @throws {Problem} that says what is missing, or when to ask again.
 */
export async function promiseGas(
  { station, grants, wallet, now }: Options,
  { address, network }: { address: Address; network: string },
): Promise<Grant> {
  const { gas, leastUsdc, perDay } = station
  const asker = { address, network }
  const before = await latestOf(grants.database, 'gas', asker, now() - dayMs)
  if (before) throw askedAlready(before, address, now())

  const gift = { to: address, part: 'gas', amount: gas } as const
  const [has, own, fee] = await Promise.all([
    wallet.balances(address),
    wallet.own(),
    wallet.fee('gas'),
  ]).catch(chainUnavailable)
  if (has.usdc < leastUsdc) {
    const [usdc, needed] = [Usdc.format(has.usdc), Usdc.format(leastUsdc)]
    throw new Problem(422, 'too_little_usdc', `The wallet has ${usdc} USDC, and must have ${needed}.`, {
      action: `Send ${Usdc.format(leastUsdc - has.usdc)} USDC more to ${address}, and ask again.`,
      details: { usdc, needed },
    })
  }
  if (has.gas >= gas) {
    throw new Problem(409, 'has_gas', `The wallet has ${formatEther(has.gas)} of the chain’s coin already.`, {
      action: 'Use that first.',
    })
  }
  if (own.gas < gas + fee) throw empty()
  if (!(await wallet.isTaken(gift).catch(chainUnavailable))) throw cannotReceive(address)

  const time = now()
  const promised = await grants.database.transaction(async (sql) => {
    const earlier = await latestOf(sql, 'gas', asker, time - dayMs)
    if (earlier) return { earlier }
    const { gas: spent, oldest } = await promisedSince(sql, 'gas', time - dayMs)
    if (spent + gas > perDay) return { oldest }
    if (own.gas < (await outstanding(sql)).gas + gas + fee) return 'empty'
    return { grant: await promise(sql, { kind: 'gas', address, gas, usdc: 0n, network, now: time }) }
  })
  if (promised === 'empty') throw empty()
  if (promised.grant) return promised.grant
  if (promised.earlier) throw askedAlready(promised.earlier, address, time)
  throw later(
    'budget_spent',
    'What there is for a day has been given away.',
    (promised.oldest ?? time) + dayMs,
    time,
  )
}

function askedAlready({ address: other, createdAt, id }: Grant, address: Address, now: number): Problem {
  const isOwn = other === address
  const message = isOwn ? 'This wallet got its gas today.' : 'Somebody on your network got gas today.'
  return later('asked_already', message, createdAt + dayMs, now, isOwn ? { grant: id } : {})
}

function later(code: string, message: string, at: number, now: number, details: object = {}): Problem {
  const askAgainAt = new Date(at + 1).toISOString()
  return new Problem(429, code, message, {
    action: `Ask again after ${askAgainAt}.`,
    details: { ...details, askAgainAt },
    headers: { 'Retry-After': String(Math.max(1, Math.ceil((at + 1 - now) / 1_000))) },
  })
}
