/** Text that strangers wrote, on its way to a page, a log or an agent. */

/** Control signs, directions, fillers and all else that shows nothing or changes how other signs are shown. */
const hidden = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu

/** A text without what can't be seen; line ends and tabs stay. */
export function plainText(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(hidden, (sign) => (sign === '\n' || sign === '\t' ? sign : ''))
}

/** The same on one line, with at most so many characters. */
export function plainLine(text: string, longest: number): string {
  // Far more than is shown, so that cleaning takes no longer than that.
  const line = plainText(text.slice(0, longest * 8))
    .replace(/\s+/gu, ' ')
    .trim()
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line
}
