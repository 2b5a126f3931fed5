/** What a provider tells its operator: structured, and without secrets. */
import { pino } from 'pino'

/** Facts of an entry. Amounts are base units; a `bigint` is written as a decimal string. */
export type LogFields = Record<string, string | number | bigint | boolean | undefined>

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Takes entries by level. A pino logger is one. */
export type Log = Record<LogLevel, (fields: Record<string, unknown>, message: string) => void> & {
  isLevelEnabled?: (level: string) => boolean
}

/** A logger with pino's methods, or a function that takes what the operator should know as one line. */
export type LogInput = Log | ((message: string) => void)

/** Where entries go once their fields are fit to be written. */
export type Logger = Record<LogLevel, (message: string, fields?: LogFields) => void>

/**
 * Nothing of these is ever passed to a log. Should a mistake do it, the default logger still keeps it out; a logger of
 * your own needs the same setting (`pino({ redact: redactedPaths })`).
 */
export const redactedPaths: string[] = [
  'signature',
  'privateKey',
  'adminToken',
  'rpcUrl',
  'authorization',
  'voucher.signature',
  'config.privateKey',
  'config.adminToken',
  'config.rpcUrl',
  'headers.authorization',
  'headers["x-drain-voucher"]',
  'headers["x-payment-voucher"]',
]

/**
 * The log of a provider. Without `input`: JSON lines on stderr, at the level of `LOG_LEVEL` (default `info`). A function
 * gets everything from `info` on, as text.
 */
export function createLogger(input: LogInput | undefined): Logger {
  if (typeof input === 'function') return textLogger(input)
  const log = input ?? defaultLog()
  const at =
    (level: LogLevel): Logger[LogLevel] =>
    (message, fields = {}) => {
      if (log.isLevelEnabled?.(level) !== false) log[level](writable(fields), message)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function defaultLog(): Log {
  const level = globalThis.process?.env?.LOG_LEVEL
  return pino(
    {
      name: 'drain-provider',
      level: level && level in pino.levels.values ? level : 'info',
      redact: redactedPaths,
    },
    pino.destination(2),
  )
}

function textLogger(print: (message: string) => void): Logger {
  const line = (message: string, fields: LogFields = {}) => {
    const facts = Object.entries(fields).filter(([, value]) => value !== undefined)
    print(
      facts.length > 0
        ? `${message} (${facts.map(([name, value]) => `${name} ${value}`).join(', ')})`
        : message,
    )
  }
  return { debug: () => {}, info: line, warn: line, error: line }
}

function writable(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? value.toString() : value,
    ]),
  )
}
