/** Rows under headings, columns aligned, no lines drawn: readable on a terminal and cut by `awk` alike. */
import Table from "cli-table3"
import type { Colours } from "./output.ts"

export type Column = { readonly title: string; readonly align: "left" | "right" }

const noLines = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
}

/** Ends with a newline; no line ends in spaces. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], colours: Colours): string {
  const drawn = new Table({
    head: columns.map(column => colours.bold(column.title)),
    colAligns: columns.map(column => column.align),
    chars: noLines,
    // Colours are ours to choose, where people look; the table's own are on even when piped.
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
  })
  drawn.push(...rows.map(row => [...row]))
  return drawn.toString().replace(/ +$/gm, "") + "\n"
}
