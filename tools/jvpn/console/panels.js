// What stands around the table: the overview, paths, cores, ports, drops, and one session's timeline.
const STATES = ["ATTACHED", "VOLATILE", "RECOVERING", "DEGRADED", "BIRTH", "TERMINATED"];
const TONES = { ATTACHED: "ok", TERMINATED: "down" };
const POINTS = 240;  // of the lines: two minutes
const EVENTS = 60;

/// Rows of texts, numbers and elements; the first row is the table's head.
function table(id, heads, rows, empty) {
  const into = by(id);
  into.replaceChildren();
  if (!rows.length) {
    into.append(make("caption", empty, "empty"));
    return;
  }
  const cells = (kind, row) => {
    const made = make("tr");
    row.forEach((each, place) => {
      const cell = make(kind, typeof each === "object" ? undefined : each, place ? "num" : "");
      if (typeof each === "object") cell.append(...[each].flat());
      if (kind === "th") cell.scope = "col";
      made.append(cell);
    });
    return made;
  };
  const thead = make("thead"), tbody = make("tbody");
  thead.append(cells("th", heads));
  tbody.append(...rows.map((row) => cells("td", row)));
  into.append(thead, tbody);
}

const marked = (kind, text) => {
  const mark = make("span", undefined, "mark");
  mark.dataset.tone = kind;
  return [mark, document.createTextNode(text)];
};
const median = (list) => list.length ? list.sort((a, b) => a - b)[list.length >> 1] : null;
const mean = (list) => list.length ? list.reduce((sum, each) => sum + each, 0) / list.length : null;

/// On a gateway: the addresses at which sessions arrive. On a client: its ways to the gateways.
function paths(summary) {
  const groups = new Map();
  for (const session of sessions.values()) {
    if (!session.local) continue;
    const place = session.local.replace(/:\d+$/, "");
    if (!groups.has(place)) groups.set(place, { sessions: 0, proven: 0, rtt: [], in: [], out: [] });
    const group = groups.get(place);
    ++group.sessions;
    group.proven += tone(session) === "ok";
    if (session.rtt !== null) group.rtt.push(session.rtt);
    if (session.lossIn !== null) group.in.push(session.lossIn);
    if (session.lossOut !== null) group.out.push(session.lossOut);
  }
  const figures = (group) => group ? [percent(mean(group.in)), percent(mean(group.out)), millis(median(group.rtt))] : ["–", "–", "–"];
  if (Array.isArray(summary.paths)) {
    const rows = summary.paths.map((path) => {
      const active = path.state === "active", place = (path.local ?? "").replace(/:\d+$/, "");
      const proven = groups.get(place)?.proven;
      const kind = path.state === "down" ? "down" : active ? (proven ? "ok" : "warn") : "idle";
      return { path, row: [marked(kind, `${path.underlay} ${path.remote}`), path.state, ...figures(active ? groups.get(place) : null)] };
    });
    const order = { active: 0, candidate: 1, down: 2 };
    rows.sort((a, b) => order[a.path.state] - order[b.path.state]);
    return table("paths", ["Underlay, gateway", "State", "Loss in", "out", "RTT"], rows.map((each) => each.row), "No paths.");
  }
  table("paths", ["Local", "Sessions", "Loss in", "out", "RTT"], [...groups].sort().map(([place, group]) =>
    [marked(group.proven ? "ok" : "warn", place), group.sessions, ...figures(group)]), "No session has a path.");
}

function cores(workers) {
  table("cores", ["Worker", "Load", "", "Received", "Sent"], workers.map((worker, number) => {
    const meter = make("meter");
    meter.max = 1;
    meter.high = 0.9;
    meter.low = 0.7;
    meter.optimum = 0;
    meter.value = worker.load ?? 0;
    meter.setAttribute("aria-label", `Load of worker ${number}`);
    return [String(number), [meter], percent(worker.load), si(worker.rx_pps, "pkt/s"), si(worker.tx_pps, "pkt/s")];
  }), "No workers.");
}

function ports(list) {
  table("ports", ["Port", "Received", "Sent", "Missed"], list.map((port) =>
    [marked(port.link === "up" ? "ok" : "down", `${port.name} ${port.role}`), si(port.rx_bps, "bit/s"), si(port.tx_bps, "bit/s"),
      si(port.missed, "")]), "No ports.");
}

function drops(list) {
  const order = (drop) => drop[2] ?? 0;
  table("drops", ["Name", "Packets", "Now"], list.sort((a, b) => order(b) - order(a) || b[1] - a[1]).map(([name, count, rate]) =>
    [name, si(count, ""), rate ? si(rate, "/s") : "–"]), "Nothing was dropped.");
}

const lines = { rx: [], tx: [] };
function rate(which, value) {
  const points = lines[which];
  points.push(value ?? 0);
  if (points.length > POINTS) points.shift();
  const most = Math.max(1, ...points);
  const path = points.map((each, place) => `${240 - points.length + place},${(35 - 33 * each / most).toFixed(1)}`);
  by(`${which}-line`).firstElementChild.setAttribute("d", `M${240 - points.length},36L${path.join("L")}L239,36Z`);
  by(`${which}-now`).textContent = si(value, "bit/s");
}

