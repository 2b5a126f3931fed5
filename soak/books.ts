/** The balance at the end, to the unit: what consumers were told, what the ledger holds, what the chain paid and refunded. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { drainChannelAbi, Usdc } from '@drain/core'
import type { ClaimRecord } from '@drain/provider'
import { erc20Abi, type Hex } from 'viem'
import { main } from '../packages/provider/src/cli/main.ts'
import { createJournal, type Entry } from '../packages/provider/src/settle/Journal.ts'
import { all, withBooks } from './ledgerFile.ts'
import { settings } from './settings.ts'
import type { World } from './World.ts'
import { readWorked } from './worked.ts'

/** What the chain did with one channel. Base units. */
type Payments = {
  deposit: bigint
  claimed: bigint
  fees: bigint
  refunded: bigint | undefined
  story: string[]
}

/** Sums of the run. Base units, gas in wei. */
export type Balance = {
  channels: number
  told: bigint
  /** Of requests whose answers were lost: what they may have cost. */
  unknown: bigint
  charged: bigint
  claimed: bigint
  /** Charged, less than a claim is worth, and left. */
  dust: bigint
  deposited: bigint
  paid: bigint
  fees: bigint
  refunded: bigint
  transactions: number
  gas: bigint
}

/** Balances held before the run. */
export type Before = { provider: bigint; fees: bigint; consumers: ReadonlyMap<Hex, bigint>; native: bigint }

