import type { WriteStream } from 'node:tty'

export type Progress = {
  say(text: string): void
  update(done: number, of: number, note: string): void
}

/** One line that is rewritten on a terminal; elsewhere a line for every tenth. */
export function createProgress(out: Pick<WriteStream, 'write'> & { isTTY?: boolean }): Progress {
  return {
    say: (text) => void out.write(`${text}\n`),
    update(done, of, note) {
      if (out.isTTY) {
        const filled = Math.round((done / of) * 30)
        out.write(
          `\r${'█'.repeat(filled)}${'░'.repeat(30 - filled)} ${done}/${of} requests, ${note}${done === of ? '\n' : ''}`,
        )
      } else if (done % (of / 10) === 0) out.write(`${done}/${of} requests, ${note}\n`)
    },
  }
}
