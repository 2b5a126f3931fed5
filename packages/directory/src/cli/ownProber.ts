/** The prober of a directory that was given no key for it: one key for all of its instances, kept in the database. */

import type { Hex } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import type { Database } from '../store/Database.ts'

/** The key holds no money and says nothing but what probes found, and only to who believes it: this directory. */
export async function ownProber(database: Database): Promise<PrivateKeyAccount> {
  const key = await database.transaction(async (sql) => {
    await sql.run(
      "INSERT INTO secrets (name, value) VALUES ('prober', $1) ON CONFLICT (name) DO NOTHING",
      generatePrivateKey(),
    )
    return sql.one<{ value: Hex }>("SELECT value FROM secrets WHERE name = 'prober'")
  })
  return privateKeyToAccount((key as { value: Hex }).value)
}
