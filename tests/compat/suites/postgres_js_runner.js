// In place of postgres.js' tests/test.js, which stops at the first failure: a line per test.
let last = Promise.resolve()
setTimeout(() => last.then(() => process.exit()))  // when all are listed; a test that failed leaves connections

const run = async (name, { timeout = 5 }, fn) => {
  let timer
  const late = new Promise((_, reject) => (timer = setTimeout(reject, timeout * 1000, new Error('timed out'))))
  try {
    const [expected, got] = await Promise.all(await Promise.race([late, fn()]))
    if (expected !== got)
      throw new Error(`${ expected } != ${ got }`)
    console.log(`ok ${ name }`)
  } catch (error) {
    console.log(`not ok ${ name }`, error)
  } finally {
    clearTimeout(timer)
  }
}

export const t = (name, ...rest) => {
  const fn = rest.pop()
  last = last.then(() => run(name, rest[0] || {}, fn))
}
export const ot = t
export const nt = () => {}
