// Writes docs/errors.md from the table in lib/base/errors.ts; `--check` fails when the page is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = readFileSync(join(root, 'lib', 'base', 'errors.ts'), 'utf8')
const rows = [...source.matchAll(/\/\*\* ((?:(?!\*\/)[\s\S])*?) ?\*\/\s+(ERR_SKEIN_\w+): (\{[^}]*\})/g)].map(
  ([, words, code, detail]) => {
    const fields = [...detail.matchAll(/readonly (\w+)\??:/g)].map(([, name]) => `\`${name}\``)
    return `| \`${code}\` | ${words.replace(/\s*\n\s*\*\s*/g, ' ').trim()} | ${fields.join(', ')} |`
  },
)
const page = `# Errors

One class, \`SkeinError\`: match on \`code\` with \`isSkeinError(error, code)\`; \`detail\` holds what the code says here. Made from \`lib/base/errors.ts\` by \`scripts/errors-doc.mjs\`.

| code | what it means | detail |
| --- | --- | --- |
${rows.join('\n')}
`
const file = join(root, 'docs', 'errors.md')
const codes = [...source.matchAll(/^ {2}(ERR_SKEIN_\w+):/gm)].length
if (rows.length !== codes) {
  console.error(`${codes - rows.length} codes in lib/base/errors.ts have no words of their own`)
  process.exit(1)
}
if (process.argv.includes('--check')) {
  if (readFileSync(file, 'utf8') === page) process.exit(0)
  console.error('docs/errors.md is not what lib/base/errors.ts says: run `node scripts/errors-doc.mjs`')
  process.exit(1)
}
writeFileSync(file, page)
