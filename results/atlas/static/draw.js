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

// Two characters of one letter, beside marks on a letter; scripts from right to left. As in token_text.py and token_strip.py.
const MARK = /^\p{M}/u, PART = "┊", RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const JOINED = new RegExp("^(?:.[\u0e33\u0eb3\u{1f3fb}-\u{1f3ff}]|[\u1100-\u11ff\uac00-\ud7a3][\u1160-\u11ff]" +
  "|[\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d\u1039\u17d2][\u0900-\u0dff\u1000-\u109f\u1780-\u17ff]" +
  "|[\u{1f1e6}-\u{1f1ff}]{2}|\u0644[\u0622\u0623\u0625\u0627])", "u");

/** Text of tokens cut at their borders but never inside a letter: [text, first token, last token] of each piece. */
function piecesOf(tokens) {
  const letters = [];
  let parts = [], last = "";
  tokens.forEach((token, place) => {
    for (const character of token) {
      if (character === PART) { parts.push(place); continue; }
      const first = parts.length ? parts[0] : place;
      if (letters.length && (MARK.test(character) || JOINED.test(last + character))) {
        const before = letters[letters.length - 1];
        before[0] += character;
        before[2] = place;
      } else letters.push([character, first, place]);
      [parts, last] = [[], character];
    }
  });
  letters.push(...parts.map((place) => [PART, place, place]));
  const pieces = [];
  for (const [text, first, stop] of letters) {
    const before = pieces[pieces.length - 1];
    if (before && first === stop && before[1] === first && before[2] === stop) before[0] += text;
    else pieces.push([text, first, stop]);
  }
  return pieces;
}

/** Pieces by line: one begins after a token that holds a line feed. */
function linesOf(tokens, breakLines) {
  const lines = [[]];
  for (const piece of piecesOf(tokens)) {
    const line = lines[lines.length - 1], before = line[line.length - 1];
    const held = before ? tokens.slice(before[1], Math.min(before[2] + 1, piece[1])) : [];
    if (breakLines && held.some((token) => token.includes(NEWLINE))) lines.push([piece]);
    else line.push(piece);
  }
  return lines;
}

/**
 * Tokens with activations: the markup of token_strip in results/token_strip.py, which a test holds it to.
 * Channels are {label, values, maximum, colour}; what Python reads off the letters, the lines that run right to left
 * (`right`, by number), was written with the data.
 */
function tokenStrip(tokens, channels, {peak = null, breakLines = true, background = true, right = []} = {}) {
  const shares = channels.map(({values, maximum}) => {
    const top = isMissing(maximum) ? Math.max(0, ...values) : maximum;
    return values.map((value) => top > 0 ? Math.min(Math.max(value, 0) / top, 1) : 0);
  });
  const colours = channels.map(({colour}, i) => colour || SIDES[i ? 1 : 0]);
  const hover = (place) => {
    const characters = Array.from(tokens[place]);
    const shown = characters.length <= 40 ? tokens[place] : `${characters.slice(0, 40).join("")}…`;
    return [...channels.map(({label, values}) => `${label} ${general(values[place], 4)}`), shown].join(" · ");
  };
  const span = ([text, first, stop]) => {
    const places = Array.from({length: stop - first + 1}, (_, i) => first + i);
    const drawn = shares.map((each) => each.slice(first, stop + 1));
    const style = pieceStyle(text, drawn, colours, background ? 1 : 0, peak !== null && first <= peak && peak <= stop);
    return el("span", {style: style || null, title: places.map(hover).join("\n")}, text);
  };
  const style = "white-space:pre-wrap;overflow-wrap:anywhere;" +
    `font-family:ui-monospace,monospace;font-size:0.875rem;line-height:${(1.5 + 0.22 * channels.length).toFixed(2)}`;
  return el("div", {style}, linesOf(tokens, breakLines).map((line, number) =>
    el("div", {dir: right.includes(number) ? "rtl" : "ltr"}, line.map(span))));
}

function pieceStyle(text, shares, colours, filled, framed) {
  const parts = [], layers = [], sizes = [], places = [], bars = shares.slice(filled);
  if (bars.some((bar) => bar.some((each) => each > 0))) {
    bars.forEach((bar, i) => {
      layers.push(beside(text, bar.map((each) => rgba(colours[filled + i], each > 0 ? 0.15 + 0.85 * each : 0))));
      sizes.push("100% 2px");
      places.push(`0 calc(100% - ${3 * (bars.length - 1 - i)}px)`);
    });
  }
  const first = filled && shares.length ? shares[0] : [];
  const fills = first.map((each) => rgba(colours[0], each > 0 ? 0.06 + (0.6 - 0.06) * each : 0));
  if (fills.length === 1 && first[0] > 0) parts.push(`background-color:${fills[0]}`);
  else if (fills.length > 1 && first.some((each) => each > 0)) {
    layers.push(beside(text, fills));
    sizes.push("100% 100%");
    places.push("0 0");
  }
  if (layers.length) {
    parts.push(`background-image:${layers.join(",")}`, "background-repeat:no-repeat");
    parts.push(`background-size:${sizes.join(",")}`, `background-position:${places.join(",")}`);
  }
  if (bars.length) parts.push(`padding-bottom:${3 * bars.length}px`);
  if (framed) parts.push("outline:1px solid currentColor;outline-offset:1px");
  return parts.join(";");
}

function beside(text, colours) {
  if (colours.length === 1) return `linear-gradient(${colours[0]},${colours[0]})`;
  const edge = (i) => `${general(100 * i / colours.length, 4)}%`;
  const stops = colours.map((colour, i) => `${colour} ${edge(i)} ${edge(i + 1)}`);
  return `linear-gradient(to ${RIGHT.test(text) ? "left" : "right"},${stops.join(",")})`;
}
