/** `npm run directory -- https://api.example …`, or a JSON file with a list of `{url, id?, category?, description?}`. */
import { readFileSync } from 'node:fs'
import { startDirectory } from './directory.ts'
import type { Listed } from './listing.ts'

const providers = process.argv
  .slice(2)
  .flatMap((argument): Listed[] =>
    /^https?:\/\//.test(argument)
      ? [{ url: new URL(argument).origin }]
      : JSON.parse(readFileSync(argument, 'utf8')),
  )
if (providers.length === 0) {
  console.error('Name the providers: URLs, or a JSON file with a list of {url, id, category, description}.')
  process.exitCode = 2
} else {
  const directory = await startDirectory({ providers, port: Number(process.env.PORT ?? 3100) })
  console.log(`listing ${providers.length} providers on ${directory.url}/api/mcp/providers`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void directory.close())
}
