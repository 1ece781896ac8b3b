/** Voters a, b, c, ...: those that answered, those that are dead, and whether the former decide. */
import { equal, ok } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { allRules } from "../rules.ts"
import { Deaths } from "./deaths.ts"

function decides({ voters, answered, dead }: { voters: string; answered: string; dead: string }): boolean {
  const deaths = new Deaths("a", allRules)
  for (const id of dead) deaths.add(id)
  return deaths.isQuorum([...voters], voter => answered.includes(voter))
}

const cases = [
  { voters: "ab", answered: "a", dead: "", decides: false, because: "b may be alive, and may have decided without a" },
  { voters: "ab", answered: "a", dead: "b", decides: true, because: "nobody else is left" },
  { voters: "abc", answered: "ab", dead: "", decides: true, because: "two of three are a majority" },
  { voters: "abc", answered: "a", dead: "b", decides: false, because: "c lives, and a majority is there with it" },
  {
    voters: "abc",
    answered: "a",
    dead: "bc",
    decides: false,
    because: "b and c may have decided what a never heard of",
  },
  { voters: "abcd", answered: "ab", dead: "cd", decides: true, because: "whatever three decided, a or b accepted" },
  { voters: "abcd", answered: "a", dead: "cd", decides: false, because: "b may know what a does not" },
  { voters: "abcd", answered: "ab", dead: "c", decides: false, because: "d lives" },
  { voters: "abcdefg", answered: "abc", dead: "defg", decides: false, because: "four were a majority" },
  { voters: "ab", answered: "a", dead: "z", decides: false, because: "z is no voter" },
  { voters: "ab", answered: "b", dead: "a", decides: false, because: "a node knows of itself that it lives" },
  { voters: "a", answered: "", dead: "", decides: false, because: "nobody answered" },
]

for (const { decides: expected, because, ...given } of cases)
  test(`of ${given.voters}, ${given.answered || "nobody"} answered and ${given.dead || "nobody"} is dead: ${expected}, because ${because}`, () =>
    equal(decides(given), expected))

test("whoever decides knows what was decided before: a majority, and all the others beside few dead, share a voter", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(511), fc.nat(511), fc.nat(511), (count, first, second, dead) => {
      const voters = "abcdefghi".slice(0, count)
      const chosen = (bits: number) => [...voters].filter((_, i) => ((bits >> i) & 1) === 1).join("")
      // The first decision was made by a majority, at a time when nobody knew of a death.
      fc.pre(decides({ voters, answered: chosen(first), dead: "" }))
      fc.pre(decides({ voters, answered: chosen(second), dead: chosen(dead) }))
      ok([...chosen(first)].some(voter => chosen(second).includes(voter)))
    }),
  )
})

test("a death is news once", () => {
  const deaths = new Deaths("a", allRules)
  equal(deaths.add("b"), true)
  equal(deaths.add("b"), false)
  equal(deaths.add("a"), false)
})
