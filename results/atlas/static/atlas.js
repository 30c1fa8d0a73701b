"use strict";
// Which page an address shows, and the search above all pages.

/** The page of an address such as "#/cluster/12" or "#/features?q=arabic". */
function pageOf(address) {
  const [path, query] = address.replace(/^#?\/?/, "").split("?");
  const [kind, ...rest] = path.split("/"), id = decoded(rest.join("/"));
  if (kind === "") return homePage();
  if (LISTS[kind]) return listPage(kind, new URLSearchParams(query));
  const pages = {feature: featurePage, pair: pairPage, cluster: clusterPage};
  return pages[kind] ? pages[kind](id) : missing("No such page", `Nothing of this atlas is called ${kind}.`);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function show() {
  const mine = ++turn;
  main.setAttribute("aria-busy", "true");
  let page;
  try {
    home ||= await load("home");
    page = await pageOf(location.hash);
  } catch (error) {
    page = missing("This page cannot be shown", error.message);
  }
  if (mine !== turn) return; // another page was asked for meanwhile
  const where = home ? `${home.run} · ${home.comparison}` : "";
  document.title = [page.title, where && `atlas of ${where}`].filter(Boolean).join(" – ");
  main.replaceChildren(...page.body.flat(Infinity).filter(Boolean));
  main.removeAttribute("aria-busy");
  if (home) header(where);
  scrollTo(0, 0);
  main.querySelector("h1").focus({preventScroll: true});
}

function header(where) {
  const here = location.hash.split("?")[0];
  const to = (path, text) => link(path, text, {"aria-current": here === `#/${path}` && "page"});
  document.querySelector("header nav").replaceChildren(
    link("", "Atlas", {class: "home", title: where}), to("clusters", "Clusters"), to("pairs", "Pairs"),
    to("features", "Features"));
}

document.querySelector("header form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!box.value.trim()) return;
  location.hash = `#/features?${new URLSearchParams({q: box.value.trim()})}`;
  box.value = "";
});
addEventListener("keydown", (event) => {
  const isTyping = event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select");
  if (event.key !== "/" || isTyping) return;
  event.preventDefault();
  box.focus();
});
addEventListener("hashchange", show);
show();
