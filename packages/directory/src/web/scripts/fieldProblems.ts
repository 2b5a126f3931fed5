/** What is wrong with which field, beside it, and read out with it. */
import { ApiError } from './api.ts'
import { make, optionalPart } from './page.ts'

/** Says what is wrong with a field; an empty text takes it back. */
export function sayProblem(field: HTMLElement, problem: string): void {
  const id = `${field.id}-problem`
  const others = (field.getAttribute('aria-describedby') ?? '')
    .split(' ')
    .filter((one) => one !== '' && one !== id)
  optionalPart(id)?.remove()
  if (problem !== '') {
    const place = field.closest('p, fieldset') ?? field
    place.append(make('span', { id, class: 'field-problem' }, problem))
    others.push(id)
  }
  const described = others.join(' ')
  if (described === '') field.removeAttribute('aria-describedby')
  else field.setAttribute('aria-describedby', described)
  if (problem === '') field.removeAttribute('aria-invalid')
  else field.setAttribute('aria-invalid', 'true')
}

export function clearFieldProblems(form: HTMLFormElement): void {
  for (const field of form.querySelectorAll<HTMLElement>('[aria-invalid]')) sayProblem(field, '')
}

/** Shows what a refusal says of fields, and goes to the first. */
export function showFieldProblems(form: HTMLFormElement, error: unknown): void {
  if (!(error instanceof ApiError)) return
  let first: HTMLElement | undefined
  for (const { field, problem } of error.fields) {
    const [name = ''] = field.split('.')
    const found = form.elements.namedItem(name)
    const input = found instanceof RadioNodeList ? found[0] : found
    if (!(input instanceof HTMLElement) || input.hasAttribute('aria-invalid')) continue
    sayProblem(input, problem)
    input.closest('details')?.setAttribute('open', '')
    first ??= input
  }
  first?.focus()
}
