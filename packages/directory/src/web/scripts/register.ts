/** The form by which a provider comes: its connection is tested while it is looked at, its wallet signs, the directory answers. */
import { ApiError, call, callForLines } from './api.ts'
import { clearFieldProblems, showFieldProblems } from './fieldProblems.ts'
import { createNotices } from './notices.ts'
import { make, part, whereThereIs } from './page.ts'
import { plainUrl, readForm } from './registering/readForm.ts'
import { signAction } from './signAction.ts'
import { createWalletStep } from './walletStep.ts'

type Check = { name: string; passed: boolean; detail: string }
/** How a test ended; with a title where it wasn't made. */
type Verdict = { done: true; passed: boolean; title?: string; action?: string }
type Registered = { id: string; state: string; missing: readonly string[]; token?: string }

whereThereIs('register', (form) => startRegistration(form as HTMLFormElement))

function startRegistration(form: HTMLFormElement): void {
  const notices = createNotices(form)
  const checks = part('checks')
  const step = createWalletStep(notices, ({ account }) => {
    const address = form.elements.namedItem('providerAddress')
    if (address instanceof HTMLInputElement && address.value === '') address.value = account
  })
  const outcome = make('p', { id: 'outcome', role: 'status' })
  checks.after(outcome)
  // What is wrong with it is said by the API, beside the field.
  form.noValidate = true
  const look = () => {
    const { protocol } = readForm(form)
    for (const only of form.querySelectorAll<HTMLElement>('[data-only]'))
      only.hidden = only.dataset.only !== protocol
  }
  form.addEventListener('input', look)
  look()

  async function test(): Promise<boolean> {
    const { apiUrl, protocol, providerAddress, docsUrl, mppEndpoint, mppType } = readForm(form)
    checks.replaceChildren()
    outcome.textContent = ''
    const target = { apiUrl, protocol, providerAddress, docsUrl, mppEndpoint, mppType }
    let verdict: Verdict | undefined
    for await (const line of callForLines<Check | Verdict>('/api/directory/test', target)) {
      if ('done' in line) verdict = line
      else checks.append(describe(line))
    }
    if (!verdict) throw new Error('The test was cut off. Try again.')
    const { title, action, passed } = verdict
    if (title) throw new Error([title, action].filter(Boolean).join(' '))
    return passed
  }

  async function register(): Promise<void> {
    const body = readForm(form)
    const isUnsigned = body.protocol === 'mpp' && !step.isConnected()
    const subject = plainUrl(String(body.apiUrl ?? ''))
    const sent = isUnsigned
      ? body
      : await signAction(step.signer(), { action: 'provider.register', subject, body })
    const answer = await call<Registered>('POST', '/api/directory/providers', sent)
    showRegistered(form, answer)
  }

  /** Says what is wrong beside each field, and shows the checks of a test that failed. */
  async function sayingWhere(task: () => Promise<void>): Promise<void> {
    clearFieldProblems(form)
    try {
      await task()
    } catch (error) {
      if (error instanceof ApiError && Array.isArray(error.details.checks)) {
        checks.replaceChildren(...(error.details.checks as Check[]).map(describe))
      }
      notices.complain(error)
      showFieldProblems(form, error)
    }
  }

  part('test').addEventListener('click', () =>
    notices.run('Testing the connection …', () =>
      sayingWhere(async () => {
        const passed = await test()
        outcome.textContent = passed ? 'All checks passed.' : 'Mend what failed, and test again.'
      }),
    ),
  )
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void notices.run('Signing, testing and registering …', () => sayingWhere(register))
  })
}

function describe({ name, passed, detail }: Check): HTMLLIElement {
  const word = passed ? 'passed' : 'failed'
  const verdict = make('span', { class: 'verdict' }, word)
  return make(
    'li',
    { class: word },
    make('strong', {}, name),
    ' ',
    verdict,
    ' ',
    make('span', { class: 'detail' }, detail),
  )
}

/** In place of the form. */
function showRegistered(form: HTMLFormElement, { id, state, missing, token }: Registered): void {
  const title = make('h2', { tabindex: '-1', id: 'registered' }, 'Registered')
  const address = `/providers/${encodeURIComponent(id)}`
  const waits = state === 'pending' ? 'An operator looks at it now.' : 'It is listed.'
  form.replaceWith(
    title,
    make('p', {}, `${waits} `, make('a', { href: `${address}/review` }, 'Follow its review'), '.'),
    ...(missing.length > 0 ? [make('p', {}, `Agents see it once it has ${missing.join(', ')}.`)] : []),
    ...(token
      ? [
          make(
            'p',
            {},
            'Keep this token. It is shown once, and changes the listing later: ',
            make('code', {}, token),
          ),
        ]
      : []),
  )
  title.focus()
}
