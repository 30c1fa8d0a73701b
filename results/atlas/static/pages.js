"use strict";
// The pages: each is a function of the address behind "#", and returns its title and its elements.

const ROWS = 100, NO_RULE = "no rule";
const main = document.getElementById("main"), box = document.querySelector("header input");
let home, turn = 0;

const word = (kind, code) => isMissing(code) ? null : home.words[kind][code];
const spaced = (text) => home.names[text] || text.replaceAll("_", " ");
const joined = (parts, by = "; ") => parts.filter(Boolean).join(by);
const link = (to, text, more) => el("a", {href: `#/${to}`, ...more}, text);
const featureLink = (id) => link(`feature/${id}`, id, {class: "id"});
const colourOf = (id) => home.colours.model[id.split(":")[0]] || home.colours.other;
// A quoted token that runs from right to left must not turn the words around it: it stands in an isolate.
const isolated = (text) => text.replace(/“[^“”]*”/g, (quoted) => RIGHT.test(quoted) ? `\u2066${quoted}\u2069` : quoted);
const literal = (text) => el("span", {class: "literal"}, isMissing(text) ? text : isolated(text));
const section = (title, ...children) => el("section", {}, el("h2", {}, title), children);
const note = (...children) => el("p", {class: "note"}, children);
const heading = (...children) => el("h1", {tabindex: -1}, children);
const named = (id) => el("span", {class: "id", style: `border-color:${colourOf(id)}`}, id);
// What people called a thing and said of it, [name, note]: theirs, not the run's.
const own = (kind, id) => home.own[kind][id];
const called = (kind, id) => own(kind, id) && el("div", {class: "literal note"}, own(kind, id)[0]);
const ownWords = (kind, id) => own(kind, id) && [
  el("p", {class: "label literal"}, own(kind, id)[0]), note(el("span", {class: "literal lines"}, own(kind, id)[1]))];
const missing = (title, text) => ({title, body: [heading(title), el("p", {}, text)]});

function badge(kind, value, before = "") {
  if (isMissing(value)) return null;
  const colour = (home.colours[kind] || {})[value] || home.colours.other;
  const title = (home.meanings[kind] || {})[value];
  return el("span", {class: "badge", style: `border-color:${colour}`, title}, before + spaced(value));
}

function fact(name, value, below) {
  return el("div", {class: "fact"}, el("dt", {}, name), el("dd", {}, value), below && el("dd", {class: "note"}, below));
}

function table(columns, rows) {
  const heads = columns.map(([name, kind]) => el("th", {scope: "col", class: kind}, name));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell, k) => el("td", {class: columns[k][1]}, cell))));
  return el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
}

/** A label, or that no rule says enough and which comes nearest. */
function labelText(label, kind) {
  if (isMissing(label)) return "–";
  return kind === NO_RULE ? `${NO_RULE}${label ? ` (nearest: ${label})` : ""}` : label;
}
const featureLabel = (all, i) => literal(labelText(all.label[i], word("kind", all.kind[i])));

// -- the first page ------------------------------------------------------------------------------------------------

