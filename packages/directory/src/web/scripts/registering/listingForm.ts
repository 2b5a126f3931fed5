/** The form of a listing at work: its connection is tested while it is looked at, and what a refusal says stands where it belongs. */
import { ApiError, callForLines } from '../api.ts'
import { clearFieldProblems, showFieldProblems } from '../fieldProblems.ts'
import { createNotices, type Notices } from '../notices.ts'
import { make, part } from '../page.ts'
import { readForm } from './readForm.ts'

export type ListingForm = {
  notices: Notices
  /** Does it whenever the form is sent. */
  whenSent(progress: string, send: (body: Record<string, unknown>) => Promise<void>): void
}

type Check = { name: string; passed: boolean; detail: string }
/** How a test ended; with a title where it wasn't made. */
type Verdict = { done: true; passed: boolean; title?: string; action?: string }

/** @param known What the connection test needs, and the form has no fields for. */
export function startListingForm(form: HTMLFormElement, known: Record<string, unknown> = {}): ListingForm {
  const notices = createNotices(part('actions'), part('content'))
  const checks = part('checks')
  const outcome = make('p', { id: 'outcome', role: 'status' })
  checks.after(outcome)
  // What is wrong with it is said by the API, beside the field.
  form.noValidate = true

  async function test(): Promise<boolean> {
    const { apiUrl, protocol, providerAddress, docsUrl, mppEndpoint, mppType } = {
      ...readForm(form),
      ...known,
    }
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
  return {
    notices,
    whenSent(progress, send) {
      form.addEventListener('submit', (event) => {
        event.preventDefault()
        void notices.run(progress, () => sayingWhere(() => send(readForm(form))))
      })
    },
  }
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
