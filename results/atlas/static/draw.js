"use strict";
// Elements, numbers in words, and tokens with activations. Text enters a page as text nodes and attributes alone.

/** An element; attributes that are null are left out. Styles go through the CSSOM, which the page's policy allows. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") node.style.cssText = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const isMissing = (x) => x === null || x === undefined;
const trimmed = (text) => text.includes(".") ? text.replace(/\.?0+$/, "") : text;

/** A number of so many significant digits, as Python writes "%.3g". */
function general(x, digits) {
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) return trimmed(x.toFixed(digits - 1 - exponent));
  return `${trimmed(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

const number = (x, digits = 2) =>
  isMissing(x) ? "–" : x.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
const whole = (x) => isMissing(x) ? "–" : x.toLocaleString("en");
const share = (x) => isMissing(x) ? "–" : `${Math.round(100 * x)} %`;
const probability = (x) => isMissing(x) ? "–" : x >= 0.0001 ? general(x, 2) : x.toExponential(1);
const counted = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;
function rate(x) {
  if (isMissing(x)) return "–";
  if (x === 0) return "0";
  return x >= 0.001 ? `${general(100 * x, 2)} %` : `1 in ${whole(Math.round(1 / x))}`;
}

const NEWLINE = "⏎", SIDES = ["#0072B2", "#D55E00"];

function rgba(colour, alpha) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  return `rgba(${red},${green},${blue},${general(Math.min(Math.max(alpha, 0), 1), 3)})`;
}

/**
 * Tokens with activations: the markup of token_strip in results/token_text.py, which a test holds it to.
 * Channels are {label, values, maximum, colour}; what Python reads off the letters, `rtl`, was written with the data.
 */
function tokenStrip(tokens, channels, {peak = null, breakLines = true, background = true, rtl = false} = {}) {
  const shares = channels.map(({values, maximum}) => {
    const top = isMissing(maximum) ? Math.max(0, ...values) : maximum;
    return values.map((value) => top > 0 ? Math.min(Math.max(value, 0) / top, 1) : 0);
  });
  const colours = channels.map(({colour}, i) => colour || SIDES[i ? 1 : 0]);
  const filled = background ? 1 : 0;
  const children = [];
  tokens.forEach((token, place) => {
    const letters = Array.from(token);
    const shown = letters.length <= 40 ? token : `${letters.slice(0, 40).join("")}…`;
    const values = channels.map(({label, values}) => `${label} ${general(values[place], 4)}`);
    const style = tokenStyle(shares.map((each) => each[place]), colours, filled, place === peak);
    children.push(el("span", {style, title: [shown, ...values].join(" · ")}, token));
    if (breakLines && token.includes(NEWLINE)) children.push("\n");
  });
  const style = `direction:${rtl ? "rtl" : "ltr"};unicode-bidi:isolate;white-space:pre-wrap;overflow-wrap:anywhere;` +
    `font-family:ui-monospace,monospace;font-size:0.875rem;line-height:${(1.5 + 0.22 * channels.length).toFixed(2)}`;
  return el("div", {style}, children);
}

function tokenStyle(shares, colours, filled, framed) {
  const parts = ["unicode-bidi:isolate"];
  if (filled && shares.length && shares[0] > 0) {
    parts.push(`background-color:${rgba(colours[0], 0.06 + (0.6 - 0.06) * shares[0])}`);
  }
  const bars = shares.slice(filled);
  if (bars.some((bar) => bar > 0)) {
    const layers = bars.map((bar, i) => rgba(colours[filled + i], bar > 0 ? 0.15 + 0.85 * bar : 0));
    const places = bars.map((_, i) => `0 calc(100% - ${3 * (bars.length - 1 - i)}px)`);
    parts.push(`background-image:${layers.map((layer) => `linear-gradient(${layer},${layer})`).join(",")}`);
    parts.push("background-repeat:no-repeat", "background-size:100% 2px", `background-position:${places.join(",")}`);
  }
  if (bars.length) parts.push(`padding-bottom:${3 * bars.length}px`);
  if (framed) parts.push("outline:1px solid currentColor;outline-offset:1px");
  return parts.join(";");
}
