// Keeps a page up to date: follows the gateway's records, and loads the page's main part again when one concerns it.
// Without this file every page works the same, and is loaded again by hand.
const main = document.getElementById("content");
const said = document.getElementById("live");
const TRIES = 12, LEAST_MS = 2000, LONGEST_MS = 60000, PAUSE_MS = 1500;
const ONE = /^\/portal\/(lots|orders)\/([0-9a-f]{64})$/;
let place = said.dataset.place, source = null, tries = 0, due = 0, loading = false, again = false;

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
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
    if (!fresh || fresh.innerHTML === main.dataset.last) return;
    if (!("last" in main.dataset) && fresh.innerHTML === main.innerHTML) return;
    if (isBusy()) return tell(said.dataset.news, location.href);
    main.dataset.last = fresh.innerHTML;
    replace(fresh);
    const now = new Date().toLocaleTimeString(document.documentElement.lang);
    tell(said.dataset.updated.replace("{time}", now));
  } catch { /* the stream notices that the gateway is gone, and says so */ } finally {
    loading = false;
    if (again) { again = false; later(); }
  }
}

// At once for the first record, and then not more often than every two seconds.
function later() {
  clearTimeout(later.timer);
  later.timer = setTimeout(() => { due = Date.now() + LEAST_MS; load(); }, Math.max(due - Date.now(), 100));
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
  else { tries = 0; follow(); }
});
follow();
