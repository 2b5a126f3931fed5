import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const root = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Tests run the sources, so that no build has to precede them. */
const alias = {
  '@drain/core': root('packages/core/src/index.ts'),
  '@drain/keys/node': root('packages/keys/src/node/index.ts'),
  '@drain/keys': root('packages/keys/src/index.ts'),
  '@drain/consumer/node': root('packages/consumer/src/node.ts'),
  '@drain/consumer/sqlite': root('packages/consumer/src/store/sqlite.ts'),
  '@drain/consumer/testing': root('packages/consumer/src/testing/index.ts'),
  '@drain/consumer': root('packages/consumer/src/index.ts'),
  '@drain/provider/postgres': root('packages/provider/src/ledger/postgres.ts'),
  '@drain/provider/sqlite': root('packages/provider/src/ledger/sqlite.ts'),
  '@drain/provider/express': root('packages/provider/src/http/express.ts'),
  '@drain/provider/fastify': root('packages/provider/src/http/fastify.ts'),
  '@drain/provider/hono': root('packages/provider/src/http/hono.ts'),
  '@drain/provider/node': root('packages/provider/src/http/node.ts'),
  '@drain/provider': root('packages/provider/src/index.ts'),
  '@drain/mpp/client': root('packages/mpp/src/client/index.ts'),
  '@drain/mpp/server': root('packages/mpp/src/server/index.ts'),
  '@drain/mpp': root('packages/mpp/src/index.ts'),
  '@drain/directory/postgres': root('packages/directory/src/store/postgres.ts'),
  '@drain/directory/sqlite': root('packages/directory/src/store/sqlite.ts'),
  '@drain/directory': root('packages/directory/src/index.ts'),
  '@drain-protocol/sdk/postgres': root('packages/sdk/src/postgres.ts'),
  '@drain-protocol/sdk/sqlite': root('packages/sdk/src/sqlite.ts'),
  '@drain-protocol/sdk/express': root('packages/sdk/src/express.ts'),
  '@drain-protocol/sdk/fastify': root('packages/sdk/src/fastify.ts'),
  '@drain-protocol/sdk/hono': root('packages/sdk/src/hono.ts'),
  '@drain-protocol/sdk/node': root('packages/sdk/src/node.ts'),
  '@drain-protocol/sdk': root('packages/sdk/src/index.ts'),
}

const project = (folder: string, name: string) => ({
  resolve: { alias },
  test: {
    name,
    root: root(folder),
    include: ['{src,test}/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // How long a condition is waited for; a loaded machine needs more than the second that is the default.
    expect: { poll: { timeout: 30_000 } },
  },
})

export default defineConfig({
  test: {
    // Most of them wait: for a chain, a database, another process.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      ...['packages', 'examples'].flatMap((parent) =>
        readdirSync(root(parent), { withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map((entry) => project(`${parent}/${entry.name}`, entry.name)),
      ),
      project('bench', 'bench'),
      project('soak', 'soak'),
    ],
  },
})
