// Keeps a page up to date: follows the gateway's records, and loads the page's main part again when one concerns it.
// Without this file every page works the same, and is loaded again by hand.
const main = document.getElementById("content");
const said = document.getElementById("live");
const TRIES = 12, LONGEST_MS = 60000, PAUSE_MS = 1500, TELL_FAILURES = 3;
const LEAST_MS = Number(said.dataset.pause) * 1000;
const ONE = /^\/portal\/(lots|orders)\/([0-9a-f]{64})$/;
let place = said.dataset.place, source = null, tries = 0, due = 0, loading = false, again = false;
let failures = 0, last = shownOf(main);

function tell(text, link) {
  said.textContent = text;
  if (link) {
    const found = Object.assign(document.createElement("a"), { href: link, textContent: said.dataset.open });
    said.append(" ", found);
  }
  said.hidden = false;
}

// A page about one lot or order is concerned by records of what it names; every other page by each record.
function concerns(record) {
  if (!ONE.test(location.pathname)) return true;
  return record.subjects.some((one) => main.innerHTML.includes(one) || location.pathname.endsWith(one));
}

// What somebody has written in a form, or is about to choose, must not go.
function isBusy() {
  const fields = main.querySelectorAll("input:not([type=hidden]), textarea, select");
  return [...fields].some((one) => one === document.activeElement || isChanged(one));
}

function isChanged(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.options) {
    const first = [...field.options].findIndex((one) => one.defaultSelected);
    return field.selectedIndex !== Math.max(first, 0) && !field.multiple;
  }
  return field.value !== field.defaultValue;
}

// A button that records at once must not change under the finger. Forms that lead to a summary first say so.
function records(node) {
  return node.querySelector("form[method=post]:not([data-summary])") !== null;
}

// Keys and tokens of forms differ each time.
function shownOf(node) {
  const copy = node.cloneNode(true);
  for (const one of copy.querySelectorAll("input[type=hidden]")) one.remove();
  return copy.innerHTML;
}

const NAMED = ["id", "href", "name", "value", "aria-describedby"];
function keyOf(node) {
  const owner = node.closest("form")?.getAttribute("action") ?? "";
  return [node.tagName, node.textContent.trim(), owner, ...NAMED.map((one) => node.getAttribute(one))].join("\n");
}

function replace(fresh) {
  const active = main.contains(document.activeElement) && document.activeElement !== main ? document.activeElement : null;
  const key = active && keyOf(active), top = scrollY;
  const wasOpen = [...main.querySelectorAll("details")].map((one) => one.open);
  main.replaceChildren(...fresh.childNodes);
  [...main.querySelectorAll("details")].forEach((one, at) => { if (wasOpen[at]) one.open = true; });
  if (active) {
    const same = [...main.querySelectorAll(active.tagName)].find((one) => keyOf(one) === key);
    (same ?? main).focus({ preventScroll: true });
  }
  scrollTo(scrollX, top);
}

async function load() {
  if (loading) { again = true; return; }
  loading = true;
  try {
    const answer = await fetch(location.href, { headers: { "X-Millmark-Live": "1" }, redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return end();
    if (answer.status === 429 || answer.status >= 500) return fail(answer);
    if (!answer.ok) return tell(said.dataset.news, location.href);
    if (failures >= TELL_FAILURES) said.hidden = true;
    failures = 0;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
    if (fresh) document.dispatchEvent(new CustomEvent("millmark-new", { detail: fresh }));
    const shown = fresh && shownOf(fresh);
    if (!fresh || shown === last) return;
    if (isBusy() || records(main) || records(fresh)) return tell(said.dataset.news, location.href);
    last = shown;
    replace(fresh);
    const now = new Date().toLocaleTimeString(document.documentElement.lang);
    tell(said.dataset.updated.replace("{time}", now));
  } catch { fail(); } finally {
    loading = false;
    if (again) { again = false; later(); }
  }
}

// A page that could not be had is asked for again, later each time: otherwise the record would never be shown.
function fail(answer) {
  failures += 1;
  if (failures >= TELL_FAILURES) tell(said.dataset.failed, location.href);
  const wait = Math.min(LEAST_MS * 2 ** (failures - 1), LONGEST_MS);
  due = Date.now() + Math.max(wait, 1000 * (Number(answer?.headers.get("Retry-After")) || 0));
  again = true;
}

// At once for the first record, and then not more often than the page may be loaded.
function later() {
  clearTimeout(later.timer);
  later.timer = setTimeout(() => {
    if (document.hidden) { again = true; return; }
    due = Date.now() + LEAST_MS;
    load();
  }, Math.max(due - Date.now(), 100));
}

function end() {
  stop();
  ended = true;
  const next = encodeURIComponent(location.pathname + location.search);
  tell(said.dataset.ended, `/portal/sign-in?next=${next}`);
}
let ended = false;

function stop() {
  source?.close();
  source = null;
}

async function retry() {
  stop();
  const answer = await fetch(location.href, { method: "HEAD", headers: { "X-Millmark-Live": "1" }, redirect: "manual" })
    .catch(() => null);
  if (answer && (answer.type === "opaqueredirect" || answer.status === 401)) return end();
  tries += 1;
  if (tries > TRIES) return tell(said.dataset.lost, location.href);
  setTimeout(follow, Math.min(PAUSE_MS * 2 ** tries, LONGEST_MS));
}

function follow() {
  if (source || ended || document.hidden) return;
  source = new EventSource(`/portal/events?after=${encodeURIComponent(place)}`);
  source.addEventListener("record", (event) => {
    place = event.lastEventId || place;
    if (concerns(JSON.parse(event.data))) later();
  });
  source.addEventListener("place", (event) => { place = event.lastEventId || place; tries = 0; });
  source.addEventListener("error", () => { if (source) retry(); });
}

// A page that nobody looks at costs the gateway nothing; it catches up when somebody does.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else {
    tries = 0;
    follow();
    if (again && !loading) { again = false; later(); }
  }
});
follow();
