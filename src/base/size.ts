/**
 * Amounts of memory as people write them: `512MiB`, `2g`, `1.5 GB`. Powers of 1024 for every spelling, as memory is
 * counted (and as Docker and the JVM read the same letters).
 */

const prefixes = ["", "k", "m", "g", "t"] as const

/** In whole bytes; undefined: not an amount. */
export function parseSize(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim())
  const power = prefixes.findIndex(prefix => prefix === found?.[2]?.toLowerCase())
  const bytes = found && power >= 0 ? Math.floor(Number(found[1]) * 1024 ** power) : Number.NaN
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** At most three digits before the point, one after: `1.5 GiB`, `12 KiB`, `512 B`. */
export function formatSize(bytes: number): string {
  let amount = bytes
  let power = 0
  // From 1023.95 on it would be shown as 1024.
  while (amount >= 1023.95 && power < prefixes.length - 1) {
    amount /= 1024
    power++
  }
  const unit = power === 0 ? "B" : `${prefixes[power]?.toUpperCase()}iB`
  return `${power === 0 ? amount : Math.round(amount * 10) / 10} ${unit}`
}
