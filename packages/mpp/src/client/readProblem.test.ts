import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readProblem } from './readProblem.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('a body that never ends is left after five seconds', async () => {
  let isLeft = false
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{')),
    cancel() {
      isLeft = true
    },
  })
  const reading = readProblem(new Response(body, { status: 402 }))
  await vi.advanceTimersByTimeAsync(4_999)
  expect(isLeft).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(isLeft).toBe(true)
  expect(await reading).toEqual({ code: undefined, isStale: false })
})

test('a body that ends is read, and no timer is left', async () => {
  const problem = {
    type: 'https://paymentauth.org/problems/invalid-challenge',
    error: { code: 'invalid_nonce' },
  }
  expect(await readProblem(Response.json(problem))).toEqual({ code: 'invalid_nonce', isStale: true })
  expect(vi.getTimerCount()).toBe(0)
})
