/**
 * Sums of decimal numbers as people write them, exact where floating point is not: 0.1 and 0.2 are 0.3. Redis computes with
 * the long floating point numbers of its machine and prints 17 places; so far the two agree.
 */

/** Places behind the point; what is smaller is rounded away. */
const places = 17
const scale = 10n ** BigInt(places)
/** Beyond, a number has no business in a counter, and its digits would only take time. */
const maxExponent = 400
const maxChars = 1_000

/** In units of the last place; undefined: no number. */
function parsed(text: string): bigint | undefined {
  if (text.length > maxChars) return undefined
  const found = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/.exec(text)
  if (found === null) return undefined
  const [, sign, whole = "", fraction = "", exponent = "0"] = found
  if (whole === "" && fraction === "") return undefined
  const shift = Number(exponent) + places - fraction.length
  if (Math.abs(Number(exponent)) > maxExponent) return undefined
  const digits = BigInt(whole + fraction)
  const value = shift >= 0 ? digits * 10n ** BigInt(shift) : rounded(digits, 10n ** BigInt(-shift))
  return sign === "-" ? -value : value
}

/** Half away from zero. */
function rounded(digits: bigint, divisor: bigint): bigint {
  return (2n * digits + divisor) / (2n * divisor)
}

function written(value: bigint): string {
  const [sign, size] = value < 0n ? ["-", -value] : ["", value]
  const fraction = String(size % scale)
    .padStart(places, "0")
    .replace(/0+$/, "")
  return `${sign}${size / scale}${fraction === "" ? "" : `.${fraction}`}`
}

/** Undefined: one of them is no number. */
export function decimalSum(a: string, b: string): string | undefined {
  const [first, second] = [parsed(a), parsed(b)]
  return first === undefined || second === undefined ? undefined : written(first + second)
}
