import { deepEqual } from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { commands } from "./table.ts"

test("the account beside the code has a row for every command and every subcommand, and no others", () => {
  const text = readFileSync(new URL("README.md", import.meta.url), "utf8")
  const rows = text.split("\n").filter(line => line.startsWith("| `"))
  const wordsOf = (cell = "") => [...cell.matchAll(/`([A-Z-]+)`/g)].map(([, word = ""]) => word.toLowerCase())
  const told = rows.flatMap(row => wordsOf(row.split("|")[1]))
  deepEqual(told.toSorted(), commands.map(({ name }) => name).toSorted())
  for (const { name, subcommands } of commands) {
    if (subcommands === undefined) continue
    const row = rows.find(line => wordsOf(line.split("|")[1]).includes(name))
    deepEqual(wordsOf(row?.split("|")[2]).toSorted(), Object.keys(subcommands).toSorted(), name)
  }
})