function homePage() {
  const start = (to, title, text) => el("li", {}, link(to, title), `: ${text}`);
  const unexplained = home.words.kind.includes(NO_RULE) &&
    start(`features?${new URLSearchParams({kind: NO_RULE})}`, "Unexplained features", "no rule foretells them");
  const models = home.models.map((m) => [
    el("b", {}, named(m.id)), whole(m.d_sae), whole(m.n_alive),
    number(m.fvu), number(m.l0, 1), literal(m.hook),
  ]);
  const cautions = home.cautions.map(([title, text, severe]) =>
    el("li", {}, el("b", {}, title), severe ? " (it can turn a result around): " : ": ", text));
  const people = Object.entries(home.own).flatMap(([kind, things]) => Object.entries(things).map(([id, [name, text]]) =>
    [link(`${kind}/${id}`, kind === "cluster" ? `Cluster ${id}` : id), literal(name), literal(text)]));
  return {title: home.question, body: [
    heading(home.question),
    note(literal(`Run ${home.run}, comparison ${home.comparison}: ${counted(home.models.length, "model")}.`)),
    home.answer.length ? el("ul", {class: "answer"}, home.answer.map((sentence) => el("li", {}, sentence)))
      : note("This run is of a version that did not yet put results into sentences."),
    section("What may not be concluded",
      cautions.length ? el("ul", {}, cautions) : note("Nothing was found that blurs this run."),
      note("A share or an r says little without its floor, untrained models; where it was measured, it stands beside. ",
        "A label says what foretells a feature on this text, not what the feature is for.")),
    section("Where to start", el("ul", {},
      start("clusters?class=universal", "Universal clusters", "features with a partner in every model"),
      start("pairs", "Pairs", "matched features, the strongest first"), unexplained,
      start("features", "All features", "or type a word above (the key / goes there)"))),
    section("Models", table(
      [["model"], ["latents", "n"], ["alive", "n"], ["fvu", "n wide"], ["l0", "n wide"], ["reads", "wide"]], models)),
    people.length > 0 && section("What people call them",
      note("Names and notes of those who looked at the run; nothing was computed from them."),
      table([["which"], ["name"], ["note", "wide"]], people)),
    section("Where this comes from",
      el("dl", {class: "list"},
        home.provenance.map(([name, value]) => [el("dt", {}, name), el("dd", {class: "literal"}, value)])),
      el("h3", {}, "How to cite"), el("p", {class: "literal"}, home.cite)),
  ]};
}

// -- contexts ------------------------------------------------------------------------------------------------------

const LEGEND = "Framed: the token that the value belongs to. Colour: share of the feature's maximum. " +
  "Point at a token for its activation.";

/** Contexts of a feature, the first few; every token carries its activation. */
async function contexts(of, most = 99) {
  const texts = await load("texts");
  const rows = (of.contexts || []).slice(0, most).map(([tenth, peak, right, domain, ids, fired]) => {
    const values = ids.map(() => 0);
    for (let k = 0; k < fired.length; k += 2) values[fired[k]] = fired[k + 1];
    const channel = {label: of.id, values, maximum: of.max || null, colour: colourOf(of.id)};
    const place = [domain >= 0 && word("domain", domain), tenth > 0 && `tenth ${tenth} of 10`].filter(Boolean);
    return el("div", {class: "context"},
      el("div", {class: "meta"}, el("b", {}, general(values[peak], 3)), place.map(literal)),
      tokenStrip(ids.map((k) => texts[k]), [channel], {peak, right}));
  });
  return rows.length ? el("div", {class: "contexts"}, rows) : note("No contexts: it does not fire on this text.");
}

// -- one feature ---------------------------------------------------------------------------------------------------

function labelLines(all, details) {
  const i = details.i, parts = details.parts || [];
  if (isMissing(all.label[i])) return [];
  const same = isMissing(all.r_untrained[i]) ? ""
    : `; the same rule foretells a latent of untrained models at r ${number(all.r_untrained[i])}`;
  const own = isMissing(home.floor.label) ? "" : ` (their own rules: ${number(home.floor.label)} in the median)`;
  return [
    el("p", {class: "label"}, featureLabel(all, i)),
    note(`foretells it at r ${number(all.r[i])} on rows that taught it nothing${same}${own}`),
    details.promotes && note("makes likelier: ", literal(details.promotes)),
    parts.length > 1 && note("parts of the rule: ", literal(parts.join(", "))),
  ];
}

const interval = (pair, name) => isMissing(pair[`${name}_low`]) ? "–"
  : `${number(pair[`${name}_low`])} to ${number(pair[`${name}_high`])}`;

function partners(all, pairs) {
  const columns =
    [["partner"], ["label"], ["r", "n"], ["interval", "n wide"], ["level", "wide"], ["q", "n wide"], [""]];
  return table(columns, pairs.map((pair) => [
    featureLink(pair.other), featureLabel(all, all.place.get(pair.other)), number(pair.r_held_out), interval(pair, "r"),
    badge("level", word("level", pair.level)), probability(pair.q), link(`pair/${pair.id}`, "pair"),
  ]));
}

function reasons(all, verdicts) {
  const columns = [["in"], ["verdict"], ["which means"], ["about", "wide"]];
  return table(columns, verdicts.map(([model, code, statistic, about]) => {
    const verdict = word("verdict", code), others = (about || "").split(";").filter(Boolean);
    return [
      word("model", model), badge("verdict", verdict),
      [home.meanings.verdict[verdict], note(joined([home.meanings.statistic[verdict], number(statistic)], " "))],
      others.map((other) => [all.place.has(other) ? featureLink(other) : other, " "]),
    ];
  }));
}

