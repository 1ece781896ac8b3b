/** Many numbers in few words. */

const shownRuns = 12

/** Ascending numbers as runs: 3-5, 9. The first few; all of them are in --json. */
export function rangesText(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = []
  for (const number of numbers) {
    const run = runs.at(-1)
    if (run !== undefined && run[1] === number - 1) run[1] = number
    else runs.push([number, number])
  }
  const shown = runs.slice(0, shownRuns).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  return runs.length > shownRuns ? `${shown.join(", ")} and more` : shown.join(", ")
}
