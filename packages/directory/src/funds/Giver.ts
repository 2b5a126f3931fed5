/**
 * Brings grants from promise to chain. Each step is written down before the next is taken, so that whoever comes after a crash goes on
 * with the same signed transactions; several processes may do it at once, since a nonce belongs to whoever writes it down first.
 */
import { type Grant, type GrantTransaction, isSettled, type Part, partsOf } from './Grant.ts'
import type { Gift } from './HotWallet.ts'
import { createRaiser, type RaiserParts } from './Raiser.ts'

export type Giver = {
  /** As far as it gets now. Never throws: what stays is gone on with by {@link Giver.resume}. */
  give(grant: Grant): Promise<Grant>
  /** Goes on with everything that is under way; how many still are. @throws where the database is out of reach. */
  resume(): Promise<number>
}

const mostNonces = 100

export function createGiver(parts: RaiserParts): Giver {
  const { grants, wallet, log } = parts
  const raiser = createRaiser(parts)
  /** One at a time, so that the nonces of this process come in order. */
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<result>(work: () => Promise<result>): Promise<result> {
    const turn = last.then(work, work)
    last = turn.catch(() => undefined)
    return turn
  }

  async function proceed(grant: Grant): Promise<Grant> {
    if (isSettled(grant)) return grant
    if (grant.state === 'promised') {
      await signAll(grant)
      await grants.advance(grant.id, ['promised'], 'signed')
    }
    const waiting = await settle(await grants.transactionsOf(grant.id))
    const latest: GrantTransaction[] = []
    for (const transaction of waiting) latest.push(await raiser.raiseIfStuck(transaction))
    await send(grant, latest)
    return conclude(grant)
  }

  async function signAll(grant: Grant): Promise<void> {
    const kept = new Set((await grants.transactionsOf(grant.id)).map(({ part }) => part))
    for (const part of partsOf(grant)) {
      if (!kept.has(part)) await sign(grant, part)
    }
  }

  async function sign(grant: Grant, part: Part): Promise<void> {
    for (let attempt = 0; attempt < mostNonces; attempt++) {
      const nonce = await grants.freeNonce(wallet.id, await wallet.nextNonce())
      const signed = await wallet.sign(giftOf(grant, part), nonce)
      if (await grants.keep({ sender: wallet.id, nonce, grantId: grant.id, part, ...signed })) return
    }
    throw new Error('Others take every nonce.')
  }

  /** Also again what was sent already: nodes forget. */
  async function send(grant: Grant, waiting: readonly GrantTransaction[]): Promise<void> {
    let refused = 0
    for (const transaction of waiting) if (!(await sendOne(transaction))) refused++
    if (refused === 0) await grants.advance(grant.id, ['signed'], 'sent')
  }

  async function sendOne({ grantId, hash, raws }: GrantTransaction): Promise<boolean> {
    // The latest, or where the wallet has too little for it, an earlier one.
    for (const raw of raws.toReversed()) {
      const objection = await wallet.send(raw)
      if (objection === undefined) return true
      log.warn({ grant: grantId, hash, objection }, 'a node did not take the transaction of a grant')
    }
    return false
  }

  /** Writes down what the chain has made of them since they were sent. Those that no block has. */
  async function settle(transactions: readonly GrantTransaction[]): Promise<GrantTransaction[]> {
    const waiting: GrantTransaction[] = []
    for (const transaction of transactions) {
      if (transaction.state !== 'signed') continue
      const { state, hash } = await wallet.outcome(transaction)
      if (state === 'waiting') waiting.push(transaction)
      if (state === 'waiting' || state === 'mined') continue
      await grants.settle(transaction, { state, hash })
      if (state === 'replaced')
        log.warn({ hash }, 'another transaction took the nonce of a grant: it is signed again')
    }
    return waiting
  }

  async function conclude(grant: Grant): Promise<Grant> {
    const transactions = await grants.transactionsOf(grant.id)
    const isOver =
      transactions.length === partsOf(grant).length && transactions.every(({ state }) => state !== 'signed')
    if (isOver) {
      const refused = transactions.find(({ state }) => state === 'reverted')
      if (refused) {
        const has = (part: Part) => transactions.some((one) => one.part === part && one.state === 'done')
        const given = { gas: has('gas') ? grant.gas : 0n, usdc: has('usdc') ? grant.usdc : 0n }
        await grants.fail(grant.id, given, await wallet.refusal(giftOf(grant, refused.part)))
      } else await grants.advance(grant.id, ['signed', 'sent'], 'done')
    }
    return (await grants.get(grant.id)) ?? grant
  }

  function give(grant: Grant): Promise<Grant> {
    return inTurn(() => proceed(grant)).catch(async (error) => {
      log.warn({ err: error, grant: grant.id }, 'a grant did not get on')
      return grant
    })
  }

  return {
    give,
    async resume() {
      let left = 0
      for (const grant of await grants.underWay()) {
        if (!isSettled(await give(grant))) left++
      }
      if (left === 0) raiser.forget()
      return left
    },
  }
}

function giftOf({ address, gas, usdc }: Grant, part: Part): Gift {
  return { to: address, part, amount: part === 'gas' ? gas : usdc }
}
