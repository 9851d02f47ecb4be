// The sessions: what is known of each, and the table, of which only what can be seen is in the document.
const by = (id) => document.getElementById(id);
const make = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const FIELDS = ["id", "peer", "standing", "state", "reason", "local", "remote", "lossIn", "lossOut", "rtt", "jitter", "rx", "tx",
  "switches", "silent"];
// By Standing in session_rows.h: the colour, and what it means.
const STANDINGS = [["ok", "heard within two heartbeats"], ["warn", "not heard"], ["warn", "looking for a path, or held back"],
  ["warn", "changed; nothing has come since"], ["idle", "silent by agreement"], ["warn", "keys aren't confirmed yet"], ["down", "ended"]];
const ORDER = { down: 1, warn: 0, idle: 2, ok: 3 };
const ROW = 28, SPARE = 6;

const sessions = new Map();
let trusted = false;  // the latest look at the program is recent; else nothing is green
const tone = (session) => {
  const told = STANDINGS[session.standing]?.[0] ?? "warn";
  return told === "ok" && !trusted ? "warn" : told;
};
const standing = (session) => {
  if (session.standing === 0 && !trusted) return "no answer that is recent enough to prove it";
  const words = STANDINGS[session.standing]?.[1] ?? "not known";
  return session.standing === 1 && session.silent !== null ? `${words} for ${span(session.silent)}` : words;
};

