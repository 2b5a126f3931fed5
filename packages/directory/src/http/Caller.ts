/** Who asks. */
export type Caller = {
  /** The network that limits are counted for: an IPv4 address, or the /64 of an IPv6 one. */
  network: string
  /** An address or `token`, where an operator asks; found out when it is asked for. */
  operator(): Promise<string | undefined>
}
