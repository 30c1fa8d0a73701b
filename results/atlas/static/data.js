"use strict";
// The run's data: files that are loaded when they are first asked for, and what a search understands.

const asked = new Map(), waiting = new Map();

/** Called by every file of data with its name and its content, base64 of a raw deflate stream of JSON. */
function atlas(name, packed) {
  const text = atob(packed), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  waiting.get(name)(new Response(stream).json());
}

/** The value of a file of data, read once. A page opened from a file may load scripts, but fetch nothing. */
function load(name) {
  if (!asked.has(name)) {
    asked.set(name, new Promise((resolve, reject) => {
      waiting.set(name, resolve);
      const script = el("script", {src: `data/${name}.js`});
      script.onerror = () => {
        asked.delete(name);
        reject(new Error(`data/${name}.js is not there. Copy the whole folder of the atlas, or write it again.`));
      };
      document.head.append(script);
    }));
  }
  return asked.get(name);
}

/** Words of a text without case and joints, as results/search.py has them. */
const plain = (text) => text.replace(/[^\p{L}\p{N}]+/gu, " ").trim().toLowerCase();
const bare = (text) => text.replaceAll("·", " ").trim().toLowerCase();

/** Columns whose numbers are differences to the row before. */
function summed(steps) {
  let sum = 0;
  return steps.map((step) => (sum += step));
}

/** All features: columns, ids, and places by id. */
async function features() {
  const [columns, home] = await Promise.all([load("features"), load("home")]);
  if (!columns.id) {
    columns.model = summed(columns.model);
    columns.latent = summed(columns.latent);
    columns.id = columns.latent.map((latent, i) => `${home.words.model[columns.model[i]]}:${latent}`);
    columns.place = new Map(columns.id.map((id, i) => [id, i]));
  }
  return columns;
}

/** All clusters: columns, their places by number, and the places of their members among the features. */
async function clusters() {
  const [columns, all] = await Promise.all([load("clusters"), features()]);
  if (!columns.members) {
    columns.cluster = summed(columns.cluster);
    columns.place = new Map(columns.cluster.map((cluster, i) => [cluster, i]));
    columns.members = columns.cluster.map(() => []);
    all.cluster.forEach((cluster, i) => cluster !== null && columns.members[columns.place.get(cluster)].push(i));
  }
  return columns;
}

/** Details of a feature; null where the run has no such feature. */
async function feature(id) {
  const [home, all] = await Promise.all([load("home"), features()]);
  const i = all.place.get(id);
  if (i === undefined) return null;
  const shard = await load(`${all.model[i]}/${Math.floor(all.latent[i] / home.shard)}`);
  const found = shard[all.latent[i]];
  const pairs = (found.pairs || []).map((row) => Object.fromEntries(home.pair.map((name, k) => [name, row[k]])));
  for (const pair of pairs) {
    pair.other = `${home.words.model[pair.model]}:${pair.latent}`;
    pair.id = pair.side === "a" ? `${id}-${pair.other}` : `${pair.other}-${id}`;
  }
  return {...found, pairs, id, i};
}

const FEATURE = /^([^:\s]+?)[:/](\d+)$/, PAIR = /^([^:\s]+?)[:/](\d+)-([^:\s]+?)[:/](\d+)$/;

/** An id of a feature or a pair as pages write it, however it was printed. */
function plainId(text) {
  const pair = PAIR.exec(text), one = FEATURE.exec(text);
  if (pair) return `${pair[1]}:${Number(pair[2])}-${pair[3]}:${Number(pair[4])}`;
  return one ? `${one[1]}:${Number(one[2])}` : text;
}

/** Places of the features that a text finds, by what it is to them; see results/search.py. */
async function find(text) {
  const [home, all] = await Promise.all([load("home"), features()]);
  const asked = text.trim(), id = plainId(asked), found = new Map();
  const where = (what, test) => {
    const places = [];
    for (let i = 0; i < all.id.length; i++) if (test(i)) places.push(i);
    if (places.length) found.set(what, places);
  };
  const sides = PAIR.test(asked) ? id.split("-") : [id];
  const named = sides.map((side) => all.place.get(side));
  if (named.every((place) => place !== undefined)) return new Map([["by name", named]]);
  const cluster = /^cluster\s*(\d{1,9})$/i.exec(asked);
  if (/^\d{1,9}$/.test(asked)) where(`latent ${Number(asked)}`, (i) => all.latent[i] === Number(asked));
  else if (cluster) where(`cluster ${Number(cluster[1])}`, (i) => all.cluster[i] === Number(cluster[1]));
  if (found.size || cluster) return found;
  const quoted = asked.length > 2 && asked.startsWith('"') && asked.endsWith('"');
  const words = plain(asked), token = bare(quoted ? asked.slice(1, -1) : asked);
  if (words && !quoted) {
    const worded = (name) => ` ${plain(name)} `.includes(` ${words} `);
    home.words.domain.forEach((name, domain) => {
      if (worded(name)) where(`domain ${name}`, (i) => all.domain[i] === domain);
    });
    all.worded ||= all.label.map((label) => label === null ? "" : ` ${plain(label)} `);
    where(`label “${asked}”`, (i) => all.worded[i].includes(` ${words} `));
  }
  const holding = (kind) => Object.entries(home.own[kind])
    .filter(([, said]) => said.filter(Boolean).join(": ").toLowerCase().includes(asked.toLowerCase())).map(([id]) => id);
  const people = new Set([...holding("feature"), ...holding("pair").flatMap((pair) => pair.split("-"))]);
  const numbers = new Set(holding("cluster").map(Number));
  if (!quoted) where("named or noted so by people", (i) => people.has(all.id[i]) || numbers.has(all.cluster[i]));
  if (!words && token) where(`label “${token}”`, (i) => (all.label[i] || "").toLowerCase().includes(token));
  const texts = await load("texts"), peaks = new Set();
  texts.forEach((shown, k) => bare(shown) === token && token && peaks.add(k));
  if (peaks.size) where(`peak on “${token}”`, (i) => all.peaks[i].some((k) => peaks.has(k)));
  return found;
}
