import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import type { Member, View } from "../../protocol/message.ts"
import { MemberList } from "./member-list.ts"

// A member is written as its name, its zone and what it is: "a:x!" stands in zone x and votes, "b-" leaves. The first is
// the oldest.

function parseMember(text: string, age: number): Member {
  const [id = "", rest = ""] = text.replace(/[!-]/g, "").split(":")
  const at = { name: id, addr: id, clientAddr: id, zone: rest, witness: false, protoMin: 1, protoMax: 1 }
  return { id, ...at, since: age + 1, voter: text.includes("!"), leaving: text.includes("-") }
}

function parse(text: string, maxVoters = 3): Pick<View, "epoch" | "members" | "maxVoters" | "proto"> {
  return { epoch: 50, maxVoters, proto: 1, members: text === "" ? [] : text.split(" ").map(parseMember) }
}

function print(members: readonly Member[]): string {
  const marks = (member: Member) => (member.voter ? "!" : "") + (member.leaving ? "-" : "")
  return members.map(member => member.id + (member.zone && `:${member.zone}`) + marks(member)).join(" ")
}

const votes = [
  { from: "a! b", add: "b", to: "a! b!", because: "there is a place" },
  { from: "a! b! c! d", add: "d", to: "a! b! c! d", because: "there is none" },
  { from: "a! b!- c! d", add: "d", to: "a! b- c! d!", because: "one that leaves gives its place" },
  { from: "a! b!- c!- d", add: "d", to: "a! b!- c- d!", because: "the youngest of them first" },
  { from: "a! b!- d", add: "d", to: "a! b- d!", because: "also when there are places left" },
  { from: "a! b! d-", add: "d", to: "a! b! d-", because: "who leaves does not begin to vote" },
  {
    from: "a:x! b:x! c:y! d:z",
    add: "d",
    to: "a:x! b:x c:y! d:z!",
    because: "a zone with two more gives its youngest",
  },
  { from: "a:x! b:x! c:y! d:y", add: "d", to: "a:x! b:x! c:y! d:y", because: "one more is even enough" },
  { from: "a:y! b:x! c:y! d:z", add: "d", to: "a:y! b:x! c:y d:z!", because: "the fullest zone gives" },
  { from: "a:x! b:x! c:x! d:x", add: "d", to: "a:x! b:x! c:x! d:x", because: "the own zone gives nothing" },
]

for (const { from, add, to, because } of votes) {
  test(`of ${from}, ${add} asked to vote: ${to}: ${because}`, () => {
    const view = parse(from)
    const list = new MemberList(view)
    const since = view.members.find(member => member.id === add)?.since ?? 0
    equal(list.addVoter(add, since), from !== to)
    equal(print(list.toArray()), to)
    equal(list.change, from === to ? "none" : "roles")
  })
}

test("of two zones equally full, the one whose name is lower gives", () => {
  const list = new MemberList(parse("a:y! b:x! c:y! d:x! e:z", 4))
  list.addVoter("e", 5)
  equal(print(list.toArray()), "a:y! b:x! c:y! d:x e:z!")
})

const bereft = [
  { from: "a! b c", remove: ["a"], to: "b! c", because: "the oldest that is left" },
  { from: "a! b- c", remove: ["a"], to: "b- c!", because: "not one that leaves" },
  { from: "a! b- c-", remove: ["a"], to: "b!- c-", because: "unless all do" },
  { from: "a! b! c", remove: ["a"], to: "b! c", because: "one voter is enough" },
]

for (const { from, remove, to, because } of bereft) {
  test(`of ${from}, without ${remove.join()}: ${to}: ${because}`, () => {
    const view = parse(from)
    const list = new MemberList(view)
    for (const { id, since } of view.members) if (remove.includes(id)) list.remove(id, since)
    list.ensureVoter()
    equal(print(list.toArray()), to)
  })
}

test("the last active member does not leave, and the last member is not removed", () => {
  const list = new MemberList(parse("a! b"))
  deepEqual([list.leave("a"), list.leave("a"), list.leave("b")], [true, false, false])
  equal(print(list.toArray()), "a!- b")
  deepEqual([list.remove("a", 1), list.remove("b", 2)], [true, false])
})

test("a witness does not count among the active, and may leave itself", () => {
  const view = parse("a! b")
  const list = new MemberList({ ...view, members: view.members.map(m => ({ ...m, witness: m.id === "b" })) })
  deepEqual([list.leave("a"), list.leave("b")], [false, true])
})

test("members that join together are ordered by id, behind the older ones, and do not vote yet", () => {
  const list = new MemberList(parse("m!"))
  for (const id of ["z", "b"]) list.join(parseMember(`${id}!`, 0))
  equal(print(list.toArray()), "m! b z")
  deepEqual(
    list.toArray().map(member => member.since),
    [1, 51, 51],
  )
  equal(list.change, "holders")
})

test("of two that join at one address, the first named is taken", () => {
  const list = new MemberList(parse("m!"))
  const [first, second] = [parseMember("a", 0), { ...parseMember("b", 0), addr: "a" }]
  deepEqual([list.join(first), list.join(second)], [true, false])
})
