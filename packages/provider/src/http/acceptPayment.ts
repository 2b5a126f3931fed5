/**
 * `Accept-Payment`: the ways of paying that a client has, by method and intent, as weighted ranges (draft-httpauth-payment-00,
 * "Client Payment Preferences").
 */

type Range = { method: string; intent: string; weight: number }

/** Longer ones are not read: whoever asks sends them. */
const longest = 2_048

/**
 * The names (`method/intent`) that a client takes, those that it likes best first, else in the order given. Of several ranges the
 * most specific counts. All of them when the header is malformed, or accepts none.
 */
export function accepted<named extends { readonly name: string }>(
  offers: readonly named[],
  header: string,
): readonly named[] {
  const ranges = parse(header)
  if (!ranges) return offers
  const weighed = offers
    .map((offer) => ({ offer, weight: weightOf(offer.name, ranges) }))
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
  return weighed.length > 0 ? weighed.map(({ offer }) => offer) : offers
}

function weightOf(name: string, ranges: readonly Range[]): number {
  const [method, intent] = name.split('/')
  let best: (Range & { specificity: number }) | undefined
  for (const range of ranges) {
    if (range.method !== '*' && range.method !== method) continue
    if (range.intent !== '*' && range.intent !== intent) continue
    const specificity = Number(range.method !== '*') + Number(range.intent !== '*')
    const isBetter =
      !best ||
      specificity > best.specificity ||
      (specificity === best.specificity && range.weight > best.weight)
    if (isBetter) best = { ...range, specificity }
  }
  return best?.weight ?? 0
}

const range =
  /^(\*|[a-z][a-z0-9:_-]*)\/(\*|[A-Za-z0-9:_-]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/

function parse(header: string): Range[] | undefined {
  if (header.length > longest) return undefined
  const ranges: Range[] = []
  for (const element of header.split(',')) {
    const text = element.trim()
    if (text === '') continue
    const [, method, intent, weight = '1'] = range.exec(text) ?? []
    if (method === undefined || intent === undefined) return undefined
    ranges.push({ method, intent, weight: Number(weight) })
  }
  return ranges.length > 0 ? ranges : undefined
}
