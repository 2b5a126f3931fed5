/** JSON in its canonical form (RFC 8785): no white space, members by the UTF-16 units of their names. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return new Sorted(members.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Writes members in their order: an object would put names that are numbers first. */
class Sorted {
  readonly #members: [string, unknown][]
  constructor(members: [string, unknown][]) {
    this.#members = members
  }
  toJSON(): unknown {
    return Object.fromEntries(this.#members.map(([name, member]) => [name, sorted(member)]))
  }
}
