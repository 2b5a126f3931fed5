/** Codes that are good for USDC and gas once. What is kept of them is their hash. */
import { createHash, randomInt } from 'node:crypto'
import { Usdc } from '@drain/core'
import { type Address, formatEther } from 'viem'
import { Problem } from '../problem.ts'
import type { FundSettings } from '../settings.ts'
import type { Sql } from '../store/Database.ts'
import { cannotReceive, chainUnavailable, empty } from './fundProblems.ts'
import type { Grant } from './Grant.ts'
import { type Grants, outstanding, promise, promisedSince, readGrant } from './Grants.ts'
import type { HotWallet } from './HotWallet.ts'

export type Invite = { gas: bigint; usdc: bigint; expiresAt: number; grantId: string | null }

type Options = {
  budget: NonNullable<FundSettings['invites']>
  grants: Grants
  wallet: HotWallet
  now(): number
}

/** Crockford's: without letters that look like others. Twenty of 32 are 100 bits. */
const letters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * Makes codes, which nobody can be told again.
 *
 * @throws {Problem} 409 where the budget has no room for all that is promised then.
 */
export async function makeInvites(
  { budget, grants, now }: Options,
  { count, gas, usdc, expiresAt }: { count: number; gas: bigint; usdc: bigint; expiresAt: number },
): Promise<string[]> {
  const codes = Array.from({ length: count }, makeCode)
  const time = now()
  const room = await grants.database.transaction(async (sql) => {
    const left = await leftOf(sql, budget, time)
    if (left.gas < gas * BigInt(count) || left.usdc < usdc * BigInt(count)) return left
    for (const code of codes) {
      await sql.run(
        'INSERT INTO invites (hash, gas, usdc, created_at, expires_at, grant_id) VALUES ($1, $2, $3, $4, $5, NULL)',
        ...[hashOf(code), gas.toString(), usdc.toString(), time, expiresAt],
      )
    }
    return undefined
  })
  if (!room) return codes
  const left = { gas: formatEther(room.gas), usdc: Usdc.format(room.usdc) }
  throw new Problem(
    409,
    'over_budget',
    `The budget has ${left.usdc} USDC and ${left.gas} of the coin left.`,
    {
      action: 'Make fewer or smaller invites, or raise the budget.',
      details: { left },
    },
  )
}

/** One that can be used. */
export async function openInvite({ grants, now }: Options, code: string): Promise<Invite | undefined> {
  const invite = await readInvite(grants.database, code)
  return invite && isOpen(invite, now()) ? invite : undefined
}

/**
 * Promises what a code is good for. The same wallet gets the same answer again.
 *
 * @throws {Problem} one and the same for codes that are unknown, expired and used.
 */
export async function useInvite(
  options: Options,
  { code, address }: { code: string; address: Address },
): Promise<Grant> {
  const { budget, grants, wallet, now } = options
  const seen = await readInvite(grants.database, code)
  const own = await ownGrant(grants.database, seen, address)
  if (own) return own
  if (!seen || !isOpen(seen, now())) throw unusable()
  const { gas, usdc } = seen

  const [holdings, ...fees] = await Promise.all([wallet.own(), wallet.fee('gas'), wallet.fee('usdc')]).catch(
    chainUnavailable,
  )
  const fee = fees.reduce((sum, one) => sum + one, 0n)
  if (holdings.gas < gas + fee || holdings.usdc < usdc) throw empty()
  const gifts = [
    ...(usdc > 0n ? [{ to: address, part: 'usdc' as const, amount: usdc }] : []),
    ...(gas > 0n ? [{ to: address, part: 'gas' as const, amount: gas }] : []),
  ]
  const taken = await Promise.all(gifts.map((gift) => wallet.isTaken(gift))).catch(chainUnavailable)
  if (taken.includes(false)) throw cannotReceive(address)

  const time = now()
  const promised = await grants.database.transaction(async (sql) => {
    const invite = await readInvite(sql, code)
    const earlier = await ownGrant(sql, invite, address)
    if (earlier) return earlier
    if (!invite || !isOpen(invite, time)) return 'unusable'
    const spent = await promisedSince(sql, 'invite', -1)
    if (spent.gas + gas > budget.gas || spent.usdc + usdc > budget.usdc) return 'empty'
    const owed = await outstanding(sql)
    if (holdings.gas < owed.gas + gas + fee || holdings.usdc < owed.usdc + usdc) return 'empty'
    const grant = await promise(sql, { kind: 'invite', address, gas, usdc, network: '', now: time })
    await sql.run('UPDATE invites SET grant_id = $1 WHERE hash = $2', grant.id, hashOf(code))
    return grant
  })
  if (promised === 'unusable') throw unusable()
  if (promised === 'empty') throw empty()
  return promised
}

/** What neither grants have taken nor codes that can still be used promise. */
async function leftOf(sql: Sql, budget: { gas: bigint; usdc: bigint }, now: number) {
  const spent = await promisedSince(sql, 'invite', -1)
  const rows = await sql.all<{ gas: string; usdc: string }>(
    'SELECT gas, usdc FROM invites WHERE grant_id IS NULL AND expires_at > $1',
    now,
  )
  const open = rows.reduce(
    (sum, { gas, usdc }) => ({ gas: sum.gas + BigInt(gas), usdc: sum.usdc + BigInt(usdc) }),
    { gas: 0n, usdc: 0n },
  )
  return { gas: budget.gas - spent.gas - open.gas, usdc: budget.usdc - spent.usdc - open.usdc }
}

async function readInvite(sql: Sql, code: string): Promise<Invite | undefined> {
  const row = await sql.one<{ gas: string; usdc: string; expires_at: number; grant_id: string | null }>(
    'SELECT gas, usdc, expires_at, grant_id FROM invites WHERE hash = $1',
    hashOf(code),
  )
  return (
    row && {
      ...{ gas: BigInt(row.gas), usdc: BigInt(row.usdc) },
      ...{ expiresAt: Number(row.expires_at), grantId: row.grant_id },
    }
  )
}

/** What this very wallet got for the code. */
async function ownGrant(sql: Sql, invite: Invite | undefined, address: Address): Promise<Grant | undefined> {
  const grant = invite?.grantId ? await readGrant(sql, invite.grantId) : undefined
  return grant?.address === address ? grant : undefined
}

const isOpen = ({ grantId, expiresAt }: Invite, now: number) => grantId === null && expiresAt > now

function makeCode(): string {
  const text = Array.from({ length: 20 }, () => letters[randomInt(letters.length)]).join('')
  return text.replace(/.{5}(?=.)/g, '$&-')
}

/** However it was typed. */
function hashOf(code: string): string {
  const typed = code.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1')
  return createHash('sha256').update(typed).digest('hex')
}

const unusable = () =>
  new Problem(
    404,
    'invite_unusable',
    'This code can’t be used: there is none like it, it has expired, or somebody used it.',
    {
      action: 'Ask whoever gave it to you for another one.',
    },
  )
