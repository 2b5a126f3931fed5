/** Import this first: the packages' sources stand for the packages, so that nothing has to be built. */
import { registerHooks } from 'node:module'

const sources: Record<string, string> = {
  '@drain/core': 'core/src/index.ts',
  '@drain/keys': 'keys/src/index.ts',
  '@drain/keys/node': 'keys/src/node/index.ts',
  '@drain/consumer/testing': 'consumer/src/testing/index.ts',
  '@drain/provider': 'provider/src/index.ts',
  '@drain/provider/node': 'provider/src/http/node.ts',
  '@drain/provider/sqlite': 'provider/src/ledger/sqlite.ts',
}

registerHooks({
  resolve(specifier, context, next) {
    const source = sources[specifier]
    return next(source ? new URL(`../packages/${source}`, import.meta.url).href : specifier, context)
  },
})
