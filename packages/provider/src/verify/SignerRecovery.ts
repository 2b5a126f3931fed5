/** Who signed: recovered at once, or in a second thread while this one has other requests to see to. */
import { Signature } from '@drain/core'
import type { Address, Hex } from 'viem'
import { mostAsked, type RecoveryThread, startRecoveryThread } from './recoveryThread.ts'

/** Recovers signers as {@link Signature.recoverAddress} does, with the same answers. */
export type SignerRecovery = {
  /** @param digest 32 bytes, not to be changed afterwards */
  recover(digest: Uint8Array, signature: Hex): Address | undefined | Promise<Address | undefined>
  /** Ends the thread. What is asked for then, or was and has no answer, is recovered in this one. */
  close(): Promise<void>
}

/**
 * A recovery takes about a tenth of a millisecond, a fifth of a paid request. With native libsecp256k1 and a second processor, a
 * thread does it while other requests are under way; who is alone gets the answer soonest from this thread. Signatures beyond
 * what may wait for the thread are recovered here too, so that neither is idle. The thread starts when it could first help;
 * until it is ready, where it can't start, and when it ends, everything is recovered here.
 *
 * @param options.isBusy Whether there are other requests than the one that asks.
 */
export function createSignerRecovery(options: {
  secp256k1: Signature.Secp256k1
  isBusy(): boolean
  processors?: number
  start?: typeof startRecoveryThread
}): SignerRecovery {
  const { secp256k1, isBusy, processors = availableProcessors(), start = startRecoveryThread } = options
  const waiting: { digest: Uint8Array; signature: Hex; resolve(signer: Address | undefined): void }[] = []
  const rs = new Uint8Array(64)
  let thread: RecoveryThread | undefined
  let isPossible = processors > 1

  const here = (digest: Uint8Array, signature: Hex) => Signature.recoverAddress(digest, signature, secp256k1)

  function startThread(): RecoveryThread | undefined {
    try {
      return start({
        answer: (key) => waiting.shift()?.resolve(key && Signature.addressOf(key)),
        end: giveUp,
      })
    } catch {
      isPossible = false
      return undefined
    }
  }

  function giveUp(): void {
    isPossible = false
    for (const { digest, signature, resolve } of waiting.splice(0)) resolve(here(digest, signature))
  }

  function isForThread(): boolean {
    if (!isPossible || secp256k1.name !== 'native' || waiting.length >= mostAsked) return false
    return waiting.length > 0 || isBusy()
  }

  return {
    recover(digest, signature) {
      if (!isForThread()) return here(digest, signature)
      const recovery = Signature.parse(signature, rs)
      if (recovery === undefined) return undefined
      thread ??= startThread()
      if (!thread?.isReady) return here(digest, signature)
      thread.ask(digest, rs, recovery)
      return new Promise((resolve) => waiting.push({ digest, signature, resolve }))
    },
    async close() {
      giveUp()
      await thread?.close()
    },
  }
}

function availableProcessors(): number {
  try {
    return process.getBuiltinModule('node:os').availableParallelism()
  } catch {
    return 1
  }
}
