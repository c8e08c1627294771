import fc from 'fast-check'
import t from 'tap'
import { decodeAnswer, decodeRequest, encodeAnswer, encodeOffer, encodePiece } from '../../../lib/raft/runner/piece-codec.js'
import { type Answer, PieceReceiver, PieceSender } from '../../../lib/raft/runner/piece-protocol.js'

const digest = { index: 9, term: 3, sizeBytes: 1000, crc: 0xdeadbeef }

/** A receiver with a file that a crash shortens to what was durable. */
class Receiving {
  readonly receiver = new PieceReceiver()
  readonly file: number[] = []
  isStored = false

  take(request: Uint8Array): Answer {
    const asked = decodeRequest(request)
    if (asked.type === 'offer') {
      if (this.isStored) return { type: 'done' }
      return this.#settle(this.receiver.begin(asked.digest, this.file.length))
    }
    const { offset, bytes, isIntact } = asked
    const verdict = this.receiver.piece({ digest: asked.digest, offset, sizeBytes: bytes.length, isIntact })
    if (verdict !== 'write') return verdict
    this.file.push(...bytes)
    return this.#settle(this.receiver.wrote(bytes.length))
  }

  restart(keptBytes: number): void {
    this.receiver.end()
    if (!this.isStored) this.file.length = Math.min(this.file.length, keptBytes)
  }

  #settle(next: 'whole' | Answer): Answer {
    if (next !== 'whole') return next
    this.isStored = true
    this.receiver.end()
    return { type: 'done' }
  }
}

type Mishap = 'none' | 'request lost' | 'answer lost' | 'corrupt' | 'reordered' | 'restart'

const mishaps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Mishap>('none') },
    { weight: 1, arbitrary: fc.constantFrom<Mishap>('request lost', 'answer lost', 'corrupt', 'reordered', 'restart') },
  ),
  { maxLength: 200 },
)

t.test('whatever a link does to pieces, the file arrives whole and as it was, once the link is well', (t) => {
  let again = 0
  fc.assert(
    fc.property(mishaps, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 4 }), (plan, pieceBytes, window) => {
      const content = Uint8Array.from({ length: digest.sizeBytes }, (_, i) => (i * 7) % 251)
      const sender = new PieceSender({ sizeBytes: digest.sizeBytes, pieceBytes, window })
      const end = new Receiving()
      const line: { readonly round: number; readonly request: Uint8Array }[] = []
      const left = [...plan]
      for (let steps = 0; !sender.isDone; steps++) {
        if (steps > 20_000) throw new Error('it goes on for ever')
        const step = sender.next()
        if (step !== undefined) {
          const request =
            step.type === 'offer'
              ? encodeOffer(digest, new Uint8Array(3))
              : encodePiece(digest, step.offset, content.subarray(step.offset, step.offset + step.sizeBytes))
          line.push({ round: step.round, request })
          continue
        }
        const mishap = left.shift() ?? 'none'
        if (mishap === 'reordered') line.reverse()
        const { round, request } = line.shift() ?? { round: 0, request: new Uint8Array() }
        if (mishap === 'request lost') {
          sender.broken(round)
          continue
        }
        if (mishap === 'restart') end.restart(Math.floor(end.file.length / 2))
        const sent = Buffer.from(request)
        const isPiece = request[1] === 1
        if (mishap === 'corrupt' && isPiece) sent[sent.length - 1] = (sent[sent.length - 1] as number) ^ 1
        const answer = decodeAnswer(encodeAnswer(end.take(sent)))
        if (answer.type === 'again') again++
        if (mishap === 'answer lost') sender.broken(round)
        else sender.answered(round, answer)
      }
      return end.isStored && Buffer.from(end.file).equals(Buffer.from(content)) && sender.doneBytes === digest.sizeBytes
    }),
    { numRuns: 2000 },
  )
  t.ok(again > 100, 'pieces were asked for again')
  t.end()
})

t.test('a sender goes on where the receiver says, and sends nothing that it has', (t) => {
  const sender = new PieceSender({ sizeBytes: 1000, pieceBytes: 100, window: 2 })
  t.strictSame(sender.next(), { type: 'offer', round: 1 })
  t.equal(sender.next(), undefined, 'nothing before the answer')
  sender.answered(1, { type: 'want', offset: 700 })
  t.strictSame(sender.next(), { type: 'piece', round: 1, offset: 700, sizeBytes: 100 })
  t.strictSame(sender.next(), { type: 'piece', round: 1, offset: 800, sizeBytes: 100 })
  t.equal(sender.next(), undefined, 'the window is full')
  sender.broken(1)
  t.strictSame(sender.next(), { type: 'offer', round: 2 })
  sender.answered(1, { type: 'want', offset: 900 })
  sender.answered(2, { type: 'want', offset: 800 })
  t.strictSame(sender.next(), { type: 'piece', round: 2, offset: 800, sizeBytes: 100 }, 'answers of a broken round count nothing')
  t.end()
})