export async function balance(
  world: World,
  { path, folder, before }: { path: string; folder: string; before: Before },
): Promise<{ balance: Balance; mismatches: string[]; stories: Map<Hex, string[]> }> {
  const mismatches: string[] = []
  const wrong = new Set<Hex>()
  function same(what: string, a: bigint | number, b: bigint | number, channelId?: Hex): void {
    if (BigInt(a) === BigInt(b)) return
    mismatches.push(`${channelId ? `channel ${channelId}: ` : ''}${what}: ${a} and ${b}`)
    if (channelId) wrong.add(channelId)
  }
  function holds(what: string, isSo: boolean, channelId?: Hex): void {
    if (!isSo) same(what, 0, 1, channelId)
  }

  const chain = await readChain(world)
  const exported = await readExport(path, folder)
  const read = await withBooks(path, async ({ ledger, claims }) => ({
    states: await all(ledger.channels()),
    totals: await ledger.totals(),
    claims: (await all(claims({}))).flat(),
    journal: await all(createJournal(ledger.notebook, world.provider).all()),
  }))
  const worked = readWorked(path)
  const states = new Map(read.states.map((state) => [state.channelId, state]))
  const claimsOf = new Map<Hex, ClaimRecord[]>()
  for (const claim of read.claims)
    claimsOf.set(claim.channelId, [...(claimsOf.get(claim.channelId) ?? []), claim])
  const minPayout = Usdc.parse(settings.minPayout)
  const sums = {
    ...{ channels: chain.size, told: 0n, unknown: 0n, charged: 0n, claimed: 0n, dust: 0n },
    ...{ deposited: 0n, paid: 0n, fees: 0n, refunded: 0n, transactions: read.journal.length, gas: 0n },
  }

  for (const channelId of new Set([...world.tabs.keys(), ...states.keys(), ...chain.keys()])) {
    const [tab, state, payments] = [world.tabs.get(channelId), states.get(channelId), chain.get(channelId)]
    if (!tab || !payments) {
      mismatches.push(`channel ${channelId} is on ${payments ? 'the chain' : 'no chain'} and nobody’s here`)
      wrong.add(channelId)
      continue
    }
    const charged = state?.charged ?? 0n
    const claimed = state?.claimed ?? 0n
    const dust = charged - claimed
    sums.told += tab.told
    sums.unknown += tab.unknown
    sums.charged += charged
    sums.claimed += claimed
    sums.dust += dust
    sums.deposited += payments.deposit
    sums.paid += payments.claimed
    sums.fees += payments.fees
    sums.refunded += payments.refunded ?? 0n
    const of = (what: string, a: bigint, b: bigint) => same(what, a, b, channelId)
    const is = (what: string, isSo: boolean) => holds(what, isSo, channelId)
    is(`charged ${charged} ≥ told ${tab.told}`, charged >= tab.told)
    is(`charged ${charged} ≤ told + lost ${tab.told + tab.unknown}`, charged <= tab.told + tab.unknown)
    const { least, most, unpaid } = worked.get(channelId) ?? { least: 0n, most: 0n, unpaid: 0n }
    is(`charged ${charged} ≥ settled by the server ${least}`, charged >= least)
    is(`charged ${charged} ≤ worked by the server ${most}`, charged <= most)
    is(`nothing that was worked is given away: ${unpaid}`, unpaid === 0n)
    is(`charged ${charged} ≥ the total that was told, ${tab.total}`, charged >= tab.total)
    is(`nothing runs: ${tab.running}`, tab.running === 0n)
    is(`dust is less than a claim is worth: ${dust}`, dust >= 0n && (dust === 0n || dust < minPayout))
    is('no alarm', !state?.alarm)
    is('the channel is closed in the ledger', !state || state.status === 'closed')
    of('claimed in the ledger and on chain', claimed, payments.claimed)
    of('claims booked and claimed', sumOf(claimsOf.get(channelId), 'amount'), claimed)
    of('fees booked and on chain', sumOf(claimsOf.get(channelId), 'fee'), payments.fees)
    of('charged in the export and in the ledger', exported.get(channelId)?.charged ?? 0n, charged)
    of('claimed in the export and in the ledger', exported.get(channelId)?.claimed ?? 0n, claimed)
    is('the channel is closed on chain', payments.refunded !== undefined)
    of('deposit and claimed + refunded', payments.deposit, payments.claimed + (payments.refunded ?? 0n))
  }

  same('sums of the ledger: charged', read.totals.charged, sums.charged)
  same('sums of the ledger: claimed', read.totals.claimed, sums.claimed)
  same('alarms in the ledger', read.totals.alarms, 0)

  const { token, contract } = world.chain.deployment
  const balanceOf = (address: Hex) =>
    world.chain.publicClient.readContract({
      ...{ address: token, abi: erc20Abi, functionName: 'balanceOf', args: [address] },
    })
  same('left in the contract', await balanceOf(contract), 0n)
  same(
    'the provider’s balance + fees',
    (await balanceOf(world.provider)) - before.provider + sums.fees,
    sums.paid,
  )
  same('the fee recipient’s balance', (await balanceOf(world.chain.feeRecipient)) - before.fees, sums.fees)
  for (const [consumer, had] of before.consumers) {
    let [spent, back] = [0n, 0n]
    for (const tab of world.tabs.values()) {
      if (tab.consumer.address !== consumer) continue
      spent += chain.get(tab.channelId)?.deposit ?? 0n
      back += chain.get(tab.channelId)?.refunded ?? 0n
    }
    same(`consumer ${consumer}’s balance`, await balanceOf(consumer), had - spent + back)
  }

  await checkJournal(read.journal)
  const booked = sumOf(read.claims, 'gasCost')
  holds(`gas booked with claims ${booked} ≤ spent ${sums.gas}`, booked <= sums.gas)
  mismatches.push(...(await alarmsOf(path)))

  return { balance: sums, mismatches, stories: storiesOf() }

  async function checkJournal(journal: Entry[]): Promise<void> {
    const { publicClient } = world.chain
    const count = await publicClient.getTransactionCount({ address: world.provider })
    same('the account’s nonce and the journal’s entries', count, journal.length)
    for (const [index, { nonce, state, mined, attempts }] of journal.entries()) {
      same('a gap in the journal', nonce, index)
      holds(`entry ${nonce} is final: ${state}`, state === 'final')
      if (!mined) continue
      const receipt = await publicClient.getTransactionReceipt({ hash: mined.hash }).catch(() => undefined)
      holds(`entry ${nonce} is in the block that is written down`, receipt?.blockHash === mined.blockHash)
      holds(
        `entry ${nonce} is one of its attempts`,
        attempts.some(({ hash }) => hash === mined.hash),
      )
      sums.gas += mined.gasCost
    }
    const native = await publicClient.getBalance({ address: world.provider })
    same('gas spent and written down', before.native - native, sums.gas)
  }

  function storiesOf(): Map<Hex, string[]> {
    const stories = new Map<Hex, string[]>()
    const told = [...wrong, ...world.violations.flatMap(({ channelId }) => channelId ?? [])]
    for (const channelId of new Set(told)) {
      const state = states.get(channelId)
      stories.set(channelId, [
        ...(world.tabs.get(channelId)?.story ?? []),
        ...(chain.get(channelId)?.story ?? []),
        `ledger: ${state ? describe(state) : 'unknown'}`,
        ...(claimsOf.get(channelId) ?? []).map((claim) => `claim: ${describe(claim)}`),
        ...read.journal
          .filter(({ takes }) => takes.some((take) => take.channelId === channelId))
          .map((entry) => `journal: ${describe(entry)}`),
      ])
    }
    return stories
  }
}

