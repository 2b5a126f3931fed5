/** The pages' style, which is written by subject and served as one file. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** In the order of the cascade: what is plain comes before what is special. */
export const subjects = [
  ...['base', 'frame', 'marks', 'tables', 'forms', 'code'],
  ...['providers', 'charts', 'pages', 'print'],
] as const

/** @param folder Has a file for each of {@link subjects}. @throws Where one is missing. */
export function joinStyles(folder: string): string {
  return subjects.map((subject) => readFileSync(join(folder, `${subject}.css`), 'utf8')).join('\n')
}
