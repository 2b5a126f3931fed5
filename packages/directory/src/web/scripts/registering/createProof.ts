/** How an owner shows that a listing is theirs: by its wallet, or by the token of one that was registered without. */
import type { Notices } from '../notices.ts'
import { type Signer, signAction } from '../signAction.ts'
import { createWalletStep } from '../walletStep.ts'

export type Proof = {
  /** @throws Error that says what is missing, before anything is signed. */
  assertReady(): void
  /** What is sent, and the token that goes along with it. @throws as {@link assertReady}, and where the owner says no in the wallet. */
  prove(action: string, body: Record<string, unknown>): Promise<{ body: unknown; token?: string }>
}

/**
 * @param id Of the listing.
 * @param owner Its address.
 */
export function createWalletProof(id: string, owner: string, notices: Notices): Proof {
  const step = createWalletStep(notices, assertOwner)
  const signer = () => assertOwner(step.signer())

  function assertOwner(signer: Signer): Signer {
    if (signer.account.toLowerCase() === owner.toLowerCase()) return signer
    throw new Error(
      `This listing is changed by ${owner} only, and your wallet is connected as ${signer.account}. Nothing was signed. Choose the owner’s account in your wallet, and connect again.`,
    )
  }
  return {
    assertReady: () => void signer(),
    async prove(action, body) {
      const connected = signer()
      notices.progress('Your wallet asks you to sign …')
      return { body: await signAction(connected, { action, subject: id, body }) }
    },
  }
}

/** @param readToken What was typed. */
export function createTokenProof(readToken: () => string): Proof {
  function token(): string {
    const typed = readToken().trim()
    if (/^[\x21-\x7e]{1,200}$/.test(typed)) return typed
    throw new Error(
      'Give the token that the registration answered with: at most 200 letters, digits and signs.',
    )
  }
  return {
    assertReady: () => void token(),
    prove: async (_, body) => ({ body, token: token() }),
  }
}
