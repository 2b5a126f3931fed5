import type { Streams } from '@drain/keys/node'
export async function doctor(
  _options: { json: boolean },
  _env: Record<string, string | undefined>,
  _streams: Streams,
): Promise<0 | 1> {
  return 1
}
