"use strict";
// Lists of features, clusters and pairs: filters that stand in the address, a search, and rows a hundred at a time.

const minus = (x) => isMissing(x) ? null : -x;

/**
 * A list: its columns, its filters (name in the address -> words and the word of a row), its orders (name -> what rises
 * down the list; missing values come last), which features a row holds, and the cells of a row.
 */
const LISTS = {
  features: async () => {
    const all = await features();
    return {
      title: "Features", one: "feature", n: all.id.length, holds: (i) => [i],
      filters: {
        class: [home.words.class, (i) => word("class", all.class[i])],
        level: [home.words.level, (i) => word("level", all.level[i])],
        domain: [home.words.domain, (i) => word("domain", all.domain[i])],
        kind: [home.words.kind, (i) => word("kind", all.kind[i]), "label"],
        model: [home.words.model, (i) => word("model", all.model[i])],
      },
      orders: {"label's r, highest": (i) => minus(all.r[i]), "label's r, lowest": (i) => all.r[i]},
      columns: [
        ["feature"], ["label"], ["label's r", "n"], ["untrained", "n wide"], ["class", "wide"], ["level", "wide"],
        ["domain", "wide"],
      ],
      beside: isMissing(home.floor.label) ? null : "label's r: of the rule, on rows that taught it nothing; " +
        `rules of untrained models' own latents ${number(home.floor.label)} in the median`,
      row: (i) => [
        [featureLink(all.id[i]), called("feature", all.id[i])], featureLabel(all, i), number(all.r[i]), number(all.r_untrained[i]),
        badge("class", word("class", all.class[i])) || spaced(word("status", all.status[i]) || ""),
        badge("level", word("level", all.level[i])), literal(word("domain", all.domain[i])),
      ],
    };
  },
  clusters: async () => {
    const list = await clusters();
    const models = home.models.map((_, k) => String(home.models.length - k));
    return {
      title: "Clusters", one: "cluster", n: list.cluster.length, holds: (c) => list.members[c],
      filters: {
        class: [home.words.class, (c) => word("class", list.class[c])],
        level: [home.words.level, (c) => word("level", list.level[c])],
        domain: [home.words.domain, (c) => word("domain", list.domain[c])],
        kind: [home.words.kind, (c) => word("kind", list.kind[c]), "label"],
        models: [models, (c) => String(list.n_models[c])],
      },
      orders: {
        "agreement, highest": (c) => list.n_models[c] > 1 ? -list.cohesion[c] : null,
        "label's r, highest": (c) => minus(list.r[c]), "label's r, lowest": (c) => list.r[c],
      },
      columns: [["cluster"], ["label"], ["models", "n"], ["agreement", "n"], ["level", "wide"], ["domain", "wide"]],
      beside: `agreement: mean held-out r inside; ${untrained("r")}`,
      row: (c) => [
        [link(`cluster/${list.cluster[c]}`, String(list.cluster[c])), called("cluster", String(list.cluster[c]))],
        literal(labelText(list.label[c], word("kind", list.kind[c]))),
        `${list.n_models[c]} of ${home.models.length}`, list.n_models[c] > 1 ? number(list.cohesion[c]) : "–",
        badge("level", word("level", list.level[c])),
        literal(word("domain", list.domain[c])),
      ],
    };
  },
  pairs: async () => {
    const [list, all] = await Promise.all([load("pairs"), features()]);
    const models = home.words.model, sides = (p) => [all.model[list.a[p]], all.model[list.b[p]]].map((m) => models[m]);
    const couples = models.flatMap((a, k) => models.slice(k + 1).map((b) => `${a}-${b}`));
    return {
      title: "Pairs", one: "pair", n: list.r.length, holds: (p) => [list.a[p], list.b[p]],
      filters: {
        level: [home.words.level, (p) => word("level", list.level[p])],
        domain: [home.words.domain, (p) => word("domain", all.domain[list.a[p]])],
        kind: [home.words.kind, (p) => word("kind", all.kind[list.a[p]]), "label"],
        models: [couples, (p) => sides(p).join("-")],
        counts: [["one feature", "no"], (p) => list.edge[p] === 1 ? "one feature" : "no", "counts as"],
      },
      orders: {"r, lowest": (p) => list.r[p]},
      columns: [["pair"], ["label"], ["r", "n"], ["level", "wide"], ["domain", "wide"]],
      beside: `r: held out; ${untrained("r")}`,
      row: (p) => {
        const id = `${all.id[list.a[p]]}-${all.id[list.b[p]]}`;
        return [
          [link(`pair/${id}`, id), called("pair", id)], featureLabel(all, list.a[p]), number(list.r[p]),
          badge("level", word("level", list.level[p])),
          literal(word("domain", all.domain[list.a[p]])),
        ];
      },
    };
  },
};

async function listPage(kind, params) {
  const list = await LISTS[kind](), out = el("div"), said = el("p", {role: "status"});
  let drawn = 0;
  const draw = async () => {
    const mine = ++drawn, query = (params.get("q") || "").trim(), found = query ? await find(query) : null;
    if (mine !== drawn) return; // a later key has been pressed
    const matching = found && new Set([...found.values()].flat());
    const chosen = Object.entries(list.filters).filter(([name]) => params.get(name));
    const rows = [];
    for (let i = 0; i < list.n; i++) {
      if (matching && !list.holds(i).some((place) => matching.has(place))) continue;
      if (chosen.every(([name, [, of]]) => of(i) === params.get(name))) rows.push(i);
    }
    const key = list.orders[params.get("order")];
    if (key) {
      const last = (x) => isMissing(x) ? Infinity : x;
      rows.sort((i, j) => last(key(i)) - last(key(j)) || i - j);
    }
    const reasons = found ? [...found].map(([what, places]) => `${what}: ${counted(places.length, "feature")}`) : [];
    said.textContent = `${whole(rows.length)} of ${counted(list.n, list.one)}`;
    const why = query ? note(literal(reasons.join("; ") || `Nothing is found by “${query}”.`)) : null;
    const shown = table(list.columns, []), body = shown.querySelector("tbody");
    const more = el("button", {type: "button", onclick: () => show()}, "More");
    const show = () => {
      const next = rows.splice(0, ROWS).map(list.row);
      body.append(...table(list.columns, next).querySelectorAll("tbody > tr"));
      more.hidden = !rows.length;
    };
    show();
    const parts = [why, list.beside && note(list.beside), body.children.length > 0 && shown, more];
    out.replaceChildren(...parts.filter(Boolean));
  };
  const change = (name, value) => {
    value ? params.set(name, value) : params.delete(name);
    history.replaceState(null, "", `#/${kind}${params.size ? `?${params}` : ""}`);
    draw();
  };
  const choice = (name, values, title, usual) => el("label", {}, title,
    el("select", {onchange: (event) => change(name, event.target.value)}, el("option", {value: ""}, usual),
      values.map((value) => el("option", {value, selected: value === params.get(name)}, spaced(value)))));
  const filters = Object.entries(list.filters).filter(([, [values]]) => values.length > 1)
    .map(([name, [values, , title]]) => choice(name, values, title || name, "all"));
  filters.push(choice("order", Object.keys(list.orders), "order", kind === "pairs" ? "r, highest" : "number"));
  filters.unshift(el("label", {}, "search", el("input", {
    type: "search", value: params.get("q") || "", autocomplete: "off", spellcheck: "false",
    oninput: (event) => change("q", event.target.value),
  })));
  await draw();
  return {title: list.title, body: [heading(list.title), el("div", {class: "filters"}, filters), said, out]};
}
