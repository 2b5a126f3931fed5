import type { DrainClient, Wire } from '@drain/consumer'
import { UntrustedProviderError } from '@drain/core'
import { credentialHeaders } from '../codec/challenge.ts'

/** A request as it was sent unpaid, and the head of the 402 that it got. */
export type Asked = { response: Response; input: RequestInfo | URL; init: RequestInit | undefined }

/**
 * One paid request between two clients: the other one wants a credential and sends the request; ours decides what is signed, and
 * reads what comes of it.
 */
export type Exchange = {
  /** What our client signs for the request, in the form of the header's value. */
  credential: Promise<string>
  /** Sends the request with the credential; again with the next one, where our client finds that worthwhile. */
  send: typeof globalThis.fetch
  /** Resolves when nothing more comes. */
  ended: Promise<void>
}

/** How long a credential waits to be sent before it counts as lost, in milliseconds. */
const patience = 60_000

type Transmit = (headers: Headers) => Promise<Response>

export function createExchange(options: {
  client: Pick<DrainClient, 'pay'>
  wire: Wire
  send: typeof globalThis.fetch
  asked: Asked
}): Exchange {
  const { client, wire, send, asked } = options
  const credential = later<string>()
  const transmitter = later<Transmit>()
  // Nobody may wait for these when they fail.
  for (const { promise } of [credential, transmitter]) (promise as Promise<unknown>).catch(() => {})
  let timer: ReturnType<typeof setTimeout> | undefined

  const result = client.pay(asked.response, asked.input, asked.init, {
    wire,
    async fetch(_, init) {
      const headers = new Headers(init?.headers)
      credential.resolve(credentialOf(headers) ?? '')
      timer ??= waitFor(() => transmitter.reject(new Error('the credential was not sent')))
      return (await transmitter.promise)(headers)
    },
  })
  const ended = result.then(
    () => {},
    () => {},
  )
  // What our client refuses to sign, the other one hears instead of a credential.
  result.then(() => credential.reject(new Error('the 402 makes no offer of a channel')), credential.reject)

  return {
    credential: credential.promise,
    ended,
    async send(input, init) {
      clearTimeout(timer)
      const { origin } = urlOf(input)
      if (origin !== urlOf(asked.input).origin) {
        const problem = `A credential for ${urlOf(asked.input).origin} was to be sent to ${origin}.`
        const error = new UntrustedProviderError(problem, 'Nothing was sent.')
        transmitter.reject(error)
        throw error
      }
      const first = headersOf(input, init)
      transmitter.resolve((headers) => {
        const all = new Headers(first)
        for (const name of [...credentialHeaders, 'Idempotency-Key']) {
          const value = headers.get(name)
          if (value !== null) all.set(name, value)
        }
        const copy = input instanceof Request ? input.clone() : input
        return send(copy, { ...init, headers: all, redirect: 'manual' })
      })
      return result
    },
  }
}

function waitFor(task: () => void): ReturnType<typeof setTimeout> {
  const timer = setTimeout(task, patience)
  if (typeof timer === 'object') timer.unref()
  return timer
}

function later<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((...both) => {
    ;[resolve, reject] = both
  })
  return { promise, resolve, reject }
}

/** The credential of the scheme `Payment` in a request, with the scheme's name. */
export function credentialIn(input: RequestInfo | URL, init: RequestInit | undefined): string | undefined {
  return credentialOf(headersOf(input, init))
}

function credentialOf(headers: Headers): string | undefined {
  const values = credentialHeaders.map((name) => headers.get(name))
  return values.find((value) => value !== null && /^payment\s/i.test(value)) ?? undefined
}

function headersOf(input: RequestInfo | URL, init: RequestInit | undefined): Headers {
  return new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
}

export function urlOf(input: RequestInfo | URL): URL {
  return new URL(input instanceof Request ? input.url : input, globalThis.location?.href)
}
