/** A process that ends at a write, as by kill -9: what it has written stays, and it reads and writes no more. */
import type { Database } from '../src/store/Database.ts'

/** @param writes The write that it ends with; `isMade`: whether that one is still made. */
export function dyingDatabase(database: Database, writes: number, isMade = true) {
  let [left, isDead] = [writes, false]
  const assertAlive = () => {
    if (isDead) throw new Error('The process is dead.')
  }
  async function write<result>(work: () => Promise<result>): Promise<result> {
    assertAlive()
    left -= 1
    const isLast = left === 0
    if (isLast && !isMade) isDead = true
    assertAlive()
    const result = await work()
    if (isLast) isDead = true
    assertAlive()
    return result
  }
  const dying: Database = {
    ...database,
    async all<row>(...args: Parameters<Database['all']>) {
      assertAlive()
      return database.all<row>(...args)
    },
    async one<row>(...args: Parameters<Database['one']>) {
      assertAlive()
      return database.one<row>(...args)
    },
    run: (...args) => write(() => database.run(...args)),
    transaction: (work) => write(() => database.transaction(work)),
  }
  return { database: dying, isDead: () => isDead }
}