/// From the sessions of a client; a gateway's ports count all of them.
function throughput(summary) {
  const outside = (summary.ports ?? []).filter((port) => port.role === "outside");
  const sum = (list, name) => list.reduce((all, each) => each[name] === null ? all : (all ?? 0) + each[name], null);
  rate("rx", outside.length ? sum(outside, "rx_bps") : sum([...sessions.values()], "rx"));
  rate("tx", outside.length ? sum(outside, "tx_bps") : sum([...sessions.values()], "tx"));
}

const chips = new Map();
function chip(name, kind, count) {
  if (!chips.has(name)) {
    const button = make("button"), mark = make("span", undefined, "mark");
    button.type = "button";
    button.append(mark, make("b", "0"), document.createTextNode(name));
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      state = state === name ? "" : name;
      for (const [each, other] of chips) other.setAttribute("aria-pressed", each === state);
      arrange();
      by("scroll").scrollTop = 0;
      draw();
    });
    chips.set(name, button);
    by("states").append(button);
  }
  chips.get(name).firstChild.dataset.tone = count ? kind : "idle";
  set(chips.get(name).children[1], count);
}

function overview(summary) {
  let doubtful = 0, attached = 0, ended = 0;
  for (const session of sessions.values()) {
    doubtful += tone(session) === "warn";
    attached += tone(session) === "ok";
    ended += session.state === "TERMINATED";
  }
  for (const each of STATES) {
    const count = each === "TERMINATED" ? ended : summary.states?.[each] ?? 0;
    chip(each, each === "ATTACHED" && !attached ? "warn" : TONES[each] ?? "warn", count);
  }
  chip("not proven", "warn", doubtful);
}

function eventItem([ts, session, kind, reason, from, to, fromPath, path, cause, latency, about], withPeer) {
  const item = make("li"), time = make("time", new Date(ts).toLocaleTimeString([], { hour12: false }) + `.${String(ts % 1000).padStart(3, "0")}`);
  time.dateTime = new Date(ts).toISOString();
  const jump = kind === "TRANSPORT_SWITCH" && reason === "TRANSPORT_SWITCH_OK";
  item.dataset.tone = to ? TONES[to] ?? "warn" : jump ? "ok" : "";
  const what = to ? `${from} → ${to}` : jump ? `Jump${cause ? `: ${cause}` : ""}${latency !== null ? `, ${latency} ms` : ""}` : kind;
  item.append(time);
  if (withPeer) item.append(`${sessions.get(session)?.peer ?? session.slice(0, 8)}  `);
  item.append(what);
  const small = [reason, to ? about : "", jump && path ? `${fromPath ? `${fromPath} → ` : ""}${path}` : !jump && !to ? about : ""];
  item.append(make("small", small.filter(Boolean).join(" · ")));
  return item;
}

function addEvents(list) {
  const all = by("events"), mine = by("timeline");
  for (const event of list.slice(-EVENTS)) {
    all.prepend(eventItem(event, true));
    while (all.childElementCount > EVENTS) all.lastChild.remove();
  }
  for (const event of list) {
    if (event[1] !== picked) continue;
    late?.push(event);
    mine.prepend(eventItem(event, false));
    while (mine.childElementCount > 200) mine.lastChild.remove();
  }
}

let late = null;  // events of the picked session that came while its timeline was asked for

function facts() {
  const session = sessions.get(picked);
  if (!session) {
    if (picked) by("facts").replaceChildren(make("dt", "State"), make("dd", "no longer known"));
    return;
  }
  by("h-detail").textContent = session.peer;
  const list = [["State", session.state], ["Proof", standing(session)], ["Reason", session.reason], ["Session", session.id],
    ["Path", session.local ? `${session.local} ← ${session.remote}` : "–"],
    ["Loss", `${percent(session.lossIn)} in, ${percent(session.lossOut)} out`],
    ["Round trip", session.rtt === null ? "–" : `${millis(session.rtt)}, jitter ${millis(session.jitter)}`], ["Jumps", session.switches ?? "–"]];
  by("facts").replaceChildren(...list.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

async function pick(id) {
  picked = id;
  late = null;
  by("detail").hidden = !id;
  draw();
  if (!id) return;
  facts();
  by("timeline").replaceChildren();
  const mine = late = [];
  let list = [];
  try {
    const answer = await fetch(`/console/timeline?session=${encodeURIComponent(id)}`);
    list = await answer.json();
  } catch {
    // What comes from now on is shown all the same.
  }
  if (late !== mine) return;  // another one was picked meanwhile
  late = null;
  const told = new Set(list.map((event) => JSON.stringify(event)));
  list.push(...mine.filter((event) => !told.has(JSON.stringify(event))));
  by("timeline").replaceChildren(...list.reverse().map((event) => eventItem(event, false)));
}
