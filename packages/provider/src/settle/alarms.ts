/** What somebody has to look at, since money is or may be lost. Kept until then, and never repaired silently. */
import type { Hex } from 'viem'
import type { Notebook } from '../ledger/Notebook.ts'

export type AlarmCode =
  /** The channel was claimed by a transaction that this provider did not send. */
  | 'unknown_claim'
  /** A reorganisation took the channel's open away, and it did not come back. */
  | 'channel_vanished'
  /** The channel was closed before all that was charged had been claimed. */
  | 'closed_owing'
  /** More was claimed than was charged: the ledger has lost data. */
  | 'overclaimed'

export type Alarm = {
  channelId?: Hex | undefined
  code: AlarmCode
  /** For the operator: what happened, with amounts in USDC. */
  message: string
  /** Unix milliseconds. */
  at: number
}

const prefix = 'alarm/'
const keyOf = ({ channelId, code }: Pick<Alarm, 'channelId' | 'code'>) =>
  `${prefix}${channelId ? `${channelId.toLowerCase()}/` : ''}${code}`

/** Keeps an alarm. The first of its code on a channel stays as it is. Resolves with whether this was the first. */
export function raiseAlarm(notebook: Notebook, alarm: Alarm): Promise<boolean> {
  return notebook.write(keyOf(alarm), (text) =>
    text === undefined ? { result: true, write: JSON.stringify(alarm) } : { result: false },
  )
}

/** Whether there is an alarm of this code on a channel. */
export function hasAlarm(notebook: Notebook, channelId: Hex, code: AlarmCode): Promise<boolean> {
  return notebook.write(keyOf({ channelId, code }), (text) => ({ result: text !== undefined }))
}

/** All alarms, by channel. */
export async function* alarms(notebook: Notebook): AsyncGenerator<Alarm> {
  for await (const { text } of notebook.read(prefix)) yield JSON.parse(text) as Alarm
}
