/** A page's form as it was sent: bounded, and one value for each name. */
import { Problem } from '../problem.ts'

const longest = 16_384

/** @throws {Problem} 413, 415 */
export async function readForm(request: Request): Promise<(name: string) => string> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(request.headers.get('content-type') ?? '')) {
    throw new Problem(415, 'form_expected', 'This takes a form of this page.', {
      action: 'Programs use the API: see /docs/api.',
    })
  }
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of request.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > longest) {
      throw new Problem(413, 'too_large', 'The form is too long.', {
        action: `At most ${longest} characters.`,
      })
    }
  }
  const fields = new URLSearchParams(text)
  return (name) => fields.get(name) ?? ''
}