function featureFacts(all, details) {
  const i = details.i, group = word("group", all.group[i]), isAlive = word("status", all.status[i]) === "alive";
  return el("dl", {class: "facts"},
    fact("fires on", rate(details.firing_rate), "of all rows"),
    fact("largest activation", details.max ? general(details.max, 3) : "–"),
    fact("strongest in", literal(word("domain", all.domain[i]) || "–")),
    isAlive && fact("best held-out r", number(details.best_r), "to any latent of any other model"),
    isAlive && fact("found in", `${details.n_models} of ${counted(home.models.length, "model")}`),
    group && fact("group", badge("group", group), joined([home.meanings.group[group],
      details.group_probability && `the same in ${share(details.group_probability)} of other halves of the text`])));
}

async function featurePage(id) {
  const [all, details, texts] = await Promise.all([features(), feature(plainId(id)), load("texts")]);
  if (!details) return missing(`No feature ${id}`, "A feature is written as model and number, for example m0:12.");
  const i = details.i, status = word("status", all.status[i]), cluster = all.cluster[i];
  const beside = (step, text) => all.model[i + step] === all.model[i] && link(`feature/${all.id[i + step]}`, text);
  const domains = (details.domains || []).map(([domain, part, auroc]) =>
    [literal(word("domain", domain)), share(part), number(auroc)]);
  return {title: `Feature ${details.id}`, body: [
    heading(named(details.id)), ownWords("feature", details.id),
    el("p", {class: "badges"}, badge("status", status), badge("class", word("class", all.class[i])),
      badge("level", word("level", all.level[i]), "level: "), (details.flags || []).map((flag) => badge("flag", flag)),
      !isMissing(cluster) && link(`cluster/${cluster}`, `Cluster ${cluster}`)),
    home.meanings.status[status] && note(home.meanings.status[status]),
    labelLines(all, details), featureFacts(all, details),
    section("Contexts", note(LEGEND), await contexts(details)),
    el("div", {class: "columns"},
      details.promoted && section("Makes likelier",
        el("p", {class: "tokens"}, details.promoted.map((k) => [el("code", {}, texts[k]), " "]))),
      domains.length > 0 &&
        section("Domains", table([["domain"], ["of its activation", "n"], ["AUROC", "n"]], domains))),
    details.pairs.length > 0 && section("In the other models",
      note(`The latents that it was assigned, by held-out r; ${untrained("r")}.`), partners(all, details.pairs)),
    details.verdicts && section("Why there is no partner", reasons(all, details.verdicts)),
    el("nav", {class: "steps", "aria-label": "Neighbours by number"},
      beside(-1, `← ${all.id[i - 1]}`), beside(1, `${all.id[i + 1]} →`)),
  ]};
}

// -- one pair ------------------------------------------------------------------------------------------------------

const untrained = (name) => isMissing(home.floor[name]) ? "the floor is not known"
  : `untrained models ${number(home.floor[name])} on average`;

function pairFacts(pair) {
  const effect = word("effect", pair.effect);
  return el("dl", {class: "facts"},
    fact("held-out r", number(pair.r_held_out), `interval ${interval(pair, "r")}; ${untrained("r")}`),
    fact("beyond domain, document, token, position", number(pair.r_joint),
      `interval ${interval(pair, "r_joint")}; ${untrained("r_joint")}`),
    fact("beyond the token", number(pair.r_token)),
    fact("q", probability(pair.q), `false-discovery rate; below ${home.alpha} counts`),
    fact("P(level)", share(pair.level_probability), "of resamples of the sources"),
    fact("margin", number(pair.margin), "to the next candidate"),
    !isMissing(pair.r_effect_both) && fact("what they do", number(pair.r_effect_both),
      `r of the effects of ablating either, where both fire; ${interval(pair, "r_effect_both")}`),
    effect && fact("effect", spaced(effect), home.meanings.effect[effect]));
}

