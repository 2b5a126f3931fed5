/** Prices, as providers name them: decimal USDC. */
import { html } from 'hono/html'
import type { Model, ProviderRecord } from '../../Provider.ts'
import type { Html } from '../Page.ts'

/** In 10^-18 USDC; `undefined` for what is no price. */
export function amountOf(text: string | null): bigint | undefined {
  const [, whole, fraction = ''] = /^(\d{1,12})(?:\.(\d{1,18}))?$/.exec(text ?? '') ?? []
  return whole === undefined ? undefined : BigInt(whole) * 10n ** 18n + BigInt(fraction.padEnd(18, '0'))
}

/** Whether it costs the same however long the answer is. */
export function isFlat({ outputPer1kTokens }: Model): boolean {
  return outputPer1kTokens === null || amountOf(outputPer1kTokens) === 0n
}

/** What models are compared by: a request of 1,000 tokens that is answered with as many. */
export function comparedPrice(model: Model): bigint | undefined {
  const input = amountOf(model.inputPer1kTokens)
  const output = model.outputPer1kTokens === null ? 0n : amountOf(model.outputPer1kTokens)
  return input === undefined || output === undefined ? undefined : input + output
}

/** Cheaper first, those without a price last. */
export function cheaperFirst(one: Model, other: Model): number {
  const [a, b] = [comparedPrice(one), comparedPrice(other)]
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  return a < b ? -1 : a > b ? 1 : 0
}

export function cheapestOf({ offer }: ProviderRecord): Model | undefined {
  const [first, ...others] = offer.models
  return first && others.reduce((best, model) => (cheaperFirst(model, best) < 0 ? model : best), first)
}

/** The text of an amount, without zeros at its end: providers write as many as they like. */
export function usdc(text: string | null): string {
  if (amountOf(text) === undefined) return 'not known'
  const [whole = '', fraction = ''] = (text as string).split('.')
  const rest = fraction.replace(/0+$/, '')
  return `${whole.replace(/^0+(?=\d)/, '')}${rest && `.${rest}`}`
}

/** A model's price in few words. */
export function shortPrice(model: Model): Html {
  const figure = (text: string | null) => html`<span class="figure">${usdc(text)}</span>`
  if (isFlat(model)) {
    return html`${figure(model.inputPer1kTokens)}<span class="below">USDC, flat</span>`
  }
  return html`${figure(model.inputPer1kTokens)} <span class="unit">in</span> · ${figure(model.outputPer1kTokens)} <span class="unit">out</span><span class="below">USDC per 1k tokens</span>`
}
