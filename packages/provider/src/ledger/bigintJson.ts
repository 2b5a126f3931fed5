/** JSON of plain data with bigints in it, for notes. A text of nothing but digits and an `n` would be read as one. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? `${member}n` : member))
}

export function decode<value>(text: string): value {
  return JSON.parse(text, (_, member) =>
    typeof member === 'string' && /^\d+n$/.test(member) ? BigInt(member.slice(0, -1)) : member,
  ) as value
}
