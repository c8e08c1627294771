import t from 'tap'
import { LoadAges } from '../../lib/peer/load-ages.js'

t.test('the age of a load is that of its count: the same again, or hidden meanwhile, makes it no younger', async (t) => {
  const ages = new LoadAges()
  t.equal(ages.ageMs('a', 5), undefined)
  ages.saw('a', undefined, 5)
  t.equal(ages.ageMs('a', 5), undefined, 'never said anything')
  ages.saw('a', { count: 7 }, 10)
  ages.saw('a', { count: 7 }, 40)
  t.equal(ages.ageMs('a', 50), 40)
  ages.saw('a', undefined, 60)
  ages.saw('a', { count: 7 }, 70)
  t.equal(ages.ageMs('a', 80), 70)
  ages.saw('a', { count: 8 }, 90)
  t.equal(ages.ageMs('a', 100), 10)
})

t.test('a node that starts anew counts from one, and is heard; one that is forgotten never said anything', async (t) => {
  const ages = new LoadAges()
  ages.saw('a', { count: 500 }, 0)
  ages.saw('a', { count: 1 }, 100)
  t.equal(ages.ageMs('a', 101), 1)
  ages.forget('a')
  t.equal(ages.ageMs('a', 102), undefined)
})
