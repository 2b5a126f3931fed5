import type { Hex } from 'viem'
import { type Alarm, clearAlarms } from '../ledger/alarms.ts'
import { assertIs, type Whose } from './identify.ts'
import { openNotebook } from './openNotebook.ts'

/** Clears the alarms of a channel, or all. The provider may run meanwhile. Resolves with what was cleared. @throws {DrainError} */
export async function clearAlarm(options: Whose & { channelId?: Hex | undefined }): Promise<Alarm[]> {
  const { identity, notebook, close } = await openNotebook(options.ledger, { schema: options.schema })
  try {
    assertIs(identity, options)
    return await clearAlarms(notebook, { channelId: options.channelId, at: Date.now() })
  } finally {
    await close()
  }
}
