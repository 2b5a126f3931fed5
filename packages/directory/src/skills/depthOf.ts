import type { Json } from './fillTemplate.ts'

/** How deeply JSON of strangers may be nested. */
export const deepest = 20

/** How deeply JSON is nested, counted up to a little more than {@link deepest}; without recursion. */
export function depthOf(json: Json): number {
  let depth = 0
  let level: Json[] = [json]
  while (level.length > 0 && depth <= deepest) {
    level = level.flatMap((one) =>
      typeof one === 'object' && one !== null ? (Object.values(one) as Json[]) : [],
    )
    depth++
  }
  return depth
}
