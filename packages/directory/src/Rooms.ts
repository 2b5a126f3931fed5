/** What the parts of a directory have in common. */
import type { Logger } from 'pino'
import type { Snapshot } from './listing/Snapshot.ts'
import type { OutwardFetch } from './net/outwardFetch.ts'
import type { Settings } from './settings.ts'
import type { Database } from './store/Database.ts'
import type { Providers } from './store/Providers.ts'

export type Rooms = {
  settings: Settings
  database: Database
  providers: Providers
  /** Every listing, in memory. */
  snapshot: Snapshot
  /** For addresses that strangers named. */
  outward: OutwardFetch
  log: Logger
  /** Unix milliseconds. */
  now(): number
}
