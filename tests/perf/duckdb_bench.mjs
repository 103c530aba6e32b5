// SPDX-License-Identifier: BSD-3-Clause
// One job of bench_operators.py in DuckDB with 2 threads: node duckdb_bench.mjs MODULES JOB ARGUMENT...
// MODULES is the directory below which npm has installed @duckdb/node-api. Prints seconds=S and how many rows came out.
//
//   wordcount TEXT                    the 20 commonest words
//   groupsum ROWS KEYS                sums of 64-bit integers by as many keys, from a table in memory
//   groupsum_text FILE                sums of lines key<TAB>integer
//   join BUILD PROBE KEYS             tables in memory; half of the keys of PROBE occur in BUILD if KEYS is twice BUILD
//   sort OUT FILE                     lines of a file into another
//
// DuckDB reads no binary rows, so tables of integers are made in memory before the clock starts; reading them is not
// in its time, which is to its advantage.
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, job, ...args] = process.argv.slice(2);
const quoted = (text) => "'" + String(text).replaceAll("'", "''") + "'";

// One column of whole lines: the delimiter is a byte that no text has.
const lines = (path) =>
  `read_csv(${quoted(path)}, columns = {'line': 'VARCHAR'}, header = false, delim = '\x01', quote = '', escape = '',
            auto_detect = false, ignore_errors = true, strict_mode = false)`;

const sums = (source) => `SELECT count(*) AS n, sum(s) FROM (SELECT k, sum(v) AS s FROM ${source} GROUP BY k)`;

// prepare: statements before the clock; query: what is measured; the first column of its first row is printed.
const jobs = {
  wordcount: ([path]) => ({
    prepare: [],
    query: `SELECT count(*) AS n FROM (
              SELECT word, count(*) AS c FROM (
                SELECT unnest(string_split(translate(line, chr(9) || chr(11) || chr(12) || chr(13), '    '), ' ')) AS word
                FROM ${lines(path)})
              WHERE word <> '' GROUP BY word ORDER BY c DESC, word LIMIT 20)`,
  }),
  groupsum: ([rows, keys]) => ({
    prepare: [`CREATE TABLE t AS SELECT (hash(i % ${keys}) >> 1)::BIGINT AS k, (i % 1999999) - 999999 AS v
               FROM (SELECT (i * 982451653) % ${rows} AS i FROM range(${rows}) AS r(i))`],
    query: sums("t"),
  }),
  groupsum_text: ([path]) => ({
    prepare: [],
    query: sums(`read_csv(${quoted(path)}, columns = {'k': 'VARCHAR', 'v': 'BIGINT'}, header = false, delim = '\t',
                          quote = '', escape = '', auto_detect = false)`),
  }),
  join: ([build, probe, keys]) => ({
    prepare: [
      `CREATE TABLE l AS SELECT (hash(i) >> 1)::BIGINT AS k, i AS v FROM range(${build}) AS r(i)`,
      `CREATE TABLE p AS SELECT (hash(hash(i) % ${keys}) >> 1)::BIGINT AS k, i AS v FROM range(${probe}) AS r(i)`,
    ],
    query: "SELECT count(*) AS n, sum(l.v::HUGEINT + p.v) FROM p JOIN l ON p.k = l.k",
  }),
  sort: ([out, path]) => ({
    prepare: [],
    query: `COPY (SELECT line FROM ${lines(path)} ORDER BY line) TO ${quoted(out)}
            (FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE '')`,
  }),
};

if (!modules || !jobs[job]) {
  console.error("usage: duckdb_bench.mjs MODULES " + Object.keys(jobs).join("|") + " ARGUMENT...");
  process.exit(2);
}
const { DuckDBInstance } = createRequire(join(resolve(modules), "node_modules", "x"))("@duckdb/node-api");
const instance = await DuckDBInstance.create(":memory:", { threads: "2", preserve_insertion_order: "false" });
const connection = await instance.connect();
const { prepare, query } = jobs[job](args);
for (const statement of prepare) await connection.run(statement);
const begin = process.hrtime.bigint();
const result = await connection.runAndReadAll(query);
const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
console.log(`duckdb job=${job} rows_out=${result.getRows()[0]?.[0]} seconds=${seconds.toFixed(3)}`);
