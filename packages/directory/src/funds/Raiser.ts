/**
 * Pays more for the transaction that keeps all later ones waiting: the same again, under the same nonce. Whichever of its forms a block
 * takes, none takes another, so nothing is given twice; each form is kept before it is sent.
 */
import type { Logger } from 'pino'
import type { Hex } from 'viem'
import type { GrantTransaction } from './Grant.ts'
import type { Grants } from './Grants.ts'
import type { HotWallet } from './HotWallet.ts'

export type RaiserParts = {
  grants: Grants
  wallet: HotWallet
  log: Logger
  /** Unix milliseconds. */
  now(): number
}

export type Raiser = {
  /** A transaction that no block has, as it is to be sent now. */
  raiseIfStuck(transaction: GrantTransaction): Promise<GrantTransaction>
  /** Once nothing waits any more. */
  forget(): void
}

/** How long a form may wait for a block before more is paid. */
const stuckAfterMs = 60_000

export function createRaiser({ grants, wallet, log, now }: RaiserParts): Raiser {
  /**
   * By nonce: since when this process has seen a form wait, and the newest block when it was first found to be next. A new process waits
   * anew.
   */
  const waits = new Map<number, { hash: Hex; since: number; block?: bigint }>()
  return {
    async raiseIfStuck(transaction: GrantTransaction): Promise<GrantTransaction> {
      const { sender, nonce, hash, grantId, raws } = transaction
      const latest = raws.at(-1)
      // Of a wallet that the settings don't name any more.
      if (sender !== wallet.id || !latest) return transaction
      const known = waits.get(nonce)
      const wait = known?.hash === hash ? known : { hash, since: now() }
      waits.set(nonce, wait)
      if (now() - wait.since < stuckAfterMs) return transaction
      const head = await wallet.head()
      if (head.nonce !== nonce) return transaction
      wait.block ??= head.block
      // While the chain makes no blocks, paying more buys nothing.
      if (wait.block === head.block) return transaction
      const form = await wallet.raise(latest)
      if (!form) {
        wait.since = now()
        log.warn(
          { grant: grantId, nonce, hash },
          'gas costs more than may be paid: a grant, and all later ones, wait',
        )
        return transaction
      }
      // Another instance may have been faster.
      if (!(await grants.keepForm(transaction, form))) return transaction
      log.info(
        { grant: grantId, nonce, hash: form.hash, instead: hash },
        'more is paid for a grant that waits',
      )
      return { ...transaction, hash: form.hash, raws: [...raws, form.raw] }
    },
    forget: () => waits.clear(),
  }
}
