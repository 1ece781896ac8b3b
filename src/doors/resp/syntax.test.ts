import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import { argumentsOf, namesWithSyntax } from "./syntax.ts"
import { commands, isArity } from "./table.ts"

/** Fewest and most words. */
type Range = readonly [least: number, most: number]

function wordsOf(argument: ReturnType<typeof argumentsOf>[number]): Range {
  const own = argument.token === undefined || argument.type === "pure-token" ? 0 : 1
  const parts = (argument.arguments ?? []).map(wordsOf)
  const inner: Range =
    argument.type === "oneof"
      ? [Math.min(...parts.map(([least]) => least)), Math.max(...parts.map(([, most]) => most))]
      : argument.type === "block"
        ? sumOf(parts)
        : [1, 1]
  const [least, most] = [own + inner[0], own + inner[1]]
  return [
    argument.flags.includes("optional") ? 0 : least,
    argument.flags.includes("multiple") ? Number.POSITIVE_INFINITY : most,
  ]
}

function sumOf(parts: readonly Range[]): Range {
  return [parts.reduce((sum, [least]) => sum + least, 0), parts.reduce((sum, [, most]) => sum + most, 0)]
}

test("what is told of the words of a command is of as many words as the command takes", () => {
  const known = commands.flatMap(({ name, arity, subcommands }) => [
    { name, arity, isFamily: subcommands !== undefined, own: 1 },
    ...Object.entries(subcommands ?? {}).map(([word, part]) => ({
      ...{ name: `${name}|${word}`, arity: part.arity, isFamily: false, own: 2 },
    })),
  ])
  deepEqual(
    namesWithSyntax.filter(name => !known.some(command => command.name === name)),
    [],
  )
  // These look at their words by themselves.
  const lenient = ["quit", "command|list"]
  for (const { name, arity, isFamily, own } of known) {
    if (isFamily || lenient.includes(name)) continue
    const [least, most] = sumOf(argumentsOf(name).map(wordsOf))
    equal(isArity(arity, own + least), true, `${name} with ${least} words`)
    if (least > 0) equal(isArity(arity, own + least - 1), false, `${name} with one word fewer`)
    if (most !== least) equal(isArity(arity, own + least + 1) || arity < 0, true, `${name} with one word more`)
  }
})

test("a line of syntax is read as it is meant", () => {
  deepEqual(argumentsOf("copy"), [
    { name: "source", type: "key", flags: [] },
    { name: "destination", type: "key", flags: [] },
    { name: "destination-db", type: "integer", token: "DB", flags: ["optional"] },
    { name: "replace", type: "pure-token", token: "REPLACE", flags: ["optional"] },
  ])
  deepEqual(argumentsOf("mset"), [
    {
      ...{ name: "key_value", type: "block", flags: ["multiple"] },
      arguments: [
        { name: "key", type: "key", flags: [] },
        { name: "value", type: "string", flags: [] },
      ],
    },
  ])
  deepEqual(argumentsOf("client|no-evict"), [
    {
      ...{ name: "enabled", type: "oneof", flags: [] },
      arguments: [
        { name: "on", type: "pure-token", token: "ON", flags: [] },
        { name: "off", type: "pure-token", token: "OFF", flags: [] },
      ],
    },
  ])
  deepEqual(argumentsOf("incrbyfloat")[1], { name: "increment", type: "double", flags: [] })
  deepEqual(argumentsOf("randomkey"), [])
})
