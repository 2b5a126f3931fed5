import { Writable } from 'node:stream'

/** Streams as a command line has them, and what was written to them. */
export function collect() {
  const written = { stdout: '', stderr: '' }
  const to = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk, _encoding, done) {
        written[name] += chunk
        done()
      },
    })
  return { written, streams: { stdout: to('stdout'), stderr: to('stderr') } }
}
