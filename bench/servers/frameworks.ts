/** Frameworks whose types the benchmarks can do without: what is used of them. */
import type { RequestListener } from 'node:http'
import { createRequire } from 'node:module'

// The versions that the adapters are tested with.
const require = createRequire(new URL('../../packages/provider/package.json', import.meta.url))

/** Express. */
export type ExpressApp = RequestListener & {
  use(...middleware: unknown[]): void
  get(path: string, ...handlers: unknown[]): void
}

/** Fastify. */
export type FastifyApp = {
  get(path: string, options: object, handler: () => Promise<unknown>): void
  ready(): Promise<void>
  routing: RequestListener
}

export function expressApp(): ExpressApp {
  return require('express')()
}

export function fastifyApp(): FastifyApp {
  return require('fastify')()
}
