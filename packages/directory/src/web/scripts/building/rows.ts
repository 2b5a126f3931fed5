/** Inputs or steps, one below the other: added, moved and taken away, by mouse or keyboard, and told to who can't see it. */
import { make, makeButton } from '../page.ts'

export type Rows = {
  element: HTMLElement
  /** Shows them anew, after they were changed from elsewhere. */
  show(): void
}

export function createRows<row>(options: {
  /** `Step`, as it is called. */
  noun: string
  id: string
  least: number
  rows: () => row[]
  empty: (number: number) => row
  fields: (row: row, index: number) => HTMLElement[]
  /** After one came, went or moved. */
  changed: () => void
  say: (text: string) => void
}): Rows {
  const { noun, id, least, rows, empty, fields, changed, say } = options
  const list = make('ol', { class: 'rows', id })
  const add = makeButton(`Add ${articleOf(noun)} ${noun.toLowerCase()}`, () => {
    rows().push(empty(rows().length + 1))
    update(rows().length - 1, `${noun} ${rows().length} added.`)
  })
  const element = make('div', {}, list, add)

  function show(): void {
    const all = rows()
    list.replaceChildren(...all.map(rowOf))
  }

  function rowOf(row: row, index: number): HTMLElement {
    const name = `${noun.toLowerCase()} ${index + 1}`
    const button = (text: string, to: number | undefined) => {
      const made = makeButton(text, () => (to === undefined ? remove(index) : move(index, to)), {
        'aria-label': `${text}: ${name}`,
      })
      made.disabled = to === undefined ? rows().length <= least : to < 0 || to >= rows().length
      return made
    }
    return make(
      'li',
      {},
      make(
        'fieldset',
        {},
        make('legend', { tabindex: '-1' }, `${noun} ${index + 1}`),
        make('div', { class: 'fields' }, ...fields(row, index)),
        make(
          'p',
          { class: 'actions' },
          button('Move up', index - 1),
          button('Move down', index + 1),
          button('Remove', undefined),
        ),
      ),
    )
  }

  function move(from: number, to: number): void {
    const [row] = rows().splice(from, 1)
    if (row !== undefined) rows().splice(to, 0, row)
    update(to, `Moved to place ${to + 1} of ${rows().length}.`)
  }

  function remove(index: number): void {
    rows().splice(index, 1)
    update(Math.min(index, rows().length - 1), `${noun} ${index + 1} removed.`)
  }

  /** What was worked on keeps the focus, where it is now. */
  function update(focused: number, text: string): void {
    show()
    changed()
    const legend = list.children[focused]?.querySelector('legend')
    ;(legend ?? add).focus()
    say(text)
  }

  return { element, show }
}

const articleOf = (noun: string) => (/^[aeiou]/i.test(noun) ? 'an' : 'a')
