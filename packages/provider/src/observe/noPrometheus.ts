/** Stands in for `prom-client` where there is no Node: nothing is counted. See `browser` in `package.json`. */

class Silent {
  inc(): void {}
  set(): void {}
  reset(): void {}
}

export { Silent as Counter, Silent as Gauge }

export class Registry {
  readonly contentType = 'text/plain'
  async metrics(): Promise<string> {
    return ''
  }
}
