/** Parts of forms. A field's id is its name, unless a page has several of that name. */
import { html } from 'hono/html'
import { acceptable } from '../../register/profileSchema.ts'
import type { Html } from '../Page.ts'

export type FieldOptions = {
  type?: 'text' | 'url' | 'email' | 'number' | 'search' | 'password'
  hint?: string
  value?: string | undefined
  required?: boolean
  longest?: number
  placeholder?: string
  /** Lines of a longer text. */
  rows?: number
  least?: number
  most?: number
  step?: string
  autocomplete?: string
  /** What stands beside the label; `optional` by default where it isn't required. */
  mark?: string
  /** Ids where one page has several fields of a name. */
  id?: string
}

export function field(name: string, label: string, options: FieldOptions = {}): Html {
  const {
    type = 'text',
    hint,
    value: given = '',
    required,
    longest,
    placeholder,
    rows,
    least,
    most,
  } = options
  const value = acceptable(given)
  const { id = name, step, autocomplete } = options
  const { mark = required || type === 'search' ? '' : 'optional' } = options
  const about = html` id="${id}" name="${name}"${hint && html` aria-describedby="${id}-hint"`}${required && html` required`}${longest !== undefined && html` maxlength="${longest}"`}${placeholder !== undefined && html` placeholder="${placeholder}"`}${autocomplete && html` autocomplete="${autocomplete}"`}`
  return html`<p class="${rows ? 'field whole' : 'field'}">
<label for="${id}">${label}${mark && html` <span class="optional">${mark}</span>`}</label>
${
  rows
    ? html`<textarea${about} rows="${rows}">${value}</textarea>`
    : html`<input type="${type}"${about} value="${value}"${least !== undefined && html` min="${least}"`}${most !== undefined && html` max="${most}"`}${step && html` step="${step}"`}>`
}
${hint && html`<span class="hint" id="${id}-hint">${hint}</span>`}
</p>`
}

export type Choice = readonly [value: string, label: string]

export function select(
  name: string,
  label: string,
  choices: readonly Choice[],
  chosen = '',
  hint?: string,
): Html {
  return html`<p class="field">
<label for="${name}">${label}</label>
<select id="${name}" name="${name}"${hint && html` aria-describedby="${name}-hint"`}>
${choices.map(([value, text]) => html`<option value="${value}"${value === chosen && html` selected`}>${text}</option>`)}
</select>
${hint && html`<span class="hint" id="${name}-hint">${hint}</span>`}
</p>`
}

export function checkbox(
  name: string,
  label: string,
  options: { value?: string; checked?: boolean | undefined; id?: string } = {},
): Html {
  const { value = 'true', checked, id = name } = options
  return html`<p class="check"><input type="checkbox" id="${id}" name="${name}" value="${value}"${checked && html` checked`}> <label for="${id}">${label}</label></p>`
}
