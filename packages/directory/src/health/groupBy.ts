/** Puts values with the same key together, in their order. */
export function groupBy<value, key>(
  values: Iterable<value>,
  keyOf: (value: value) => key,
): Map<key, [value, ...value[]]> {
  const groups = new Map<key, [value, ...value[]]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group) group.push(value)
    else groups.set(keyOf(value), [value])
  }
  return groups
}
