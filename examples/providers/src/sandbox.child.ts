/**
 * Runs one program of a stranger in QuickJS, compiled to WebAssembly: an engine that has nothing but the language. Reads
 * `{code, input}` as JSON from standard input, writes `{ok, result | error, logs}` to standard output. Started by
 * `runSandboxed.ts`, which ends it when it takes too long.
 */
import { readFileSync } from 'node:fs'
import variant from '@jitl/quickjs-wasmfile-release-sync'
import { newQuickJSWASMModuleFromVariant, shouldInterruptAfterDeadline } from 'quickjs-emscripten-core'

const { code, input, limits } = JSON.parse(readFileSync(0, 'utf8'))
const quickJs = await newQuickJSWASMModuleFromVariant(variant)
const runtime = quickJs.newRuntime()
runtime.setMemoryLimit(limits.memoryBytes)
runtime.setMaxStackSize(256 * 1_024)
runtime.setInterruptHandler(shouldInterruptAfterDeadline(Date.now() + limits.ms))
const vm = runtime.newContext()

const logs: string[] = []
let logged = 0
vm.newFunction('log', (...values) => {
  // Strings only: what a stranger's object says of itself is the engine's business, and stays in there.
  const line = values.map((value) => vm.getString(value)).join(' ')
  logged += line.length + 1
  if (logged <= limits.outputBytes) logs.push(line)
}).consume((log) => vm.setProp(vm.global, 'log', log))

/** Keeps the language's own `JSON` for the result, whatever the program makes of it. */
const frame = `(() => {
  const { parse, stringify } = JSON
  const { log } = globalThis
  const show = (value) => typeof value === 'string' ? value : stringify(value) ?? String(value)
  globalThis.console = { log: (...values) => log(...values.map(show)) }
  globalThis.input = parse(${JSON.stringify(JSON.stringify(input ?? null))})
  delete globalThis.log
  return (value) => stringify(value) ?? 'null'
})()`

function run(): { ok: boolean; result?: unknown; error?: string } {
  const finish = vm.unwrapResult(vm.evalCode(frame))
  const value = vm.evalCode(code, 'program.js', { type: 'global' })
  const told = value.error ? value : vm.callFunction(finish, vm.undefined, value.value)
  if (told.error) {
    const error = vm.dump(told.error)
    const name = error?.name ? `${error.name}: ` : ''
    return { ok: false, error: `${name}${error?.message ?? JSON.stringify(error)}`.slice(0, 1_000) }
  }
  const text = vm.getString(told.value)
  if (text.length > limits.outputBytes) return { ok: false, error: 'RangeError: the result is too long' }
  return { ok: true, result: JSON.parse(text) }
}

process.stdout.write(JSON.stringify({ ...run(), logs }))
