import { exampleIn } from '../../provider/test/readmeExamples.ts'

/** The code block behind `<!-- example: name -->`, of the project's README or another one. */
export const readmeExample = (name: string, file = '../../../README.md') =>
  exampleIn(new URL(file, import.meta.url), name)
