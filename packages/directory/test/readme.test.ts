import { mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startLocalChain } from '@drain/consumer/testing'
import { expect, it } from 'vitest'
import { exampleIn, runIn, substitute } from '../../provider/test/readmeExamples.ts'
import type { Directory } from '../src/startDirectory.ts'
import type { Database } from '../src/store/Database.ts'

it('starts a directory with the code of the README', async () => {
  const folder = mkdtempSync(fileURLToPath(new URL('.readme-', import.meta.url)))
  await using chain = await startLocalChain()
  try {
    const code = substitute(exampleIn(new URL('../README.md', import.meta.url), 'start'), {
      "'directory.db'": "':memory:'",
      'https://polygon.drpc.org': chain.rpcUrl,
      'Deployment.find({ chainId: 137 })': `Deployment.from(${JSON.stringify(chain.deployment)})`,
      '3100': '0',
    })
    type Exports = { directory: Directory; database: Database }
    const { directory, database } = await runIn<Exports>(folder, 'start.ts', {
      'start.ts': `${code}\nexport { directory, database }\n`,
    })
    const { chains } = await (await fetch(`${directory.url}/api/drain/signing`)).json()
    expect(chains).toMatchObject([{ chainId: chain.chainId }])
    const page = await fetch(directory.url)
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<h1')])
    await directory.close()
    await database.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
