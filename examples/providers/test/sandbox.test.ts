/** What programs of strangers can't do. Each wall is tried alone: the engine, and the process around it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { runSandboxed, sandboxFlags } from '../src/runSandboxed.ts'

const limits = { ms: 500, memoryBytes: 8 * 1_048_576, outputBytes: 1_000 }
const run = (code: string, input: unknown = null) => runSandboxed(code, input, limits)

let folder: string
let secret: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'drain-sandbox-'))
  secret = join(folder, 'secret')
  writeFileSync(secret, 'a secret')
  vi.stubEnv('SECRET_OF_THE_SERVER', 'a secret')
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

describe('the engine', () => {
  it('runs the language, with input and console', async () => {
    const code =
      'console.log("n", input, [1]); class A { #x = input; get x() { return this.#x ** 2n } }; String(new A().x)'
    expect(await run(code.replace('= input', '= BigInt(input)'), 7)).toEqual({
      ok: true,
      result: '49',
      logs: ['n 7 [1]'],
    })
    expect(await run('undefined')).toEqual({ ok: true, result: null, logs: [] })
    expect(await run('({ __proto__: null, a: [1, null] })', {})).toMatchObject({ result: { a: [1, null] } })
  })

  it('has nothing of Node, of browsers or of QuickJS’s own library', async () => {
    const names = [
      ...['process', 'require', 'module', 'fetch', 'XMLHttpRequest', 'WebSocket', 'setTimeout', 'Buffer'],
      ...['std', 'os', 'bjson', 'Worker', 'WebAssembly', 'Deno', 'Bun', 'navigator', 'log', 'print'],
    ]
    const { result } = await run(`input.filter((name) => name in globalThis)`, names)
    expect(result).toEqual([])
  })

  it.each([
    ['this.constructor.constructor("return process")()', /ReferenceError/],
    ['console.log.constructor.constructor("return process.env")()', /ReferenceError/],
    ['(async () => {}).constructor("return globalThis.process")() && process', /ReferenceError/],
    ['import fs from "node:fs"; fs', /SyntaxError/],
    ['require("fs")', /ReferenceError/],
    ['throw { name: "x", message: { toString() { throw 1 } } }', /./],
    ['throw null', /./],
    ['const o = {}; o.o = o; o', /TypeError/],
    ['(function f() { f() })()', /InternalError: stack overflow|RangeError/],
    ['while (true) {}', /interrupted/],
    ['/(a+)+$/.test("a".repeat(40) + "b")', /./],
    ['const all = []; while (true) all.push(new Array(1e4).fill(0.5))', /out of memory|interrupted/],
    ['"x".repeat(1 << 29)', /./],
    ['"x".repeat(5000)', /too long/],
    ['new Proxy({}, { get() { while (true) {} } }).toJSON', /interrupted/],
  ])('stops %s', async (code, error) => {
    const outcome = await run(code)
    expect(outcome).toMatchObject({ ok: false, error: expect.stringMatching(error) })
  })

  it('can’t be taken in by a program that changes the language under it', async () => {
    const code = `
      JSON.stringify = () => 'null; evil'; JSON.parse = null
      Array.prototype.map = () => ['changed']; Object.prototype.toJSON = undefined
      ;[1, 2]`
    expect(await run(code)).toMatchObject({ ok: true, result: [1, 2] })
  })

  it('ends logs that never end', async () => {
    const { ok, logs } = await run('for (;;) console.log("again and again")')
    expect(ok).toBe(false)
    expect(logs.join('\n').length).toBeLessThanOrEqual(limits.outputBytes)
  })

  it('keeps nothing of one program for the next', async () => {
    await run('globalThis.left = 1; Object.prototype.left = 1')
    expect(await run('typeof left')).toMatchObject({ result: 'undefined' })
  })
})

describe('the process around it, should the engine have a hole', () => {
  /** Runs Node's own JavaScript where the engine runs, with all that Node offers there. */
  const inProcess = async (code: string) => {
    const options = { env: {}, cwd: '/' }
    const { stdout } = await promisify(execFile)(process.execPath, [...sandboxFlags, '--eval', code], options)
    return stdout.trim()
  }
  const denied = (work: string) =>
    inProcess(`try { ${work}; console.log('done') } catch (error) { console.log(error.code) }`)

  it('has no environment', async () => {
    expect(await inProcess('console.log(Object.keys(process.env).join())')).not.toContain('SECRET')
  })

  it('reads no file but its own, writes none, and starts nothing', async () => {
    expect(await denied(`require('fs').readFileSync(${JSON.stringify(secret)})`)).toBe('ERR_ACCESS_DENIED')
    expect(await denied(`require('fs').readFileSync('/etc/passwd')`)).toBe('ERR_ACCESS_DENIED')
    expect(await denied(`require('fs').writeFileSync(${JSON.stringify(secret)}, '')`)).toBe(
      'ERR_ACCESS_DENIED',
    )
    expect(await denied(`require('child_process').spawnSync('true')`)).toBe('ERR_ACCESS_DENIED')
    expect(await denied(`new (require('worker_threads').Worker)('1', { eval: true })`)).toBe(
      'ERR_ACCESS_DENIED',
    )
    expect(await denied(`process.binding('fs')`)).toBe('ERR_ACCESS_DENIED')
  })
})

describe('the network', () => {
  it('isn’t reached by a program, since its engine has no way to say it', async () => {
    let isReached = false
    const server = createServer((_, res) => {
      isReached = true
      res.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    for (const code of [
      `fetch(${JSON.stringify(url)})`,
      `import(${JSON.stringify(url)}).catch(() => 0)`,
      `new WebSocket('ws')`,
    ])
      await run(code)
    expect(isReached).toBe(false)
    await new Promise((resolve) => server.close(resolve))
  })
})
