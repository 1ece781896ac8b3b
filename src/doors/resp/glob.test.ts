import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { globOf, literalPrefix } from "./glob.ts"

for (const [glob, matches, others] of [
  ["*", ["", "a", "\n"], []],
  ["h?llo", ["hello", "hallo"], ["hllo", "heello"]],
  ["h*llo", ["hllo", "heeeello"], ["hell"]],
  ["h[ae]llo", ["hello", "hallo"], ["hillo"]],
  ["h[^e]llo", ["hallo", "hbllo"], ["hello"]],
  ["h[a-b]llo", ["hallo", "hbllo"], ["hcllo"]],
  ["h[b-a]llo", ["hallo", "hbllo"], ["hcllo"]],
  ["a\\*b", ["a*b"], ["axb"]],
  ["[\\]]", ["]"], ["\\"]],
  ["user:*:name", ["user:1:name", "user::name"], ["user:1:names"]],
  ["[abc", ["a", "c"], ["d", "[abc"]],
] as const)
  test(`the pattern ${glob}`, () => {
    for (const text of matches) ok(globOf(glob)(text), text)
    for (const text of others) ok(!globOf(glob)(text), text)
  })

test("stars and question marks mean what a regular expression of them means", () => {
  const small = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 })
  const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 })
  fc.assert(
    fc.property(small, text, (glob, text) => {
      const pattern = new RegExp(`^${glob.replaceAll("*", "[^]*").replaceAll("?", "[^]")}$`)
      equal(globOf(glob)(text), pattern.test(text))
    }),
  )
})

test("a pattern made to be slow is not", () => {
  const steps = globOf("*a".repeat(500))
  ok(!steps("a".repeat(499)))
  ok(!globOf("*a*a*a*a*a*a*a*a*b")("a".repeat(20_000)))
})

for (const [glob, prefix] of [
  ["user:*", "user:"],
  ["*", ""],
  ["a\\*b?", "a*b"],
  ["h[ae]llo", "h"],
  ["plain", "plain"],
] as const)
  test(`all that matches ${glob} begins with ${prefix}`, () => equal(literalPrefix(glob), prefix))
