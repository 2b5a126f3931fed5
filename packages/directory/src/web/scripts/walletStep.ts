/** The wallet of somebody who has something to sign: chosen once, and shown. */

import type { Notices } from './notices.ts'
import { make, part } from './page.ts'
import { connectSigner, type Signer } from './signAction.ts'
import { offerWallets, watchChanges } from './wallets.ts'

export type WalletStep = {
  /** Who has connected. @throws Where nobody has. */
  signer(): Signer
  isConnected(): boolean
}

/** @param onConnected Called whenever one is connected. */
export function createWalletStep(notices: Notices, onConnected?: (signer: Signer) => unknown): WalletStep {
  const host = part('wallets')
  const shown = make('p', { id: 'signer', role: 'status' })
  host.after(shown)
  let signer: Signer | undefined

  offerWallets(host, (wallet) =>
    notices.run('Asking the wallet …', async () => {
      const connected = await connectSigner(wallet)
      signer = connected
      shown.replaceChildren('Connected as ', make('code', {}, connected.account), '.')
      watchChanges(wallet, connected, () => {
        signer = undefined
        shown.replaceChildren('Your wallet changed. Connect it again.')
      })
      await onConnected?.(connected)
    }),
  )
  return {
    signer() {
      if (!signer) throw new Error('Connect a wallet first.')
      return signer
    },
    isConnected: () => signer !== undefined,
  }
}
