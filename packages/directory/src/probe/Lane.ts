/** So many places: who finds none waits in line. */
export type Lane = {
  /** How many could come without waiting; less than 0 where some wait. */
  room(): number
  run<result>(work: () => Promise<result>): Promise<result>
}

export function createLane(places: number): Lane {
  const line: (() => void)[] = []
  let taken = 0
  return {
    room: () => places - taken - line.length,
    async run(work) {
      if (taken < places) taken += 1
      else await new Promise<void>((resolve) => line.push(resolve))
      try {
        return await work()
      } finally {
        // The place goes to the first in line.
        const next = line.shift()
        if (next) next()
        else taken -= 1
      }
    },
  }
}
