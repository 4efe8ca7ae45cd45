// The as-of join of the benchmark of training in DuckDB: prints the median time of the rounds, in ms.
import { DuckDBInstance } from '@duckdb/node-api';

const rounds = Number(process.argv[2]);
const connection = await (await DuckDBInstance.create(':memory:')).connect();
await connection.run('SET threads = 2');
for (const table of ['rated', 'label'])
	await connection.run(`CREATE TABLE ${table} AS SELECT * REPLACE (make_timestamp(ts) AS ts) FROM read_csv('${table}.csv')`);
const times = [];
for (let i = 0; i <= rounds; i++) {
	const started = performance.now();
	await connection.run('CREATE OR REPLACE TABLE other AS SELECT l.*, r.amount FROM label l ASOF LEFT JOIN rated r ON l.entity = r.entity AND l.ts >= r.ts');
	times.push(performance.now() - started);
}
times.shift();
times.sort((a, b) => a - b);
console.log(times[Math.floor(times.length / 2)].toFixed(1));