async function pairPage(id) {
  const sides = plainId(id).split("-");
  const [all, one, two] = await Promise.all([features(), feature(sides[0]), feature(sides[1] || "")]);
  const pair = one && two && one.pairs.find((each) => each.other === two.id);
  const hint = "These two were not assigned to each other. A pair is written as m0:12-m1:7.";
  if (!pair) return missing(`No pair ${id}`, hint);
  const both = pair.side === "a" ? [one, two] : [two, one], level = word("level", pair.level);
  const cluster = all.cluster[one.i] === all.cluster[two.i] ? all.cluster[one.i] : null;
  const columns = both.map(async (of) =>
    el("section", {}, el("h2", {}, featureLink(of.id)), labelLines(all, of), await contexts(of)));
  return {title: `Pair ${pair.id}`, body: [
    heading(named(both[0].id), " ↔ ", named(both[1].id)), ownWords("pair", pair.id),
    el("p", {class: "badges"}, badge("level", level, "level: "),
      badge("", pair.edge === 1 ? "counts as one feature" : "does not count as one feature"),
      !isMissing(cluster) && link(`cluster/${cluster}`, `Cluster ${cluster}`)),
    note(home.meanings.level[level] || ""), pairFacts(pair), note(LEGEND),
    el("div", {class: "columns"}, await Promise.all(columns)),
  ]};
}

// -- one cluster ---------------------------------------------------------------------------------------------------

function clusterFacts(list, c) {
  const beside = (name) => joined([untrained(name),
    !isMissing(home.ceiling[name]) && `two dictionaries of one model ${number(home.ceiling[name])}`]);
  const several = list.members[c].length > 1;
  return el("dl", {class: "facts"},
    fact("models", `${list.n_models[c]} of ${home.models.length}`, counted(list.members[c].length, "member")),
    several && fact("agreement", number(list.cohesion[c]), `mean held-out r inside; ${beside("r")}`),
    several && fact("beyond domain, document, token, position", number(list.r_joint[c]), beside("r_joint")),
    several && fact("completeness", share(list.completeness[c]), "of its pairs are matched"),
    fact("domain", literal(word("domain", list.domain[c]) || "–")));
}

async function clusterPage(text) {
  const [all, list] = await Promise.all([features(), clusters()]);
  const c = /^\d+$/.test(text) ? list.place.get(Number(text)) : undefined;
  if (c === undefined) return missing(`No cluster ${text}`, "Clusters are numbered from 0.");
  const ids = list.members[c].map((i) => all.id[i]), members = await Promise.all(ids.map(feature));
  const inside = members.flatMap((of) => of.pairs.filter((pair) => pair.side === "a" && ids.includes(pair.other)));
  const holds = `holds for ${list.n_explained[c]} of ${counted(list.n_models[c], "model")}: r ` +
    `${number(list.r[c])} on average, ${number(list.r_least[c])} at least, on rows that taught it nothing`;
  const columns = [["feature"], ["label"], ["label's r", "n"], ["untrained", "n wide"], ["fires on", "n wide"]];
  const rows = members.map((of) => [
    featureLink(of.id), featureLabel(all, of.i), number(all.r[of.i]), number(all.r_untrained[of.i]),
    rate(of.firing_rate),
  ]);
  const pairs = inside.map((pair) => [
    link(`pair/${pair.id}`, pair.id), number(pair.r_held_out), interval(pair, "r"),
    badge("level", word("level", pair.level)),
  ]);
  const drawn = members.map(async (of) => el("section", {}, el("h3", {}, featureLink(of.id)), await contexts(of, 4)));
  return {title: `Cluster ${text}`, body: [
    heading(`Cluster ${text}`), ownWords("cluster", String(Number(text))),
    el("p", {class: "badges"}, badge("class", word("class", list.class[c])),
      badge("level", word("level", list.level[c]), "level: ")),
    note(home.meanings.class[word("class", list.class[c])] || ""),
    !isMissing(list.label[c]) && [
      el("p", {class: "label"}, literal(labelText(list.label[c], word("kind", list.kind[c])))), note(holds)],
    clusterFacts(list, c), section("Members", table(columns, rows)),
    pairs.length > 0 && section("Matched pairs among them",
      table([["pair"], ["r", "n"], ["interval", "n wide"], ["level"]], pairs)),
    section("Contexts", note(LEGEND), el("div", {class: "columns"}, await Promise.all(drawn))),
  ]};
}
