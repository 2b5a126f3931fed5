/**
 * Histograms of durations, in seconds: every request adds to some, and the library's take as long as a step of the ledger's
 * arithmetic. These are an array to count in.
 */
export type Durations = {
  /** @param label The value of the label, if there is one: one of few, that are known in advance. */
  observe(seconds: number, label?: string): void
  /** In Prometheus' text format. */
  text(): string
}

/**
 * @param options.buckets Upper bounds, rising.
 * @param options.label The name of the label, if there is one.
 */
export function createDurations(options: {
  name: string
  help: string
  buckets: readonly number[]
  label?: string
}): Durations {
  const { name, help, buckets, label } = options
  /** How many fell into each bucket, and above them all. */
  type Series = { counts: number[]; sum: number }
  const series = new Map<string | undefined, Series>()
  if (label === undefined) series.set(undefined, empty())

  function empty(): Series {
    return { counts: new Array(buckets.length + 1).fill(0), sum: 0 }
  }

  function seriesOf(value: string | undefined): Series {
    const known = series.get(value)
    if (known) return known
    const made = empty()
    series.set(value, made)
    return made
  }

  function lines(value: string | undefined, { counts, sum }: Series): string[] {
    const own = label === undefined ? [] : [`${label}="${value}"`]
    const line = (suffix: string, labels: string[], figure: number) =>
      `${name}_${suffix}${labels.length > 0 ? `{${labels.join(',')}}` : ''} ${figure}`
    let upTo = 0
    const within = counts.map((count, index) => {
      upTo += count
      return line('bucket', [`le="${buckets[index] ?? '+Inf'}"`, ...own], upTo)
    })
    return [...within, line('sum', own, sum), line('count', own, upTo)]
  }

  return {
    observe(seconds, value) {
      const one = seriesOf(value)
      let index = 0
      while (index < buckets.length && seconds > (buckets[index] as number)) index += 1
      one.counts[index] = (one.counts[index] as number) + 1
      one.sum += seconds
    },
    text() {
      const all = [...series].flatMap(([value, one]) => lines(value, one))
      return [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`, ...all, ''].join('\n')
    },
  }
}
