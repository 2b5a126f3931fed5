/** What is wrong with which field, in the place that the page has for it: `#<name>-problem`, which the field is described by. */
import { ApiError } from './api.ts'
import { optionalPart } from './page.ts'

/** Takes away what was said before. */
export function clearFieldProblems(form: HTMLFormElement): void {
  for (const said of form.querySelectorAll('[id$="-problem"]')) said.textContent = ''
  for (const field of form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid')
}

/** Shows the fields of a refusal, and goes to the first. */
export function showFieldProblems(form: HTMLFormElement, error: unknown): void {
  if (!(error instanceof ApiError)) return
  let first: HTMLElement | undefined
  for (const { field, problem } of error.fields) {
    const [name = ''] = field.split('.')
    const found = form.elements.namedItem(name)
    const input = found instanceof RadioNodeList ? found[0] : found
    if (!(input instanceof HTMLElement)) continue
    const place = optionalPart(`${name}-problem`)
    if (place) place.textContent = problem
    input.setAttribute('aria-invalid', 'true')
    first ??= input
  }
  first?.focus()
}
