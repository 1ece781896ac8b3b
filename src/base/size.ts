/**
 * Amounts of memory as people write them. `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, `kB`, `MB`, `GB`, `TB` powers of
 * 1000, and a letter alone (`64k`, `1g`) is a power of 1024, as Docker and the JVM read it. A bare number is bytes:
 * unlike a duration, nobody means anything else by it. Case does not matter.
 */

const letters = ["k", "m", "g", "t"] as const

/** In whole bytes. The problem is in words for whoever typed the text. */
export function parseSize(text: string): number | { readonly problem: string } {
  const [, amount, letter = "", kind = ""] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(ib|b)?\s*$/i.exec(text) ?? []
  if (amount === undefined || (letter === "" && kind.toLowerCase() === "ib"))
    return { problem: "not a size; write 512MiB, 1GB, 64k or a number of bytes" }
  const power = letters.findIndex(name => name === letter.toLowerCase()) + 1
  const bytes = Math.floor(Number(amount) * (kind.toLowerCase() === "b" ? 1_000 : 1_024) ** power)
  return Number.isSafeInteger(bytes) ? bytes : { problem: "more bytes than any machine has" }
}

/** For people, not exact: at most three digits and a power of 1024. */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const
  let power = 0
  // What would be rounded to 1000 or more goes to the next unit, where it has a fraction.
  while (power < units.length - 1 && bytes / 1_024 ** power >= 999.5) power++
  const amount = bytes / 1_024 ** power
  const digits = power === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2
  // "1.50" and "8.00" say no more than "1.5" and "8".
  return `${Number(amount.toFixed(digits))} ${units[power]}`
}
