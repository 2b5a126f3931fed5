/** The parameters of a URL. */
import { z } from 'zod'
import { invalid } from '../problem.ts'
import { read } from './read.ts'

/** @throws {Problem} 400 for one that is there twice, is not known, or is not as it should be. */
export function readQuery<schema extends z.ZodType>(
  schema: schema | undefined,
  search: string,
): z.output<schema> {
  const given = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(search)) {
    if (given.has(name)) throw invalid(`The parameter ${JSON.stringify(name.slice(0, 50))} is there twice.`)
    given.set(name, value)
  }
  return read(schema ?? z.strictObject({}), Object.fromEntries(given), 'query') as z.output<schema>
}