const si = (value, unit) => {
  if (value === null || value === undefined) return "–";
  let step = 0;
  for (; value >= 999.5 && step < 4; ++step) value /= 1000;
  return `${value >= 99.5 || step === 0 ? Math.round(value) : value.toFixed(1)} ${["", "k", "M", "G", "T"][step]}${unit}`;
};
const percent = (value) => value === null ? "–" : value === 0 ? "0 %" : `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
const millis = (us) => us === null ? "–" : `${(us / 1000).toFixed(us < 100000 ? 1 : 0)} ms`;
const span = (ms) => ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : ms < 600000 ? `${Math.round(ms / 1000)} s` :
  ms < 36e5 * 48 ? `${Math.floor(ms / 36e5)} h ${Math.floor(ms % 36e5 / 6e4)} min` : `${Math.floor(ms / 864e5)} d`;

const COLUMNS = [
  { name: "Peer", kind: "peer", of: (s) => s.peer, key: (s) => s.peer },
  { name: "State", kind: "standing", of: (s) => s.state, key: (s) => ORDER[tone(s)] },
  { name: "Remote", kind: "remote soft far", of: (s) => s.remote || "–", key: (s) => s.remote },
  { name: "Loss in", kind: "num far", of: (s) => percent(s.lossIn), key: (s) => s.lossIn ?? -1 },
  { name: "Loss out", kind: "num far", of: (s) => percent(s.lossOut), key: (s) => s.lossOut ?? -1 },
  { name: "RTT", kind: "num", of: (s) => millis(s.rtt), key: (s) => s.rtt ?? -1 },
  { name: "Rx bit/s", kind: "num far", of: (s) => si(s.rx, ""), key: (s) => s.rx ?? -1 },
  { name: "Tx bit/s", kind: "num far", of: (s) => si(s.tx, ""), key: (s) => s.tx ?? -1 },
  { name: "Jumps", kind: "num far jumps", of: (s) => s.switches ?? "–", key: (s) => s.switches ?? -1 },
];

let view = [], sorted = { column: 1, down: false }, wanted = "", state = "", picked = null, at = 0, pool = [];

const takeRow = (fields) => {
  const session = sessions.get(fields[0]) ?? {};
  FIELDS.forEach((name, place) => { session[name] = fields[place]; });
  session.text = `${session.peer} ${session.remote} ${session.local} ${session.reason} ${session.id}`.toLowerCase();
  sessions.set(session.id, session);
};

const matches = (session) => (!state || (state === "not proven" ? tone(session) === "warn" : session.state === state)) &&
  (!wanted || session.text.includes(wanted));

function arrange() {
  view = [...sessions.values()].filter(matches);
  const { key } = COLUMNS[sorted.column], sign = sorted.down ? -1 : 1;
  for (const each of view) each.key = key(each);
  view.sort((a, b) => a.key < b.key ? -sign : a.key > b.key ? sign : a.peer < b.peer ? -1 : a.peer > b.peer ? 1 : a.id < b.id ? -1 : 1);
  by("shown").textContent = view.length === sessions.size ? `${sessions.size}` : `${view.length} of ${sessions.size}`;
  by("table").setAttribute("aria-rowcount", view.length + 1);
  by("none").hidden = view.length !== 0;
  by("none").textContent = sessions.size ? "No session matches." : "No sessions.";
}

function newRow() {
  const row = make("tr");
  row.setAttribute("aria-selected", "false");
  for (const column of COLUMNS) {
    const cell = make("td", undefined, column.kind);
    if (column.kind === "standing") cell.append(make("span", undefined, "mark"), make("span", "", "state"));
    row.append(cell);
  }
  return row;
}

const set = (node, text) => { if (node.textContent !== String(text)) node.textContent = text; };

function fill(row, session, place) {
  row.dataset.id = session.id;
  row.dataset.tone = tone(session);
  row.title = standing(session);
  row.tabIndex = place === at ? 0 : -1;
  row.setAttribute("aria-rowindex", place + 2);
  row.setAttribute("aria-selected", session.id === picked);
  COLUMNS.forEach((column, number) => {
    const cell = row.cells[number];
    set(column.kind === "standing" ? cell.lastChild : cell, column.of(session));
  });
}

/// What can be seen, between two rows that are as high as what can't.
function draw() {
  const scroll = by("scroll"), body = by("rows");
  const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - SPARE);
  const count = Math.min(view.length - first, Math.ceil(scroll.clientHeight / ROW) + 2 * SPARE);
  at = Math.min(at, Math.max(0, view.length - 1));
  if (!body.firstChild) {
    for (const end of [0, 1]) {
      const space = make("tr", undefined, "space");
      space.setAttribute("aria-hidden", "true");
      space.append(make("td"));
      body.append(space);
    }
  }
  while (pool.length < count) { pool.push(newRow()); body.insertBefore(pool.at(-1), body.lastChild); }
  while (pool.length > Math.max(count, 0)) pool.pop().remove();
  pool.forEach((row, place) => fill(row, view[first + place], first + place));
  body.firstChild.style.setProperty("--height", `${first * ROW}px`);
  body.lastChild.style.setProperty("--height", `${Math.max(0, view.length - first - count) * ROW}px`);
}

function move(to) {
  at = Math.max(0, Math.min(to, view.length - 1));
  const scroll = by("scroll"), head = 30;
  if (at * ROW < scroll.scrollTop) scroll.scrollTop = at * ROW;
  else if ((at + 1) * ROW + head > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = (at + 1) * ROW + head - scroll.clientHeight;
  draw();
  pool.find((row) => row.tabIndex === 0)?.focus({ preventScroll: true });
}

function onKey(event) {
  if (!event.target.closest("tr[data-id]")) return;
  const page = Math.floor(by("scroll").clientHeight / ROW) - 1;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: view.length - 1 }[event.key];
  if (to !== undefined) move(to);
  else if (event.key === "Enter" || event.key === " ") pick(event.target.dataset.id);
  else return;
  event.preventDefault();
}

function head() {
  COLUMNS.forEach((column, number) => {
    const cell = make("th", undefined, column.kind);
    const button = make("button", column.name);
    cell.scope = "col";
    button.type = "button";
    button.addEventListener("click", () => {
      sorted = { column: number, down: sorted.column === number && !sorted.down };
      by("columns").querySelectorAll("th").forEach((each, place) => {
        if (place === number) each.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
        else each.removeAttribute("aria-sort");
      });
      arrange();
      draw();
    });
    if (number === sorted.column) cell.setAttribute("aria-sort", "ascending");
    cell.append(button);
    by("columns").append(cell);
  });
}
