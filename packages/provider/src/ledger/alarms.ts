/** What somebody has to look at, since money is or may be lost. Kept until somebody has, and never repaired silently. */
import type { Hex } from 'viem'
import type { Notebook } from './Notebook.ts'

export type AlarmCode =
  /** The channel was claimed by a transaction that this provider did not send. */
  | 'unknown_claim'
  /** A reorganisation took the channel's open away, and it did not come back. */
  | 'channel_vanished'
  /** A reorganisation took a claim back that was booked as final, and it did not come back. */
  | 'claim_vanished'
  /** A reorganisation took a charge's transfer back that was answered, and it can't be sent again. */
  | 'charge_vanished'
  /** The channel was closed before all that was charged had been claimed. */
  | 'closed_owing'
  /** More was claimed than was charged: the ledger has lost data. */
  | 'overclaimed'

export type Alarm = {
  channelId?: Hex | undefined
  /** Of a charge, which has no channel: the nonce of its authorization. */
  charge?: Hex | undefined
  code: AlarmCode
  /** For the operator: what happened, with amounts in USDC. */
  message: string
  /** Unix milliseconds. */
  at: number
}

const raised = 'alarm/'
const cleared = 'cleared/'
function nameOf({ channelId, charge, code }: Pick<Alarm, 'channelId' | 'charge' | 'code'>): string {
  const of = channelId ?? charge
  return `${of ? `${of.toLowerCase()}/` : ''}${code}`
}

/** Keeps an alarm. The first of its code on a channel stays as it is, until it is cleared. Resolves with whether this was the first. */
export function raiseAlarm(notebook: Notebook, alarm: Alarm): Promise<boolean> {
  return notebook.write(`${raised}${nameOf(alarm)}`, (text) =>
    text === undefined ? { result: true, write: JSON.stringify(alarm) } : { result: false },
  )
}

/** Whether there is, or was before it was cleared, an alarm of this code on a channel. */
export async function hasAlarm(notebook: Notebook, channelId: Hex, code: AlarmCode): Promise<boolean> {
  const name = nameOf({ channelId, code })
  if (await notebook.write(`${raised}${name}`, (text) => ({ result: text !== undefined }))) return true
  for await (const _ of notebook.read(`${cleared}${name}/`)) return true
  return false
}

/** All alarms, by channel. */
export async function* alarms(notebook: Pick<Notebook, 'read'>): AsyncGenerator<Alarm> {
  for await (const { text } of notebook.read(raised)) yield JSON.parse(text) as Alarm
}

/**
 * Takes away the alarms of a channel, or all of them, after somebody has looked; what they said is kept apart with the time.
 * Resolves with them. What is raised meanwhile stays.
 *
 * @param options.channelId Or a charge's nonce.
 * @param options.at Unix milliseconds.
 */
export async function clearAlarms(
  notebook: Notebook,
  { channelId, at }: { channelId?: Hex | undefined; at: number },
): Promise<Alarm[]> {
  const found: Alarm[] = []
  for await (const { key, text } of notebook.read(
    channelId ? `${raised}${channelId.toLowerCase()}/` : raised,
  )) {
    const alarm = JSON.parse(text) as Alarm
    // Under when it was raised, so that clearing it twice at once keeps it once. Who dies in between leaves it in both places.
    const since = new Date(alarm.at).toISOString()
    await notebook.write(`${cleared}${key.slice(raised.length)}/${since}`, () => ({
      result: undefined,
      write: JSON.stringify({ ...alarm, clearedAt: at }),
    }))
    const isTaken = await notebook.write(key, (now) =>
      now === text ? { result: true, write: null } : { result: false },
    )
    if (isTaken) found.push(alarm)
  }
  return found
}

/** How many alarms have been cleared. */
export async function countCleared(notebook: Pick<Notebook, 'read'>): Promise<number> {
  let count = 0
  for await (const _ of notebook.read(cleared)) count += 1
  return count
}
