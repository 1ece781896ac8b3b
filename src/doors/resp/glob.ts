/**
 * Redis' patterns: `*`, `?`, `[a-c]`, `[^x]`, and a backslash before what means itself. Compared from left to right; after
 * a mismatch only the last star takes one character more, so the time is at most text times pattern, whatever they are.
 */
type Step =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "one"; readonly char: string }
  | { readonly kind: "class"; readonly not: boolean; readonly ranges: readonly (readonly [string, string])[] }

/** For text of one character a byte (latin1). */
export function globOf(glob: string): (text: string) => boolean {
  const steps = stepsOf(glob)
  return text => {
    let [at, step] = [0, 0]
    let star: { step: number; at: number } | undefined
    while (at < text.length) {
      const current = steps[step]
      if (current?.kind === "star") {
        star = { step, at }
        step++
      } else if (current !== undefined && fits(current, text.charAt(at))) {
        at++
        step++
      } else if (star !== undefined) {
        star.at++
        at = star.at
        step = star.step + 1
      } else {
        return false
      }
    }
    while (steps[step]?.kind === "star") step++
    return step === steps.length
  }
}

function fits(step: Step, char: string): boolean {
  switch (step.kind) {
    case "star":
    case "any":
      return true
    case "one":
      return step.char === char
    case "class":
      return step.ranges.some(([from, to]) => from <= char && char <= to) !== step.not
  }
}

function stepsOf(glob: string): Step[] {
  const steps: Step[] = []
  for (let i = 0; i < glob.length; i++) {
    const char = glob.charAt(i)
    if (char === "*") {
      if (steps.at(-1)?.kind !== "star") steps.push({ kind: "star" })
    } else if (char === "?") steps.push({ kind: "any" })
    else if (char === "[") {
      const found = classAt(glob, i + 1)
      steps.push(found.step)
      i = found.end
    } else if (char === "\\" && i + 1 < glob.length) steps.push({ kind: "one", char: glob.charAt(++i) })
    else steps.push({ kind: "one", char })
  }
  return steps
}

/** A class without an end reaches to the end of the pattern, as in Redis. `end`: its last character. */
function classAt(glob: string, from: number): { step: Step; end: number } {
  const ranges: (readonly [string, string])[] = []
  const not = glob.charAt(from) === "^"
  let i = not ? from + 1 : from
  for (; i < glob.length && glob.charAt(i) !== "]"; i++) {
    if (glob.charAt(i) === "\\" && i + 1 < glob.length) i++
    const first = glob.charAt(i)
    if (glob.charAt(i + 1) === "-" && i + 2 < glob.length && glob.charAt(i + 2) !== "]") {
      const last = glob.charAt(i + 2)
      ranges.push(first <= last ? [first, last] : [last, first])
      i += 2
    } else ranges.push([first, first])
  }
  return { step: { kind: "class", not, ranges }, end: i }
}

/** What every text that matches begins with. */
export function literalPrefix(glob: string): string {
  let prefix = ""
  for (const step of stepsOf(glob)) {
    if (step.kind !== "one") break
    prefix += step.char
  }
  return prefix
}
