import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { messageOf } from '../base/errors.js'
import { type Environment, interpolate } from './interpolate.js'
import { type Findings, pathTo } from './notes.js'

/** A YAML document as plain data that remembers its lines; anchors and merge keys are already carried out. */
export type Source = SourceMap | SourceList | SourceScalar

export interface SourceMap {
  readonly kind: 'map'
  readonly line: number
  readonly entries: readonly SourceEntry[]
}

export interface SourceEntry {
  readonly key: string
  /** Line of the key. */
  readonly line: number
  readonly value: Source
}

export interface SourceList {
  readonly kind: 'list'
  readonly line: number
  readonly items: readonly Source[]
}

export interface SourceScalar {
  readonly kind: 'scalar'
  readonly line: number
  readonly value: string | number | boolean | null
  /** The text itself; for numbers and booleans as written in the file: `1.10` stays `1.10`. */
  readonly text: string
}

const depthMax = 64

/** Parses YAML; syntax errors, duplicate keys and unknown aliases become problems. Undefined when there is nothing to read on with. */
export function parseSource(text: string, findings: Findings): Source | undefined {
  const lines = new LineCounter()
  let document: Document.Parsed
  try {
    document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false })
  } catch (error) {
    // The parser recurses: a file nested thousands deep exhausts the stack instead of giving an error.
    findings.problems.push({ path: '', line: 1, why: `not readable as YAML: ${messageOf(error)}` })
    return undefined
  }
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const why = code === 'MULTIPLE_DOCS' ? 'a stack file holds one YAML document; remove what follows `---`' : `YAML: ${message}`
    findings.problems.push({ path: '', line: lines.linePos(pos[0]).line, why })
  }
  if (findings.problems.length > 0 || document.contents === null) return undefined
  return new Reader(lines, findings).read(document.contents, '', 0)
}

class Reader {
  readonly #anchors = new Map<string, Source>()
  readonly #lines: LineCounter
  readonly #findings: Findings

  constructor(lines: LineCounter, findings: Findings) {
    this.#lines = lines
    this.#findings = findings
  }

  read(node: Node | null, path: string, depth: number, lineOfKey = 1): Source {
    const line = node?.range ? this.#lines.linePos(node.range[0]).line : lineOfKey
    const nothing: SourceScalar = { kind: 'scalar', line, value: null, text: '' }
    if (node === null) return nothing
    if (depth > depthMax) return this.#refuse(path, line, `nested more than ${depthMax} deep`) ?? nothing
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source)
      // An anchor is known once its node has been read, so a node cannot contain itself.
      return target ?? this.#refuse(path, line, `*${node.source} refers to no anchor above it`) ?? nothing
    }
    const source = this.#readOwn(node, path, depth, line) ?? nothing
    if ('anchor' in node && typeof node.anchor === 'string') this.#anchors.set(node.anchor, source)
    return source
  }

  #readOwn(node: Node, path: string, depth: number, line: number): Source | undefined {
    if (isMap(node)) return { kind: 'map', line, entries: this.#readPairs(node.items, path, depth, line) }
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.read(item as Node | null, pathTo(path, index), depth + 1, line))
      return { kind: 'list', line, items }
    }
    if (!isScalar(node)) return this.#refuse(path, line, 'not a map, a list or a value')
    const { value, source } = node
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      return { kind: 'scalar', line, value, text: typeof value === 'string' ? value : (source ?? String(value)) }
    }
    return this.#refuse(path, line, `not a text, number or boolean: ${String(value)}`)
  }

  #readPairs(
    pairs: readonly { key: unknown; value: unknown }[],
    path: string,
    depth: number,
    mapLine: number,
  ): readonly SourceEntry[] {
    const own = new Map<string, SourceEntry>()
    const merged: SourceEntry[] = []
    for (const { key: keyNode, value: valueNode } of pairs) {
      const key =
        isScalar(keyNode) && (typeof keyNode.value === 'string' || typeof keyNode.value === 'number') ? keyNode : undefined
      const line = key?.range ? this.#lines.linePos(key.range[0]).line : mapLine
      if (key === undefined) {
        this.#refuse(path, line, 'a key must be a text')
        continue
      }
      const name = String(key.value)
      const entry = { key: name, line, value: this.read(valueNode as Node | null, pathTo(path, name), depth + 1, line) }
      const first = own.get(name)
      if (name === '<<') merged.push(...this.#mergedEntries(entry.value, path, line))
      else if (first === undefined) own.set(name, entry)
      else this.#refuse(pathTo(path, name), line, `the key appears twice, first on line ${first.line}; keep one`)
    }
    for (const entry of merged) if (!own.has(entry.key)) own.set(entry.key, entry)
    return [...own.values()]
  }

  /** What `<<: *anchor` or `<<: [*a, *b]` brings in; earlier ones win (YAML 1.1 merge key). */
  #mergedEntries(value: Source, path: string, line: number): readonly SourceEntry[] {
    const maps = value.kind === 'list' ? value.items : [value]
    return maps.flatMap((map) => {
      if (map.kind === 'map') return map.entries
      this.#refuse(pathTo(path, '<<'), line, 'merges maps only')
      return []
    })
  }

  #refuse(path: string, line: number, why: string): undefined {
    this.#findings.problems.push({ path, line, why })
    return undefined
  }
}

/** The same source with variables replaced in every text but those under `x-` keys of the top level, which only anchors use. */
export function interpolateSource(root: Source, env: Environment, findings: Findings): Source {
  const done = new Map<Source, Source>() // an anchor is one object however often it is used: replaced once, reported once
  const visit = (source: Source, path: string): Source => {
    const before = done.get(source)
    if (before !== undefined) return before
    const after = replace(source, path)
    done.set(source, after)
    return after
  }
  const replace = (source: Source, path: string): Source => {
    if (source.kind === 'list') return { ...source, items: source.items.map((item, index) => visit(item, pathTo(path, index))) }
    if (source.kind === 'map') {
      const entries = source.entries.map((entry) => {
        const skip = path === '' && entry.key.startsWith('x-')
        return skip ? entry : { ...entry, value: visit(entry.value, pathTo(path, entry.key)) }
      })
      return { ...source, entries }
    }
    if (typeof source.value !== 'string') return source
    const result = interpolate(source.value, env)
    if (!result.ok) {
      findings.problems.push({ path, line: source.line, why: result.why })
      return source
    }
    for (const name of result.unset) {
      findings.warnings.push({ path, line: source.line, why: `the variable ${name} is not set; the empty text was used` })
    }
    return { ...source, value: result.text, text: result.text }
  }
  return visit(root, '')
}
