import { deepEqual, equal, throws } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { taggedFlag } from "../protocol/limits.ts"
import type { CallOutcome } from "./call.ts"
import type { Answer, Question, Steps } from "./steps.ts"
import { isTagged, mostTags, sealed, tagBytes, tagKey, tokensOf, unsealed, untagged } from "./tags.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

/** Carries steps out that only ask; says what was asked, all at once in one line. */
function followed<R>(steps: Steps<R>, answer: (question: Question) => CallOutcome): { result: R; asked: string[] } {
  const asked: string[] = []
  for (let given: Answer; ; ) {
    const { done, value } = steps.next(given)
    if (done === true) return { result: value, asked }
    if (value.kind !== "ask") throw new Error(`asked to ${value.kind}`)
    asked.push(
      value.questions.map(({ key, operation }) => `${operation.op} ${new TextDecoder().decode(key)}`).join(", "),
    )
    given = value.questions.map(answer)
  }
}

test("what is sealed with tokens comes back with them", () => {
  const token = fc.record(
    {
      tag: fc.uint8Array({ minLength: 1, maxLength: 255 }),
      version: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    },
    { noNullPrototype: true },
  )
  const tokens = fc.array(token, { minLength: 1, maxLength: mostTags })
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(0x3fff), tokens, (value, flags, tokens) => {
      const { bytes, flags: marked } = sealed({ bytes: value, flags }, tokens)
      equal(marked, flags | taggedFlag)
      const back = unsealed({ bytes, flags: marked })
      deepEqual(
        { ...back, tokens: back?.tokens.map(({ tag, version }) => ({ tag: Uint8Array.from(tag), version })) },
        {
          value: { bytes: value, flags },
          tokens,
        },
      )
    }),
  )
})

test("any bytes are unsealed or refused, and none of them throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), garbage => {
      const back = unsealed({ bytes: garbage, flags: taggedFlag })
      equal(back === undefined || (back.tokens.length > 0 && back.tokens.length <= mostTags), true)
    }),
    { numRuns: 1_000 },
  )
})

test("a value without tags is as it was", () => {
  const value = { bytes: bytes("v"), flags: 1 }
  deepEqual(sealed(value, []), value)
  equal(isTagged(value), false)
})

test("tokens are asked for at once; what is missing is made, and one that another made meanwhile is taken", () => {
  const versions: Record<string, CallOutcome> = {
    "ttl a": { kind: "ttl", ttlMs: null, version: 5 },
    "ttl b": { kind: "missing" },
    "ttl c": { kind: "missing" },
    "set b": { kind: "stored", version: 6 },
    "set c": { kind: "unmet", version: 7 },
  }
  const { result, asked } = followed(tokensOf(["a", "b", "c"].map(bytes)), ({ key, operation }) => {
    return versions[`${operation.op} ${new TextDecoder().decode(key.subarray(2))}`] ?? { kind: "missing" }
  })
  deepEqual(asked, ["ttl \0ta, ttl \0tb, ttl \0tc", "set \0tb, set \0tc"])
  deepEqual(result, [{ tag: bytes("a"), version: 5 }, { tag: bytes("b"), version: 6 }, { tag: bytes("c"), version: 7 }]) // biome-ignore format: as read
})

test("of many values each tag is asked for once, and those without any cost nothing", () => {
  const [a, b] = [
    { tag: bytes("a"), version: 1 },
    { tag: bytes("b"), version: 2 },
  ]
  const outcome = (text: string, tokens: readonly (typeof a)[]): CallOutcome => {
    const { bytes: value, flags } = sealed({ bytes: bytes(text), flags: 1 }, tokens)
    return { kind: "value", value, flags, version: 9 }
  }
  const plain = outcome("plain", [])
  const outcomes = [plain, outcome("one", [a]), outcome("both", [a, b]), { kind: "missing" } as const]
  const { result, asked } = followed(untagged(outcomes), ({ key }) => {
    return { kind: "ttl", ttlMs: null, version: new TextDecoder().decode(key) === "\0ta" ? 1 : 3 }
  })
  deepEqual(asked, ["ttl \0ta, ttl \0tb"])
  deepEqual(result, [plain, { kind: "value", value: bytes("one"), flags: 1, version: 9 }, { kind: "missing" }, { kind: "missing" }]) // biome-ignore format: as read
  deepEqual(followed(untagged([plain]), () => ({ kind: "missing" })).asked, []) // biome-ignore format: one line says it
})

test("a tag that cannot be asked for fails what bears it", () => {
  const failed = { kind: "failed", code: "minority", mayHaveHappened: "no" } as const
  const { bytes: value, flags } = sealed({ bytes: bytes("v"), flags: 1 }, [{ tag: bytes("a"), version: 1 }])
  const { result } = followed(untagged([{ kind: "value", value, flags, version: 9 }]), () => failed)
  deepEqual(result, [failed])
  deepEqual(followed(tokensOf([bytes("a")]), () => failed).result, failed) // biome-ignore format: one line says it
})

test("what bears the mark and no tags is left as it is", () => {
  const garbled: CallOutcome = { kind: "value", value: bytes(""), flags: taggedFlag, version: 1 }
  deepEqual(followed(untagged([garbled]), () => ({ kind: "missing" })).result, [garbled]) // biome-ignore format: one line says it
})

test("tags are texts of bounded length, each once", () => {
  deepEqual(tagBytes(["a", "é", "a"]), [bytes("a"), bytes("é")])
  throws(() => tagBytes(["é".repeat(128)]), RangeError)
  deepEqual(tagKey(bytes("a")), bytes("\0ta"))
})
