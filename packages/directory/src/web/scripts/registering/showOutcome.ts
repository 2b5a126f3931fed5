/** What the directory answered to a registration, a change or a withdrawal. */
import { make } from '../page.ts'

export type Answer = { id: string; state: string; missing: readonly string[] }

const says: Record<string, string> = {
  pending: 'An operator looks at it now.',
  approved: 'It is listed.',
  suspended: 'It stays off the list until an operator puts it back.',
  withdrawn: 'Neither agents nor people see it any more.',
}

/**
 * @param places What is done with: the outcome stands where the first of them was.
 * @param more What comes below.
 */
export function showOutcome(
  [place, ...others]: readonly Element[],
  title: string,
  { id, state, missing }: Answer,
  ...more: Node[]
): void {
  const heading = make('h2', { tabindex: '-1', id: 'outcome-title' }, title)
  const review = make('a', { href: `/providers/${encodeURIComponent(id)}/review` }, 'Follow its review')
  for (const other of others) other.remove()
  place?.replaceWith(
    heading,
    make('p', {}, `${says[state] ?? ''} `, ...(state === 'withdrawn' ? [] : [review, '.'])),
    ...(missing.length > 0 && state !== 'withdrawn'
      ? [make('p', {}, `Agents see it once it has ${missing.join(', ')}.`)]
      : []),
    ...more,
  )
  heading.focus()
}
