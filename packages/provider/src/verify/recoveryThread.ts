/** A second thread that recovers public keys with native libsecp256k1, over memory that it shares with this one. */

import type { Worker } from 'node:worker_threads'
import { nativeBindings } from '@drain/keys'

/** How many keys may be asked for at once, some two milliseconds of work. A power of two, so that the counters may wrap around. */
export const mostAsked = 16

/** For how many keys the thread is woken before the event loop's turn ends, at which it is for any. */
const wakeFor = 4

/** A slot of the shared memory: what is asked, and its answer. Read by the thread's source, too. */
const layout = { digest: 0, rs: 32, recovery: 96, isFound: 97, key: 98, size: 164 }

/** Counters in it: keys asked for, keys answered; and whether this thread was told since it last looked. */
const counter = { asked: 0, answered: 1, told: 2, bytes: 16 }

export type RecoveryThread = {
  /** Whether it has started up. What is asked before waits for that. */
  readonly isReady: boolean
  /** Asks for a key; never for more than {@link mostAsked} at once. */
  ask(digest: Uint8Array, rs: Uint8Array, recovery: 0 | 1): void
  /** Ends it, whatever it does. */
  close(): Promise<void>
}

/**
 * Starts the thread. It keeps the process alive only while a key is asked for.
 *
 * @param hear.answer Called with each key, uncompressed, or with `undefined` for none, in the order in which they were asked for.
 * The bytes are only to be read during the call.
 * @param hear.end Called when the thread ends, also by itself: what was not answered then never will be.
 * @throws Where there are no threads, or no native library.
 */
export function startRecoveryThread(
  hear: { answer(key: Uint8Array | undefined): void; end(): void },
  bindings = nativeBindings(),
): RecoveryThread {
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  const memory = new SharedArrayBuffer(counter.bytes + mostAsked * layout.size)
  const counters = new Int32Array(memory, 0, counter.bytes / 4)
  const slots = new Uint8Array(memory, counter.bytes)
  let asked = 0
  let answered = 0
  /** Keys asked for since the thread was last woken. */
  let unheard = 0
  let isReady = false
  let isOver = false
  const worker: Worker = new Worker(source, {
    eval: true,
    // What this process was started with, such as --input-type=module, is not for the thread.
    execArgv: [],
    workerData: { memory, bindings, counter, layout, mostAsked },
  })
  worker.unref()
  worker.once('message', () => {
    isReady = true
  })
  worker.on('message', listen)
  worker.on('error', end)
  worker.on('exit', end)

  /** Where the slot of the key with this number begins. */
  const slot = (number: number) => (number & (mostAsked - 1)) * layout.size

  /** A system call, which costs a quarter of a recovery: not for each key. */
  function wake(): void {
    if (unheard === 0) return
    unheard = 0
    Atomics.notify(counters, counter.asked)
  }

  function listen(): void {
    Atomics.store(counters, counter.told, 0)
    const until = Atomics.load(counters, counter.answered)
    while (answered !== until) {
      const at = slot(answered)
      answered = (answered + 1) | 0
      const isFound = slots[at + layout.isFound] === 1
      hear.answer(isFound ? slots.subarray(at + layout.key, at + layout.key + 65) : undefined)
    }
    if (answered === asked) worker.unref()
  }

  function end(): void {
    if (isOver) return
    isOver = true
    listen()
    hear.end()
  }

  return {
    get isReady() {
      return isReady
    },
    ask(digest, rs, recovery) {
      if (answered === asked) worker.ref()
      const at = slot(asked)
      slots.set(digest, at + layout.digest)
      slots.set(rs, at + layout.rs)
      slots[at + layout.recovery] = recovery
      asked = (asked + 1) | 0
      Atomics.store(counters, counter.asked, asked)
      unheard += 1
      if (unheard >= wakeFor) wake()
      else if (unheard === 1) setImmediate(wake)
    },
    async close() {
      await worker.terminate()
    },
  }
}

/** Waits asleep, without an event loop; `terminate` wakes it. */
const source = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { memory, bindings, counter, layout, mostAsked } = workerData
  const { ecdsaRecover } = require(bindings)
  const counters = new Int32Array(memory, 0, counter.bytes / 4)
  const slots = new Uint8Array(memory, counter.bytes)
  // The library is given memory that is not shared.
  const [digest, rs, key] = [new Uint8Array(32), new Uint8Array(64), new Uint8Array(65)]
  parentPort.postMessage('ready')
  for (let answered = 0; ; ) {
    Atomics.wait(counters, counter.asked, answered)
    while (answered !== Atomics.load(counters, counter.asked)) {
      const at = (answered & (mostAsked - 1)) * layout.size
      digest.set(slots.subarray(at + layout.digest, at + layout.digest + 32))
      rs.set(slots.subarray(at + layout.rs, at + layout.rs + 64))
      slots[at + layout.isFound] = 0
      try {
        ecdsaRecover(rs, slots[at + layout.recovery], digest, false, key)
        slots.set(key, at + layout.key)
        slots[at + layout.isFound] = 1
      } catch {}
      answered = (answered + 1) | 0
      Atomics.store(counters, counter.answered, answered)
      if (Atomics.exchange(counters, counter.told, 1) === 0) parentPort.postMessage('answered')
    }
  }
`