function describe(value: object): string {
  return JSON.stringify(value, (_, field) => (typeof field === 'bigint' ? field.toString() : field))
}

function sumOf<name extends 'amount' | 'fee' | 'gasCost'>(
  claims: readonly Pick<ClaimRecord, name>[] | undefined,
  name: name,
): bigint {
  return (claims ?? []).reduce((sum, claim) => sum + (claim[name] as bigint), 0n)
}

/** The contract's events, a window after the other: those of a long run are too much for one answer. */
async function eventsOf({ publicClient, deployment }: World['chain']) {
  const blocks = 200n
  const head = await publicClient.getBlockNumber({ cacheTime: 0 })
  const read = (fromBlock: bigint) => {
    const range = { fromBlock, toBlock: fromBlock + blocks - 1n }
    const query = { address: deployment.contract, abi: drainChannelAbi, strict: true } as const
    return publicClient.getContractEvents({ ...query, ...range })
  }
  const logs: Awaited<ReturnType<typeof read>> = []
  for (let from = 0n; from <= head; from += blocks) logs.push(...(await read(from)))
  return logs
}

async function readChain({ chain, provider }: World): Promise<Map<Hex, Payments>> {
  const logs = await eventsOf(chain)
  const payments = new Map<Hex, Payments>()
  for (const { eventName, args, blockNumber, transactionHash } of logs) {
    if (!('channelId' in args)) continue
    if (eventName === 'ChannelOpened' && args.provider !== provider) continue
    const { channelId } = args
    const of = payments.get(channelId) ?? none()
    payments.set(channelId, of)
    of.story.push(`chain, block ${blockNumber}, ${transactionHash}: ${eventName} ${describe(args)}`)
    if (eventName === 'ChannelOpened') of.deposit += args.deposit
    if (eventName === 'ChannelClaimed') of.claimed += args.amount
    if (eventName === 'FeePaid') of.fees += args.amount
    if (eventName === 'ChannelClosed') of.refunded = (of.refunded ?? 0n) + args.refund
  }
  return payments
}

function none(): Payments {
  return { deposit: 0n, claimed: 0n, fees: 0n, refunded: undefined, story: [] }
}

/** `drain-provider export`, summed up by channel. */
async function readExport(
  path: string,
  folder: string,
): Promise<Map<Hex, { charged: bigint; claimed: bigint }>> {
  const out = join(folder, 'export.csv')
  await run(['export', '--ledger', path, '--out', out])
  const [head = '', ...lines] = readFileSync(out, 'utf8').trim().split('\n')
  const columns = head.split(',')
  const sums = new Map<Hex, { charged: bigint; claimed: bigint }>()
  for (const line of lines) {
    const row = Object.fromEntries(line.split(',').map((cell, index) => [columns[index], cell]))
    const channelId = row.channelId as Hex
    const sum = sums.get(channelId) ?? { charged: 0n, claimed: 0n }
    sums.set(channelId, sum)
    sum.charged += Usdc.parse(row.charged ?? '')
    sum.claimed += Usdc.parse(row.claimed ?? '')
  }
  return sums
}

/** What `drain-provider status` wants somebody to look at. */
async function alarmsOf(path: string): Promise<string[]> {
  const { code, text } = await run(['status', '--ledger', path, '--json', '--min-payout', settings.minPayout])
  const { alarms, transactions, needsAttention } = JSON.parse(text)
  const problems = [
    ...alarms.map((alarm: unknown) => `alarm: ${JSON.stringify(alarm)}`),
    ...transactions.map((transaction: unknown) => `unsettled: ${JSON.stringify(transaction)}`),
  ]
  if (problems.length === 0 && (code !== 0 || needsAttention)) problems.push(`drain-provider status: ${text}`)
  return problems
}

async function run(args: string[]): Promise<{ code: number; text: string }> {
  let text = ''
  let problem = ''
  const stdout = writable((chunk) => {
    text += chunk
  })
  const stderr = writable((chunk) => {
    problem += chunk
  })
  const code = await main(args, { stdout, stderr })
  if (code === 1 || code === 2) throw new Error(`drain-provider ${args[0]} failed: ${problem}`)
  return { code, text }
}

function writable(take: (chunk: string) => void): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      take(String(chunk))
      done()
    },
  })
}
