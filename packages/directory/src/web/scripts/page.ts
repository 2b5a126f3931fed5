/** Parts of a page: found, made, and put in place of others. Text stays text: nothing is parsed as HTML. */

/** @throws Where the page has no such element. */
export function part<element extends HTMLElement = HTMLElement>(id: string): element {
  const found = document.getElementById(id)
  if (!found) throw new Error(`The page has no #${id}.`)
  return found as element
}

/** Where a page may have it or not. */
export function optionalPart<element extends HTMLElement = HTMLElement>(id: string): element | undefined {
  return (document.getElementById(id) as element | null) ?? undefined
}

/** Makes an element. Attributes that are `undefined` or `false` are left out. */
export function make<name extends keyof HTMLElementTagNameMap>(
  name: name,
  attributes: Record<string, string | boolean | undefined> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[name] {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

/** A button that does something, and nothing else: it sends no form. */
export function makeButton(text: string, onClick: () => unknown, attributes: Record<string, string> = {}) {
  const button = make('button', { type: 'button', ...attributes }, text)
  button.addEventListener('click', () => void onClick())
  return button
}

/** JSON that the server put into a `data-` attribute of the page. */
export function dataOf<data>(element: HTMLElement, name: string): data {
  return JSON.parse(element.dataset[name] ?? 'null') as data
}

/** So that a file may be loaded on pages where what it works on isn't. */
export function whereThereIs(id: string, begin: (element: HTMLElement) => void): void {
  const element = optionalPart(id)
  if (element) begin(element)
}
