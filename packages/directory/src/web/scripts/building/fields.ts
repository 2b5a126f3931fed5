/** Labelled controls that write into an object as somebody types. */
import { make } from '../page.ts'

type Texts<row> = { [name in keyof row]: row[name] extends string ? name : never }[keyof row]

export type Field<row> = {
  /** Unique on the page: the path of the problem that it may have, with `-` between the parts. */
  id: string
  label: string
  in: row
  name: Texts<row>
  hint?: string
  /** Several lines. */
  rows?: number
  options?: readonly (readonly [value: string, text: string])[]
  list?: string
  inputmode?: string
  wide?: boolean
}

export function field<row>({ in: target, name, ...about }: Field<row>): HTMLElement {
  const { id, label, hint, rows, options, list, inputmode, wide } = about
  const value = String(target[name])
  const described = hint && { 'aria-describedby': `${id}-hint` }
  const control = options
    ? make(
        'select',
        { id, ...described },
        ...options.map(([of, text]) => make('option', { value: of }, text)),
      )
    : rows
      ? make('textarea', { id, rows: String(rows), ...described })
      : make('input', { id, list, inputmode, autocomplete: 'off', ...described })
  control.value = value
  control.addEventListener('input', () => {
    target[name] = control.value as row[Texts<row>]
  })
  return make(
    'p',
    { class: wide || rows ? 'field whole' : 'field' },
    make('label', { for: id }, label),
    control,
    ...(hint ? [make('span', { id: `${id}-hint`, class: 'hint' }, hint)] : []),
  )
}

export function checkbox<row>({
  id,
  label,
  in: target,
  name,
}: {
  id: string
  label: string
  in: row
  name: { [key in keyof row]: row[key] extends boolean ? key : never }[keyof row]
}): HTMLElement {
  const control = make('input', { type: 'checkbox', id })
  control.checked = Boolean(target[name])
  control.addEventListener('input', () => {
    target[name] = control.checked as row[typeof name]
  })
  return make('p', { class: 'field' }, make('label', { for: id }, control, ` ${label}`))
}
