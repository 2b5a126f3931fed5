/** The form by which an owner changes a listing, and the button that withdraws it. */
import { call } from './api.ts'
import { createNotices } from './notices.ts'
import { make, makeButton, part, whereThereIs } from './page.ts'
import { createTokenProof, createWalletProof } from './registering/createProof.ts'
import { startListingForm } from './registering/listingForm.ts'
import { type Answer, showOutcome } from './registering/showOutcome.ts'

whereThereIs('change', (element) => {
  const form = element as HTMLFormElement
  const { provider = '', owner, protocol, payee } = form.dataset
  const path = `/api/directory/providers/${encodeURIComponent(provider)}`
  const known = { protocol, providerAddress: payee || undefined }
  const { notices, whenSent } = startListingForm(form, known)
  const proof = owner
    ? createWalletProof(provider, owner, notices)
    : createTokenProof(() => part<HTMLInputElement>('token').value)

  /** In place of all that was said of the listing before. */
  function show(title: string, answer: Answer, ...more: Node[]): void {
    showOutcome([...part('content').querySelectorAll(':scope > h1 ~ *')], title, answer, ...more)
  }

  whenSent('Signing, testing and changing …', async ({ token: _, ...listing }) => {
    const { body, token } = await proof.prove('provider.update', listing)
    notices.progress('Testing the connection …')
    const answer = await call<Answer>('PUT', path, body, token)
    const again = make('a', { href: location.pathname }, 'Change it again')
    show('Changed', answer, make('p', {}, again))
  })

  whereThereIs('withdraw', (host) => {
    const said = createNotices(host, part('content'))
    const { confirm: question = '' } = host.dataset
    const withdraw = () =>
      said.run('Withdrawing …', async () => {
        proof.assertReady()
        if (!confirm(question)) return
        const { body, token } = await proof.prove('provider.withdraw', {})
        show('Withdrawn', await call<Answer>('POST', `${path}/withdraw`, body, token))
      })
    host.append(makeButton('Withdraw', withdraw))
  })
})
