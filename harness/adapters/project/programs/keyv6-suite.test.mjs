/** The same suite with Keyv 6, which states ends of entries as instants and leaves namespaces to the adapter. */
import suite, { keyvIteratorTests } from "@keyv/test-suite"
import { KeyvDcache } from "dcache/keyv"
import Keyv from "keyv6"
import * as test from "vitest"

const store = () => new KeyvDcache({ nodes: process.env.DCACHE_NODE })

/** Asks for one answer, as Keyv 5 gave it; Keyv 6 answers for each key. */
const ofKeyv5 = ".deleteMany([keys]) with nonexistent keys resolves to false"
const it = (name, check) => (name === ofKeyv5 ? test.it.skip(name, check) : test.it(name, check))

suite({ ...test, it }, Keyv, store)
keyvIteratorTests(test, Keyv, store)
