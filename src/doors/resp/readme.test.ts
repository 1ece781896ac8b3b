import { deepEqual } from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { type Argument, argumentsOf } from "./syntax.ts"
import { commands } from "./table.ts"

test("the account beside the code has one row for every command, every option and every subcommand, and no others", () => {
  const text = readFileSync(new URL("README.md", import.meta.url), "utf8")
  const rows = text.split("\n").filter(line => line.startsWith("| `"))
  const wordsOf = (cell = "") => [...cell.matchAll(/`([A-Z-]+)`/g)].map(([, word = ""]) => word)
  const told = rows.flatMap(row => {
    const [, names, option] = row.split("|")
    const [word = ""] = wordsOf(option)
    return wordsOf(names).map(name => `${name} ${word}`)
  })
  const known = commands.flatMap(({ name, subcommands = {} }) => {
    const options = [...argumentsOf(name).flatMap(tokensOf), ...Object.keys(subcommands)]
    return ["", ...options].map(option => `${name} ${option}`.toUpperCase())
  })
  deepEqual(told.toSorted(), known.toSorted())
})

function tokensOf({ token, arguments: parts = [] }: Argument): string[] {
  return [...(token === undefined ? [] : [token]), ...parts.flatMap(tokensOf)]
}
