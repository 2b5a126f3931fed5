/** The operator's desk: signing in with a wallet, and being asked before something is decided. */
import { call } from './api.ts'
import { createNotices } from './notices.ts'
import { whereThereIs } from './page.ts'
import { signAction } from './signAction.ts'
import { createWalletStep } from './walletStep.ts'

whereThereIs('wallet-signin', (host) => {
  const notices = createNotices(host)
  createWalletStep(notices, async (signer) => {
    notices.progress('Your wallet asks you to sign …')
    const signed = await signAction(signer, {
      action: 'operator.signin',
      subject: 'desk',
      body: {},
      isBare: true,
    })
    await call('POST', '/api/operators/session', signed)
    location.assign('/desk')
  })
})

// Each button says what it asks.
document.addEventListener('submit', (event) => {
  const question = event.submitter?.dataset.confirm
  if (question && !confirm(question)) event.preventDefault()
})
