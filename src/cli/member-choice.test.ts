import { equal, throws } from "node:assert/strict"
import { test } from "node:test"
import { CommandFailure } from "./failure.ts"
import { memberMeant } from "./member-choice.ts"

const members = [
  { id: "aaaa000000000001", name: "n1", address: "10.0.0.1:5555", clientAddress: "cache.example.org:80" },
  { id: "aaaa000000000002", name: "n2", address: "10.0.0.2:5555", clientAddress: "10.0.0.2:5555" },
  { id: "bbbb000000000003", name: "twin", address: "10.0.0.3:5555", clientAddress: "10.0.0.3:5555" },
  { id: "bbbb000000000004", name: "twin", address: "[::1]:7000", clientAddress: "[::1]:7000" },
]

const found = [
  { text: "n1", index: 0, because: "a name" },
  { text: "aaaa000000000002", index: 1, because: "an id" },
  { text: "bbbb000000000003", index: 2, because: "an id, of one of two with the same name" },
  { text: "10.0.0.2:5555", index: 1, because: "an address" },
  { text: "10.0.0.3", index: 2, because: "an address without its port, which has a default" },
  { text: "[::1]:7000", index: 3, because: "an IPv6 address" },
  { text: "cache.example.org:80", index: 0, because: "what clients dial" },
]

for (const { text, index, because } of found)
  test(`memberMeant "${text}": ${because}`, () => equal(memberMeant(members, text), members[index]))

test("memberMeant: the beginning of an id that no other has", () => {
  const [first, , third] = members
  equal(
    memberMeant(
      [first, third].flatMap(member => member ?? []),
      "bbbb",
    ),
    third,
  )
})

const refused = [
  { text: "n9", code: 1, message: /no member is "n9"; there are n1 \(aaaa0/, because: "nobody is called so" },
  { text: "10.0.0.2:7", code: 1, message: /no member/, because: "nobody listens at that port" },
  { text: "aaa", code: 1, message: /no member/, because: "three digits are not an id" },
  { text: "", code: 1, message: /no member/, because: "nothing was said" },
  { text: "twin", code: 2, message: /more than one member: .*3, .* and .*by its id/, because: "two are called so" },
  { text: "aaaa", code: 2, message: /more than one member/, because: "two ids begin so" },
]

for (const { text, code, message, because } of refused)
  test(`memberMeant "${text}" is refused: ${because}`, () =>
    throws(
      () => memberMeant(members, text),
      (error: unknown) => error instanceof CommandFailure && error.exitCode === code && message.test(error.message),
    ))
