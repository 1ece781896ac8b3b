/** What people type after a bench's name, read; what they mistyped, in words. */

/** The command line is at fault, and the message says how. */
export class UsageError extends Error {}

/** `20000000`, `20e6`. */
export function parseCount(option: string, text: string): number {
  const count = /^\d+(e\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new UsageError(`${option}: ${JSON.stringify(text)} is no whole number above 0; write 5000000 or 5e6`)
}

export function parseCounts(option: string, text: string): number[] {
  return text.split(",").map(each => parseCount(option, each.trim()))
}

/** Those of the named things that were asked for, all of them for an empty text. */
export function parseChoice<Name extends string>(option: string, text: string, names: readonly Name[]): Name[] {
  if (text === "") return [...names]
  return text.split(",").map(wanted => {
    const name = names.find(known => known === wanted.trim())
    if (name === undefined)
      throw new UsageError(`${option}: no ${JSON.stringify(wanted)}; there are ${names.join(", ")}`)
    return name
  })
}
