// What comes from the server, and when it is drawn.
const STALE = 3000;     // ms that the latest look at the program may be old, at least
const ARRANGE = 500;    // ms between two times that many sessions are put in order
const MANY = 1000;
let latest = { summary: null }, received = 0, arranged = -Infinity, panelled = -Infinity, waiting = false, moved = true;

const age = () => latest.swept_ms_ago === null || latest.swept_ms_ago === undefined ? null : latest.swept_ms_ago + performance.now() - received;

/// Green is only what a recent answer has proven.
function judge() {
  const old = age(), longest = Math.max(STALE, 2 * (500 + 4 * (latest.sweep_ms ?? 0)));
  const before = trusted;
  trusted = latest.summary?.up === true && performance.now() - received < STALE && (old === null || old < longest);
  moved ||= trusted !== before;
}

function alerts() {
  const list = [], summary = latest.summary;
  if (received && performance.now() - received >= STALE) list.push(["down", "The console doesn't answer; what is shown may be old."]);
  if (summary?.up === false) list.push(["down", `No answer: ${summary.why}`]);
  for (const each of summary?.health ?? []) list.push([each.severity === "failed" ? "down" : "warn", `${each.flag}: ${each.what}`]);
  for (const each of summary?.troubles ?? []) list.push(["warn", each]);
  if (latest.partial) list.push(["warn", `There are more sessions than are kept here: ${latest.kept} are shown.`]);
  const text = JSON.stringify(list);
  if (by("alerts").dataset.text === text) return;
  by("alerts").dataset.text = text;
  by("alerts").replaceChildren(...list.map(([kind, words]) => { const line = make("p", words); line.dataset.tone = kind; return line; }));
}

function header() {
  const summary = latest.summary;
  by("node-mark").dataset.tone = summary?.up === false ? "down" : trusted ? "ok" : "warn";
  if (summary?.up) {
    by("node").textContent = summary.node ?? "";
    document.title = `${summary.node} – Jumping VPN`;
    by("about").textContent = `${summary.role} · ${summary.version} · up ${span(summary.uptime_ms)} · policy ${summary.policy_version} · ` +
      `${summary.peers} peers · ${Object.values(summary.jumps ?? {}).reduce((sum, each) => sum + each, 0)} jumps · ${summary.ended} ended`;
    for (const each of document.querySelectorAll(".gateway")) each.hidden = summary.role !== "gateway";
  }
  by("asof").textContent = age() === null ? "asking…" : `as of ${(age() / 1000).toFixed(1)} s ago`;
}

function panels() {
  const summary = latest.summary;
  overview(summary ?? {});
  if (!summary?.up) return;
  paths(summary);
  cores(summary.workers);
  ports(summary.ports);
  drops(summary.drops);
  throughput(summary);
}

/// At most once for each picture that the screen shows.
function show() {
  waiting = false;
  performance.mark("begin");
  judge();
  const now = performance.now();
  if (moved && (sessions.size < MANY || now - arranged >= ARRANGE)) {
    arrange();
    arranged = now;
    moved = false;
  }
  draw();
  if (now - panelled >= ARRANGE) {
    panels();
    panelled = now;
  }
  header();
  alerts();
  facts();
  performance.measure("show", "begin");
}

function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(show);
}

function take(kind, text) {
  performance.mark("taken");
  const body = JSON.parse(text);
  received = performance.now();
  latest = body;
  if (kind === "all") {
    sessions.clear();
    by("events").replaceChildren();
    panelled = -Infinity;
    arranged = -Infinity;
  }
  body.rows.forEach(takeRow);
  for (const id of body.gone ?? []) sessions.delete(id);
  moved ||= body.rows.length > 0 || (body.gone ?? []).length > 0 || kind === "all";
  addEvents(body.events);
  soon();
  performance.measure("take", "taken");
}

function begin() {
  head();
  by("find").addEventListener("input", (event) => { wanted = event.target.value.trim().toLowerCase(); arrange(); by("scroll").scrollTop = 0; draw(); });
  by("scroll").addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  by("rows").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-id]");
    if (!row) return;
    at = view.findIndex((session) => session.id === row.dataset.id);
    pick(row.dataset.id);
  });
  by("rows").addEventListener("keydown", onKey);
  by("close").addEventListener("click", () => { pick(null); move(at); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && picked) by("close").click(); });
  window.addEventListener("resize", soon);
  setInterval(() => { soon(); if (performance.getEntriesByType("measure").length > 600) { performance.clearMeasures(); performance.clearMarks(); } }, 500);
  connect();
}

/// A browser tries again by itself, unless it was refused: there are viewers enough.
function connect() {
  const stream = new EventSource("/console/stream");
  for (const kind of ["all", "change"]) stream.addEventListener(kind, (event) => take(kind, event.data));
  stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 5000); });
}
begin();
