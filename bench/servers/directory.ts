/** A directory with so many providers in it, in memory, and without a limit for one network. */
import { startDirectory } from '@drain/directory'
import { openSqlite } from '@drain/directory/sqlite'
import { pino } from 'pino'
import { aProvider } from '../../packages/directory/test/aProvider.ts'
import type { Server } from './Server.ts'

const categories = [
  'llm',
  'image',
  'audio',
  'video',
  'code',
  'scraping',
  'search',
  'data',
  'network',
  'other',
] as const

/** Every tenth is of a category; they have one to five models, and scores all over. */
export async function start({ providers: count }: { providers: number }): Promise<Server> {
  const database = await openSqlite(':memory:')
  const directory = await startDirectory({
    ...{
      database,
      port: 0,
      work: false,
      requestsPerMinute: Number.MAX_SAFE_INTEGER,
      log: pino({ level: 'silent' }),
    },
  })
  const { providers, snapshot } = directory.rooms
  const { profile, offer, health } = aProvider()
  for (let number = 0; number < count; number++) {
    const id = `provider-${number}`
    const models = Array.from({ length: 1 + (number % 5) }, (_, index) => ({
      ...{ id: `model-${(number * 7 + index) % 400}`, name: `Model ${index}` },
      ...{ inputPer1kTokens: '0.0005', outputPer1kTokens: '0.0015' },
    }))
    await providers.add(
      aProvider({
        ...{ id, apiUrl: `https://${id}.example`, score: ((number * 37) % 1_000) / 1_000 },
        profile: { ...profile, name: `Provider ${number}`, category: categories[number % 10] ?? 'other' },
        offer: { ...offer, models },
        health: { ...health, latencyMs: 20 + (number % 400) },
      }),
    )
  }
  await snapshot.refresh()
  return {
    port: Number(new URL(directory.url).port),
    paid: async () => 0,
    async close() {
      await directory.close()
      await database.close()
    },
  }
}
