import type { Hex } from 'viem'

/** What a client tells those who watch it. Amounts in decimal USDC. */
export type ClientEvents = {
  /** A channel was opened. */
  opened: { channelId: Hex; origin: string; deposit: string; expiry: bigint }
  /** A request was answered and told its cost. */
  paid: {
    channelId: Hex | undefined
    origin: string
    method: string
    url: string
    cost: string
    /** Under which the request was sent: its own `Idempotency-Key`, where it has one. */
    idempotencyKey: string
  }
  /** A payment was refused: by a limit, or by the provider. */
  refused: { origin: string; url: string; error: unknown }
  /** A channel with something left in it expires soon; its provider stops serving it before. */
  expiring: { channelId: Hex; origin: string; remaining: string; expiry: bigint }
  /** A channel was closed. */
  closed: { channelId: Hex; origin: string; finalAmount: string; refund: string }
}

export type Listener<name extends keyof ClientEvents> = (event: ClientEvents[name]) => void

/** Tells listeners. One that throws disturbs nobody: its error is reported as unhandled. */
export type Events = {
  on<name extends keyof ClientEvents>(name: name, listener: Listener<name>): () => void
  emit<name extends keyof ClientEvents>(name: name, event: ClientEvents[name]): void
}

export function createEvents(): Events {
  const listeners = new Map<keyof ClientEvents, Set<Listener<never>>>()
  return {
    on(name, listener) {
      const known = listeners.get(name) ?? new Set()
      listeners.set(name, known.add(listener))
      return () => known.delete(listener)
    },
    emit(name, event) {
      for (const listener of listeners.get(name) ?? []) {
        try {
          ;(listener as (given: typeof event) => void)(event)
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}
