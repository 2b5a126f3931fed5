import { readFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { type Streams, UsageError } from '@drain/keys/node'
import type { DrainClient } from '../client/createDrainClient.ts'
import { createOutlet, send } from './send.ts'

export type FetchOptions = {
  url: URL
  method: string | undefined
  /** As `Name: value`. */
  headers: readonly string[]
  /** The body, or `@file`, or `@-` for what stands on standard input. */
  data: string | undefined
  json: boolean
}

/** `drain fetch`: the body to `stdout`, what it cost to `stderr`. Resolves with the status. */
export async function fetchCommand(
  client: DrainClient,
  { url, method, headers: lines, data, json }: FetchOptions,
  { stdout, stderr }: Streams,
): Promise<number> {
  const headers = parseHeaders(lines)
  const body = data === undefined ? null : await readBody(data)
  if (body && !headers.has('content-type')) headers.set('content-type', typeOf(body))
  const init = { method: method ?? (body ? 'POST' : 'GET'), headers, body }
  const write = createOutlet(stdout)
  const { status, cost } = await send(client, url, init, async (response) => {
    for await (const chunk of response.body ?? []) await write(chunk)
  })
  stderr.write(json ? `${JSON.stringify({ status, cost, currency: 'USDC' })}\n` : `${status}, ${cost} USDC\n`)
  return status
}

function parseHeaders(lines: readonly string[]): Headers {
  const headers = new Headers()
  for (const line of lines) {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? []
    try {
      headers.append(name ?? '', value ?? '')
    } catch {
      throw new UsageError("-H is a header such as 'Accept: application/json'.")
    }
  }
  return headers
}

async function readBody(data: string): Promise<Uint8Array<ArrayBuffer>> {
  if (data === '@-') return Uint8Array.from(await buffer(process.stdin))
  if (!data.startsWith('@')) return new TextEncoder().encode(data)
  try {
    return Uint8Array.from(readFileSync(data.slice(1)))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(`${data.slice(1)} cannot be read (${code}).`)
  }
}

function typeOf(body: Uint8Array): string {
  try {
    JSON.parse(new TextDecoder().decode(body))
    return 'application/json'
  } catch {
    return 'text/plain; charset=utf-8'
  }
}
