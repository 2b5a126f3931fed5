/** The form of a listing as the API's body: its fields have the API's names. */

const numbers = new Set(['minDuration', 'maxDuration'])
const lists = new Set(['moreCategories'])
/** Left out where nothing stands in them: an empty text is not one of their values. */
const optional = new Set(['providerAddress', 'hotkey', 'hotkeySignature', 'mppEndpoint', 'mppType'])

export function readForm(form: HTMLFormElement): Record<string, unknown> {
  const body: Record<string, unknown> = {}
  for (const element of form.elements) {
    if (!isField(element) || element.name === '' || element.closest('[hidden]')) continue
    const { name } = element
    if (lists.has(name)) {
      body[name] = [...new Set([...((body[name] as string[] | undefined) ?? []), ...chosen(element)])]
    } else if (element instanceof HTMLInputElement && element.type === 'checkbox') {
      body[name] = element.checked
    } else if (element instanceof HTMLInputElement && element.type === 'radio') {
      if (element.checked) body[name] = element.value
    } else {
      const text = element.value.trim()
      if (numbers.has(name)) body[name] = text === '' ? null : Number(text)
      else if (text !== '' || !optional.has(name)) body[name] = text
    }
  }
  // There is no field for the tier: a miner's hotkey says it.
  if (body.hotkey !== undefined) body.tier = 'bittensor'
  return body
}

/** The URL as the API compares it; as it is where it is none. */
export function plainUrl(text: string): string {
  return URL.canParse(text) ? new URL(text).href.replace(/\/+$/, '') : text
}

type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement

export function isField(element: Element): element is Field {
  return (
    (element instanceof HTMLInputElement && !/^(?:submit|button|reset|image)$/.test(element.type)) ||
    element instanceof HTMLSelectElement ||
    element instanceof HTMLTextAreaElement
  )
}

function chosen(element: Field): string[] {
  if (element instanceof HTMLSelectElement) {
    return [...element.selectedOptions].map(({ value }) => value).filter((value) => value !== '')
  }
  const isChosen = !(element instanceof HTMLInputElement && element.type === 'checkbox') || element.checked
  return isChosen && element.value !== '' ? [element.value] : []
}
