/**
 * What `dcache --help` and `dcache help COMMAND` print. An option's description begins with what it takes, in angle
 * brackets ("<HOST:PORT> address of any node"), and is shown beside the flag.
 */
import type { Definition } from "clipanion"
import { exitCodeMeanings } from "./exit-codes.ts"
import { variableOf } from "./environment.ts"
import type { Colours } from "./output.ts"

export function overview(definitions: readonly Definition[], version: string, colours: Colours): string {
  const names = definitions.map(definition => definition.path)
  const nameWidth = widest(names)
  return [
    `${colours.bold("dcache")} ${version}: a distributed in-memory cache in one executable`,
    "",
    heading("Commands", colours),
    ...definitions.map(({ path, description }) => `  ${path.padEnd(nameWidth)}  ${oneLine(description)}`),
    "",
    heading("A first try", colours),
    "  dcache node                        start a node; it prints how to join it and how to use it",
    "  dcache node --join 127.0.0.1:5555  a second one, in another terminal",
    "  dcache set greeting hello",
    "  dcache get greeting",
    "",
    heading("Exit status", colours),
    ...[...exitCodeMeanings].map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`),
    "",
    "dcache help COMMAND shows options and examples; dcache --version the version.",
    "Every option has an environment variable: --if-absent is DCACHE_IF_ABSENT=1, --node is DCACHE_NODE.",
    "DCACHE_DEBUG=1 adds the stack to the message of an internal failure.",
    "",
  ].join("\n")
}

export function commandHelp(definition: Definition, colours: Colours): string {
  const options = definition.options.map(optionRow)
  const flagWidth = widest(options.map(option => option.flag))
  const sections = [`${colours.bold(usageLine(definition))}\n${oneLine(definition.description)}`]
  if (options.length > 0) {
    const rows = options.map(({ flag, text }) => `  ${flag.padEnd(flagWidth)}  ${text}`)
    sections.push([heading("Options", colours), ...rows].join("\n"))
  }
  if (definition.details) sections.push(definition.details.replace(/ +$/gm, "").trimEnd())
  if (definition.examples && definition.examples.length > 0) {
    const examples = definition.examples.map(
      ([label, command]) => `  ${colours.dim(`# ${oneLine(label)}`)}\n  ${command}`,
    )
    sections.push([heading("Examples", colours), ...examples].join("\n"))
  }
  const first = definition.options[0]
  if (first) {
    const flag = first.definition.split(" ", 1)[0] ?? first.definition
    sections.push(`Each option has an environment variable; that of ${flag} is ${variableOf(flag)}.`)
  }
  return `${sections.join("\n\n")}\n`
}

/** `dcache get [options] <KEY>` */
export function usageLine(definition: Definition): string {
  const positionals = definition.usage.slice(definition.path.length).trim()
  return [definition.path, ...(definition.options.length > 0 ? ["[options]"] : []), positionals].join(" ").trimEnd()
}

function optionRow({ definition, description }: Definition["options"][number]): { flag: string; text: string } {
  // The parser writes "--node #0" for an option with a value.
  const [flag = definition, value] = definition.split(" ")
  const text = oneLine(description ?? "")
  if (value === undefined) return { flag, text }
  const named = /^<([^>]+)> ?(.*)$/.exec(text)
  return named ? { flag: `${flag} ${named[1]}`, text: named[2] ?? "" } : { flag: `${flag} VALUE`, text }
}

function heading(text: string, colours: Colours): string {
  return colours.bold(`${text}:`)
}

function oneLine(text: string | undefined): string {
  return (text ?? "").replace(/\s+/g, " ").trim()
}

function widest(texts: readonly string[]): number {
  return texts.reduce((width, text) => Math.max(width, text.length), 0)
}
