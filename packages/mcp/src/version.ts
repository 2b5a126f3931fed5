declare const __DRAIN_MCP_VERSION__: string | undefined

/** The version of this package, as the build writes it in. */
export const version: string = typeof __DRAIN_MCP_VERSION__ === 'string' ? __DRAIN_MCP_VERSION__ : '0.0.0'
