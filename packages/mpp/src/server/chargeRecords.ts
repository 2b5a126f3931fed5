/**
 * What became of every authorization that was taken: durable, so that none pays twice, and shared by all processes on the ledger.
 *
 * `taken`: work goes on for it; a lease, renewed meanwhile. `sending`: the work is done, and the transfer is on its way, or was about
 * to be; nothing was given for it yet. `settled`: the transfer is mined. `failed`: it can't be settled any more. Work that fails gives
 * it back: no record.
 */
import { type IdempotencyKey, type Notebook, authorizationName as nameOf } from '@drain/provider'
import type { Address, Hex } from 'viem'
import type { Authorization } from '../authorization.ts'

export type ChargeRecord = {
  readonly state: 'taken' | 'sending' | 'settled' | 'failed'
  /** Who works on it: made anew whenever it is taken. */
  readonly owner: string
  /** Until when its owner's lease lasts, in milliseconds of the store's clock. */
  readonly until: number
  /** The block when it was taken: it can't have been used in one before. */
  readonly block: string
  /** The authorization's own end, Unix seconds: the record matters no longer than that, but for what is kept with it. */
  readonly validBefore: string
  readonly key?: IdempotencyKey | undefined
  /** The signed authorization, from `sending` on. */
  readonly payload?: string | undefined
  readonly txHash?: Hex | undefined
  /** Its transfers, by their nonces in the journal; `null`: one that somebody claimed, and may have died before writing it down. */
  readonly sent?: readonly (number | null)[] | undefined
  /** Until when the last of them is claimed, in milliseconds of the store's clock. */
  readonly claimedUntil?: number | undefined
}

/** What an `Idempotency-Key` stands for. */
export type KeyedCharge = {
  readonly nonce: Hex
  readonly fingerprint: Hex
  /** The authorization's end, Unix seconds: the key matters a day longer. */
  readonly validBefore: string
}

export type Taken =
  | { ok: true }
  /** The record of whoever has it, or had it. */
  | { ok: false; record: ChargeRecord }

export type ChargeRecords = {
  /** Takes an authorization that nobody has: one that is new, or whose lease has run out. */
  take(
    authorization: Authorization,
    by: { owner: string; block: bigint; key: IdempotencyKey | undefined },
  ): Promise<Taken>
  get(authorization: Pick<Authorization, 'from' | 'nonce'>): Promise<ChargeRecord | undefined>
  /** Keeps the lease. `false`: somebody else has it. */
  renew(authorization: Authorization, owner: string): Promise<boolean>
  /** The work is done; `answer` is kept first. `payload`: the signed authorization. `false`: somebody else has it. */
  beginSending(
    authorization: Authorization,
    owner: string,
    payload: string,
    answer: Uint8Array | undefined,
  ): Promise<boolean>
  /**
   * Takes the right to send a transfer, of whoever knows of the `count` before: of many processes one has it, and when that dies
   * another, a minute later. `false`: not now.
   */
  claim(authorization: Authorization, count: number): Promise<boolean>
  /** What was claimed as the one after `count` others is written down, under its nonce. `undefined`: nothing was. */
  wrote(authorization: Authorization, count: number, nonce: number | undefined): Promise<void>
  /** Its owner works for it no more. */
  leave(authorization: Authorization, owner: string): Promise<void>
  /**
   * `goesOn`: its owner gives an answer that is kept when that ends; until then the lease is to be renewed. `false`: it was settled
   * before.
   */
  settle(
    authorization: Authorization,
    txHash: Hex,
    by: { owner?: string | undefined; goesOn: boolean },
  ): Promise<boolean>
  /** A settled stream has ended. */
  finish(authorization: Authorization, answer: Uint8Array | undefined): Promise<void>
  fail(authorization: Authorization): Promise<void>
  /** The work came to nothing: it may be taken again, and its key used for another. `false`: it was not held any more. */
  release(authorization: Authorization, owner: string): Promise<boolean>
  /**
   * Drops one whose lease ran out, so that nothing is sent for it any more: one that was taken, or, knowing of the `count` transfers
   * before, one whose work came to nothing. `false`: it isn't so.
   */
  revoke(authorization: Pick<Authorization, 'from' | 'nonce'>, count?: number): Promise<boolean>
  answer(authorization: Pick<Authorization, 'from' | 'nonce'>): Promise<Uint8Array | undefined>
  keyed(from: Address, keyId: Hex): Promise<KeyedCharge | undefined>
  /** Binds a key to an authorization, if it is still bound to `before`. `false`: it isn't. */
  bindKey(
    authorization: Pick<Authorization, 'from' | 'nonce' | 'validBefore'>,
    key: IdempotencyKey,
    before: KeyedCharge | undefined,
  ): Promise<boolean>
  /** Drops what ended more than a day before `now` (Unix seconds). Returns how many. */
  prune(now: bigint): Promise<number>
}

