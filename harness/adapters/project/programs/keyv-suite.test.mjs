/** The suite that Keyv publishes for its storage adapters, with Keyv 5; its iterator tests as well. */
import suite, { keyvIteratorTests } from "@keyv/test-suite"
import { KeyvDcache } from "dcache/keyv"
import Keyv from "keyv"
import * as test from "vitest"

const store = () => new KeyvDcache({ nodes: process.env.DCACHE_NODE, keyv: 5 })

suite(test, Keyv, store)
keyvIteratorTests(test, Keyv, store)
