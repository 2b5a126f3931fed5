/** What an owner may say of a provider. */
import { z } from 'zod'
import { categories, type Profile } from '../Provider.ts'

const breaks = /[\r\n\t]/
/**
 * Controls, and what turns the direction of text around or can't be seen: nobody needs them in a name. All but breaks, and what joins emoji and
 * the letters of some scripts.
 */
const odd = /(?!\u200c|\u200d|[\r\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
const everyOdd = new RegExp(odd, 'gu')

/** A text without what is refused below; one that was accepted stays as it is. */
export function acceptable(text: string): string {
  return text.replace(everyOdd, '')
}

/** Text of at most so many characters, trimmed, without invisible ones. */
const text = (longest: number) =>
  z
    .string()
    .max(longest)
    .transform((value) => value.trim())
    .refine((value) => !odd.test(value), 'it has characters that can’t be seen')

const line = (longest: number) =>
  text(longest).refine((value) => value.search(breaks) < 0, 'it has more than one line')

/** A link for people: `http` or `https`, without a password; as a parser writes it. */
const link = z
  .string()
  .max(500)
  .transform((value) => value.trim())
  .refine((value) => value === '' || isLink(value), 'it is no http or https URL')
  .transform((value) => (value === '' ? '' : new URL(value).href))

const address = z
  .string()
  .max(200)
  .transform((value) => value.trim())
  .refine(
    (value) => value === '' || /^[^\s@<>"'`]+@[^\s@<>"'`]+\.[^\s@<>"'`.]+$/.test(value),
    'it is no e-mail address',
  )

const seconds = z.number().int().min(1).max(4_294_967_295).nullable().default(null)

export const profileShape = {
  name: line(80).refine(
    (value) => /[\p{L}\p{N}].*[\p{L}\p{N}]/u.test(value),
    'it needs two letters at least',
  ),
  description: text(1_000).default(''),
  contactEmail: address.default('').describe('Shown on the provider’s page.'),
  website: link.default(''),
  logoUrl: link.default(''),
  docsUrl: link.default('').describe('For people; agents read /v1/docs of the API.'),
  category: z.enum(categories),
  moreCategories: z.array(z.enum(categories)).max(3).default([]),
  streaming: z.boolean().default(false),
  minDuration: seconds.describe('Shortest channel that it takes, in seconds.'),
  maxDuration: seconds.describe('Longest channel that it takes, in seconds.'),
} as const

/** The URL that requests go below, without a slash at the end, as a parser writes it. */
export const apiUrlSchema = z
  .string()
  .max(300)
  .refine((value) => isLink(value) && !/[?#]/.test(value), 'it is no http or https URL without ? and #')
  .transform((value) => new URL(value).href.replace(/\/+$/, ''))

export const mppShape = {
  mppEndpoint: z
    .string()
    .max(300)
    .refine((value) => value.startsWith('/') || isLink(value), 'it is no path and no URL')
    .nullable()
    .default(null)
    .describe('What is paid per request; a path below apiUrl, or a URL of the same host.'),
  mppType: z.enum(['llm', 'rest']).nullable().default(null),
} as const

/** @throws never */
function isLink(value: string): boolean {
  if (!URL.canParse(value)) return false
  const { protocol, username, password, hostname } = new URL(value)
  return /^https?:$/.test(protocol) && !username && !password && hostname !== ''
}

/** A name in an address: `DRAIN AI provider` becomes `drain-ai-provider`. */
export function slugOf(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return (
    plain
      .match(/[a-z0-9]+/g)
      ?.join('-')
      .slice(0, 50)
      .replace(/-$/, '') || 'provider'
  )
}

type Given = { [name in keyof typeof profileShape]: z.output<(typeof profileShape)[name]> }

export function toProfile(
  given: Given & Partial<Pick<Profile, 'mppEndpoint' | 'mppType' | 'hotkey'>>,
): Profile {
  const { name, description, contactEmail, website, logoUrl, docsUrl, category, streaming } = given
  const moreCategories = [...new Set(given.moreCategories)].filter((one) => one !== category)
  const { minDuration, maxDuration, mppEndpoint = null, mppType = null, hotkey = null } = given
  return {
    ...{ name, description, contactEmail, website, logoUrl, docsUrl, category, moreCategories, streaming },
    ...{ minDuration, maxDuration, mppEndpoint, mppType, hotkey },
  }
}
