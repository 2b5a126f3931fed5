import { open, readFile, rename } from 'node:fs/promises'
import type { ChannelRecord, ChannelStore } from '@drain-protocol/sdk'

/**
 * Keeps a client's channels in a JSON file, so that the next run pays from the channel of this one and can close it. Whoever
 * loses the file gets the deposits back after the channels' expiry only. For one process at a time.
 *
 * @throws Where the file can't be read or is damaged. It is never replaced by an empty one.
 */
export function fileStore(path: string): ChannelStore {
  let records: Promise<ReadonlyMap<string, ChannelRecord>> | undefined

  async function write(record: ChannelRecord): Promise<ReadonlyMap<string, ChannelRecord>> {
    const next = new Map(await (records ?? read(path))).set(record.channelId, record)
    // Written beside and moved over, so that a crash leaves the old file or the new one.
    const file = await open(`${path}.new`, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify([...next.values()], fromBigInt, 2))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
    return next
  }

  return {
    async list() {
      records ??= read(path)
      return [...(await records).values()]
    },
    async put(record) {
      records = write(record)
      await records
    },
  }
}

async function read(path: string): Promise<ReadonlyMap<string, ChannelRecord>> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]'
    throw error
  })
  try {
    const list: ChannelRecord[] = JSON.parse(text, toBigInt)
    return new Map(list.map((record) => [record.channelId, record]))
  } catch (cause) {
    throw new Error(`${path} is damaged. It was left as it is: restore it, or use another file.`, { cause })
  }
}

function fromBigInt(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}

function toBigInt(_: string, value: unknown): unknown {
  return typeof value === 'string' && /^[0-9]+n$/.test(value) ? BigInt(value.slice(0, -1)) : value
}
