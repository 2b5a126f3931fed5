/** The form by which a provider comes: its wallet signs, the directory answers. */
import { call } from './api.ts'
import { make, whereThereIs } from './page.ts'
import { startListingForm } from './registering/listingForm.ts'
import { plainUrl, readForm } from './registering/readForm.ts'
import { type Answer, showOutcome } from './registering/showOutcome.ts'
import { signAction } from './signAction.ts'
import { createWalletStep } from './walletStep.ts'

whereThereIs('register', (element) => {
  const form = element as HTMLFormElement
  const { notices, whenSent } = startListingForm(form)
  const step = createWalletStep(notices, ({ account }) => {
    const address = form.elements.namedItem('providerAddress')
    if (address instanceof HTMLInputElement && address.value === '') address.value = account
  })
  const look = () => {
    const { protocol } = readForm(form)
    for (const only of form.querySelectorAll<HTMLElement>('[data-only]'))
      only.hidden = only.dataset.only !== protocol
  }
  form.addEventListener('input', look)
  look()

  whenSent('Signing, testing and registering …', async (body) => {
    const isUnsigned = body.protocol === 'mpp' && !step.isConnected()
    const subject = plainUrl(String(body.apiUrl ?? ''))
    const sent = isUnsigned
      ? body
      : await signAction(step.signer(), { action: 'provider.register', subject, body })
    const { token, ...answer } = await call<Answer & { token?: string }>(
      'POST',
      '/api/directory/providers',
      sent,
    )
    showOutcome([form], 'Registered', answer, ...(token ? [keep(token)] : []))
  })
})

function keep(token: string): HTMLElement {
  const text = 'Keep this token. It is shown once, and changes or withdraws the listing later: '
  return make('p', {}, text, make('code', {}, token))
}