t.test('setbacks count until the receiver has more than ever, so a disk that fills up at the same byte is no progress', (t) => {
  const sender = new PieceSender({ sizeBytes: 1000, pieceBytes: 500, window: 1 })
  for (let attempt = 1; attempt <= 5; attempt++) {
    const { round } = sender.next() ?? { round: 0 }
    sender.answered(round, { type: 'want', offset: 0 })
    sender.next()
    sender.answered(round, { type: 'want', offset: 500 })
    sender.next()
    sender.answered(round, { type: 'refused', code: 'ERR_SKEIN_STORAGE', message: 'no space left' })
    t.equal(sender.setbacks, attempt)
  }
  const { round } = sender.next() ?? { round: 0 }
  sender.answered(round, { type: 'want', offset: 600 })
  t.equal(sender.setbacks, 0)
  t.end()
})

t.test('an answer that names a byte outside the file is worth as much as none', (t) => {
  const sender = new PieceSender({ sizeBytes: 1000, pieceBytes: 500, window: 1 })
  sender.next()
  sender.answered(1, { type: 'want', offset: 1001 })
  t.equal(sender.setbacks, 1)
  t.strictSame(sender.next(), { type: 'offer', round: 2 })
  t.end()
})

t.test('a piece of another snapshot, out of turn, too long or damaged is not written', (t) => {
  const receiver = new PieceReceiver()
  const piece = { digest, offset: 0, sizeBytes: 100, isIntact: true }
  t.match(receiver.piece(piece), { type: 'refused' }, 'nothing was offered')
  t.strictSame(receiver.begin(digest, 100), { type: 'want', offset: 100 })
  const again = { type: 'again', offset: 100 }
  t.strictSame(receiver.piece(piece), again)
  t.strictSame(receiver.piece({ ...piece, offset: 200 }), again)
  t.strictSame(receiver.piece({ ...piece, offset: 100, isIntact: false }), again)
  t.strictSame(receiver.piece({ ...piece, offset: 100, sizeBytes: 901 }), again)
  t.strictSame(receiver.piece({ ...piece, offset: 100, sizeBytes: 0 }), again)
  t.match(receiver.piece({ ...piece, digest: { ...digest, crc: 1 }, offset: 100 }), { type: 'refused' })
  t.equal(receiver.piece({ ...piece, offset: 100 }), 'write')
  t.strictSame(receiver.wrote(100), { type: 'want', offset: 200 })
  t.strictSame(receiver.receiving, { digest, haveBytes: 200 })
  t.equal(receiver.begin(digest, 1000), 'whole', 'a file that has it all')
  t.end()
})

t.test('requests and answers are read as they were written, and any flipped bit of a piece is noticed', (t) => {
  const bytes = Buffer.from('some of it')
  const piece = encodePiece(digest, 77, bytes)
  t.match(decodeRequest(piece), { type: 'piece', digest, offset: 77, isIntact: true })
  t.match(decodeRequest(encodeOffer(digest, bytes)), { type: 'offer', digest, isIntact: true })
  for (let bit = 0; bit < piece.length * 8; bit++) {
    const spoilt = Buffer.from(piece)
    spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7))
    try {
      if (decodeRequest(spoilt).isIntact) t.fail(`bit ${bit} went unnoticed`)
    } catch (error) {
      if (!['ERR_SKEIN_BAD_MESSAGE', 'ERR_SKEIN_WIRE_VERSION'].includes((error as { code: string }).code)) throw error
    }
  }
  const answers: Answer[] = [
    { type: 'want', offset: 5 },
    { type: 'again', offset: 2 ** 40 },
    { type: 'done' },
    { type: 'refused', code: 'ERR_SKEIN_STORAGE', message: 'no space\nleft' },
  ]
  for (const answer of answers) t.strictSame(decodeAnswer(encodeAnswer(answer)), answer)
  t.end()
})

t.test('mutated requests and answers are refused with a code, or read; never worse', (t) => {
  let refused = 0
  const read = (act: () => unknown): void => {
    try {
      act()
    } catch (error) {
      if (!['ERR_SKEIN_BAD_MESSAGE', 'ERR_SKEIN_WIRE_VERSION'].includes((error as { code: string }).code)) throw error
      refused++
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, isPlausible) => {
      if (isPlausible) bytes[0] = 1
      read(() => decodeRequest(bytes))
      read(() => decodeAnswer(bytes))
    }),
    { numRuns: 5000 },
  )
  t.ok(refused > 1000)
  t.end()
})
