// What an application does through node-postgres; prints "ok <name>" for each check that was right.
// node client.mjs <port> <database> <user> <ca file> <check>...      (the password: environment TOKEN)

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'

const [port, database, user, ca, ...wanted] = process.argv.slice(2)
const options = {
  host: 'localhost',
  port: Number(port),
  database,
  user,
  password: process.env.TOKEN,
  ssl: { ca: readFileSync(ca), rejectUnauthorized: true },
  application_name: 'node-postgres',
}
const author = `node-${process.pid}`

async function connected(work) {
  const client = new pg.Client(options)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

const count = async (client) =>
  Number((await client.query('SELECT count(*) AS n FROM notes WHERE author = $1', [author])).rows[0].n)

async function state(client, sql) {
  try {
    await client.query(sql)
  } catch (error) {
    return error.code
  }
  return 'no error'
}

const checks = {
  async prepared(client) {
    for (let n = 0; n < 4; n++) {
      const { rows } = await client.query({
        name: 'order-by-id',
        text: 'SELECT id, total, ordered_at FROM orders WHERE id = $1',
        values: [7 + n],
      })
      assert.equal(rows.length, 1)
      assert.equal(rows[0].id, 7 + n)
      assert.ok(rows[0].ordered_at instanceof Date)
    }
  },

  async transactions(client) {
    const insert = 'INSERT INTO notes (customer_id, author, body) VALUES ($1, $2, $3) RETURNING id'
    await client.query('BEGIN')
    assert.equal((await client.query(insert, [1, author, 'gone'])).rowCount, 1)
    await client.query('ROLLBACK')
    assert.equal(await count(client), 0)
    await client.query('BEGIN')
    await client.query(insert, [1, author, 'kept'])
    await client.query('COMMIT')
    assert.equal(await count(client), 1)
    assert.equal((await client.query('DELETE FROM notes WHERE author = $1', [author])).rowCount, 1)
  },

  async copy(client) {
    const chunks = []
    const out = client.query(copyTo('COPY (SELECT id, name FROM products ORDER BY id) TO STDOUT (FORMAT csv)'))
    for await (const chunk of out) chunks.push(chunk)
    const lines = Buffer.concat(chunks).toString().trim().split('\n')
    assert.equal(lines.length, Number((await client.query('SELECT count(*) AS n FROM products')).rows[0].n))
    await client.query('BEGIN')
    const rows = Array.from({ length: 500 }, (_, i) => `${i + 1}\t${author}\tline ${i}\n`)
    await pipeline(Readable.from(rows), client.query(copyFrom('COPY notes (customer_id, author, body) FROM STDIN')))
    assert.equal(await count(client), 500)
    await client.query('ROLLBACK')
    assert.equal(await count(client), 0)
  },

  async cancel(client) {
    const began = Date.now()
    const query = new pg.Query('SELECT pg_sleep(20)')
    const ended = new Promise((resolve) => {
      query.on('error', resolve)
      query.on('end', () => resolve(null))
    })
    client.query(query)
    await new Promise((resolve) => setTimeout(resolve, 300))
    new pg.Client(options).cancel(client, query)
    const error = await ended
    assert.equal(error?.code, '57014')
    assert.ok(Date.now() - began < 10_000)
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1)
  },

  async errors(client) {
    assert.equal(await state(client, 'SELECT 1/0'), '22012')
    assert.equal(await state(client, 'SELEC 1'), '42601')
    assert.equal(await state(client, 'SELECT nothing FROM orders'), '42703')
    assert.equal(await state(client, 'SELECT * FROM no_such_table'), '42P01')
    assert.equal(await state(client, "SELECT pg_read_file('/etc/passwd')"), '42501')
    await client.query('BEGIN')
    assert.equal(await state(client, 'SELECT 1/0'), '22012')
    assert.equal(await state(client, 'SELECT 1'), '25P02')
    await client.query('ROLLBACK')
    assert.equal((await client.query('SELECT 2 AS two')).rows[0].two, 2)
  },

  // Sees its own rows and no other's; the number is for the caller to compare.
  async orders(client) {
    console.log(`orders ${(await client.query('SELECT count(*) AS n FROM orders')).rows[0].n}`)
  },
}

for (const name of wanted) {
  try {
    await connected(checks[name])
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`failed ${name}: ${error.stack}`)
  }
}
