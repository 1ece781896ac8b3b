/** Tables as the commands print them. */
import { coloursFor } from "../../src/cli/output.ts"
import { table } from "../../src/cli/table.ts"

/** The first columns are names, to the left; the others are numbers. */
export function formatTable(titles: readonly string[], rows: readonly (readonly string[])[], names: number): string {
  const columns = titles.map((title, column) => ({ title, align: column < names ? "left" : "right" }) as const)
  return table(columns, rows, coloursFor(process.stdout, process.env))
}