const leaseMs = 60_000
const keptSeconds = 86_400n
/** A note takes 1 MiB, and base64 four characters for three bytes. */
const maxAnswerBytes = 768 * 1_024

export function createChargeRecords(notebook: Notebook, token: Address): ChargeRecords {
  const recordKey = (authorization: Pick<Authorization, 'from' | 'nonce'>) =>
    `charge/${nameOf(token, authorization)}`
  const answerKey = (authorization: Pick<Authorization, 'from' | 'nonce'>) =>
    `charge-answer/${nameOf(token, authorization)}`
  const keyKey = (from: Address, keyId: Hex) => `charge-key/${from}/${keyId}`.toLowerCase()

  async function read(key: string): Promise<string | undefined> {
    for await (const note of notebook.read(key)) if (note.key === key) return note.text
    return undefined
  }

  /** Changes a record in one step. `undefined` leaves it. Returns whether it was changed. */
  function change(
    authorization: Pick<Authorization, 'from' | 'nonce'>,
    decide: (record: ChargeRecord, now: number) => ChargeRecord | null | undefined,
  ): Promise<boolean> {
    return notebook.write(recordKey(authorization), (text, now) => {
      const changed = text === undefined ? undefined : decide(decode(text), now)
      if (changed === undefined) return { result: false }
      return { result: true, write: changed === null ? null : JSON.stringify(changed) }
    })
  }

  const isHeldBy = (record: ChargeRecord, owner: string) => record.state === 'taken' && record.owner === owner
  /** Whether somebody who knows of that many transfers knows of all, and none is about to be written down. */
  const isLast = ({ state, sent, claimedUntil = 0 }: ChargeRecord, count: number, now: number) =>
    state === 'sending' && (sent?.length ?? 0) === count && claimedUntil <= now
  const isOld = (validBefore: string, now: bigint) => BigInt(validBefore) + keptSeconds <= now

  async function keepAnswer(authorization: Authorization, answer: Uint8Array | undefined): Promise<void> {
    if (!answer || answer.length > maxAnswerBytes) return
    const write = Buffer.from(answer).toString('base64')
    await notebook.write(answerKey(authorization), () => ({ result: undefined, write }))
  }

  /** Drops a note if it is as it should be. */
  function drop(key: string, isRight: (text: string) => boolean): Promise<boolean> {
    return notebook.write(key, (text) =>
      text !== undefined && isRight(text) ? { result: true, write: null } : { result: false },
    )
  }

  return {
    take: (authorization, { owner, block, key }) =>
      notebook.write<Taken>(recordKey(authorization), (text, now) => {
        const record = text === undefined ? undefined : decode(text)
        if (record && !(record.state === 'taken' && record.until <= now))
          return { result: { ok: false, record } }
        const taken: ChargeRecord = {
          state: 'taken',
          owner,
          until: now + leaseMs,
          // Of a lease that ran out: its holder may have come to send it after all.
          block: record?.block ?? String(block),
          validBefore: String(authorization.validBefore),
          ...(key && { key }),
        }
        return { result: { ok: true }, write: JSON.stringify(taken) }
      }),
    async get(authorization) {
      const text = await read(recordKey(authorization))
      return text === undefined ? undefined : decode(text)
    },
    renew: (authorization, owner) =>
      change(authorization, (record, now) =>
        record.owner === owner && record.state !== 'failed' ? { ...record, until: now + leaseMs } : undefined,
      ),
    async beginSending(authorization, owner, payload, answer) {
      const text = await read(recordKey(authorization))
      if (text === undefined || !isHeldBy(decode(text), owner)) return false
      // First, so that whatever is sent has its answer.
      await keepAnswer(authorization, answer)
      const isHeld = await change(authorization, (record, now) =>
        isHeldBy(record, owner) ? { ...record, state: 'sending', payload, until: now + leaseMs } : undefined,
      )
      // Without a record nothing would ever drop it.
      if (!isHeld && (await read(recordKey(authorization))) === undefined)
        await drop(answerKey(authorization), () => true)
      return isHeld
    },
    claim: (authorization, count) =>
      change(authorization, (record, now) =>
        isLast(record, count, now)
          ? { ...record, sent: [...(record.sent ?? []), null], claimedUntil: now + leaseMs }
          : undefined,
      ),
    async wrote(authorization, count, nonce) {
      await change(authorization, ({ sent = [], claimedUntil, ...record }) => {
        // Another may have claimed one since.
        const isNewest = sent.length === count + 1
        const written = nonce === undefined ? (isNewest ? [] : [null]) : [nonce]
        const until = isNewest ? undefined : claimedUntil
        return { ...record, sent: sent.toSpliced(count, 1, ...written), claimedUntil: until }
      })
    },
    async leave(authorization, owner) {
      await change(authorization, (record) => (record.owner === owner ? { ...record, until: 0 } : undefined))
    },
    settle: (authorization, txHash, { owner, goesOn }) =>
      change(authorization, (record, now) =>
        record.state === 'settled'
          ? undefined
          : {
              ...record,
              ...{
                state: 'settled',
                txHash,
                owner: owner ?? record.owner,
                until: goesOn ? now + leaseMs : 0,
              },
            },
      ),
    async finish(authorization, answer) {
      await keepAnswer(authorization, answer)
      await change(authorization, (record) => ({ ...record, until: 0 }))
    },
    async fail(authorization) {
      await change(authorization, (record) =>
        record.state === 'settled' ? undefined : { ...record, state: 'failed' },
      )
    },
    async release(authorization, owner) {
      let key: IdempotencyKey | undefined
      // Of one that was about to be sent: without a record nothing would ever drop it.
      const [text, answer] = await Promise.all([
        read(recordKey(authorization)),
        read(answerKey(authorization)),
      ])
      if (answer !== undefined && text !== undefined && isHeldBy(decode(text), owner))
        await drop(answerKey(authorization), () => true)
      const wasHeld = await change(authorization, (record) => {
        if (!isHeldBy(record, owner)) return undefined
        key = record.key
        return null
      })
      const { from, nonce } = authorization
      if (key) await drop(keyKey(from, key.id), (text) => (JSON.parse(text) as KeyedCharge).nonce === nonce)
      return wasHeld
    },
    revoke: (authorization, count) =>
      change(authorization, (record, now) => {
        const isIdle = count === undefined ? record.state === 'taken' : isLast(record, count, now)
        return isIdle && record.until <= now ? null : undefined
      }),
    async answer(authorization) {
      const text = await read(answerKey(authorization))
      return text === undefined ? undefined : new Uint8Array(Buffer.from(text, 'base64'))
    },
    async keyed(from, keyId) {
      const text = await read(keyKey(from, keyId))
      return text === undefined ? undefined : (JSON.parse(text) as KeyedCharge)
    },
    bindKey: ({ from, nonce, validBefore }, { id, fingerprint }, before) =>
      notebook.write(keyKey(from, id), (text) => {
        const bound = text === undefined ? undefined : (JSON.parse(text) as KeyedCharge)
        if (bound?.nonce !== before?.nonce) return { result: false }
        const binding: KeyedCharge = { nonce, fingerprint, validBefore: String(validBefore) }
        return { result: true, write: JSON.stringify(binding) }
      }),
    async prune(now) {
      let dropped = 0
      for await (const { key, text } of notebook.read('charge/')) {
        if (!isOld(decode(text).validBefore, now)) continue
        const [from, nonce] = key.split('/').slice(-2) as [Address, Hex]
        await drop(answerKey({ from, nonce }), () => true)
        if (await drop(key, () => true)) dropped += 1
      }
      // A key may have come to stand for another charge since.
      for await (const { key } of notebook.read('charge-key/'))
        await drop(key, (text) => isOld((JSON.parse(text) as KeyedCharge).validBefore, now))
      return dropped
    },
  }
}

const decode = (text: string) => JSON.parse(text) as ChargeRecord
