// The page: takes a proof and a trust file, has the worker verify them, and shows what the verifier said.
const MOST = { bundle: 32 * 2 ** 20, trust: 2 ** 20 };
const LOADED_MB = "6";
// What a reader needs first; the rest is folded away.
const OPEN = new Set(["head", "part", "attention", "not_proved"]);
const CODE = /^\/(\d{2,4})\/.+/;
const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC/g;
const say = await chosenWords();
const $ = (id) => document.getElementById(id);
const given = { bundle: null, trust: null, own: false };
let worker = null;
let ready = null;
let shown = null;
let reading = Promise.resolve();
let turn = 0;
let asked = 0;
let picking = false;

async function chosenWords() {
  const words = await (await fetch(new URL("words.json", import.meta.url))).json();
  const wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages].filter(Boolean);
  const found = wanted.map((tag) => tag.slice(0, 2)).find((tag) => tag in words) ?? "en";
  const take = (key, values = {}) => words[take.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  take.language = found;
  take.has = (language) => language in words;
  return take;
}

function translate() {
  document.documentElement.lang = say.language;
  document.title = `${say("title")} · Millmark`;
  for (const one of document.querySelectorAll("[data-say]")) one.textContent = say(one.dataset.say);
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
  for (const one of document.querySelectorAll("[data-language]"))
    one.setAttribute("aria-pressed", String(one.dataset.language === say.language));
}

function state(text, kind = "") {
  $("state").textContent = text;
  $("state").className = kind;
}

// Loaded only when somebody asks for a check: 6 MB are much for a phone.
function verifier() {
  if (ready) return ready;
  state(say("loading", { size: LOADED_MB }));
  import("./qr/decode.js").catch(() => {}); // so that codes are read without the network, too; scanning says what failed
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  ready = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.ready ? resolve(data) : reject(new Error(data.failed)));
    worker.onerror = (event) => reject(new Error(event.message || "worker"));
  });
  ready.then(
    ({ python, slow }) => state(say(slow ? "ready.slow" : "ready", { python, reason: slow })),
    (error) => {
      ready = null; // the next try may find the network again
      state(say("no.worker", { reason: error.message }), "failed");
    },
  );
  return ready;
}

function ask(message) {
  return new Promise((resolve, reject) => {
    const id = (asked += 1);
    worker.onmessage = ({ data }) => {
      if (data.id === id) data.answer ? resolve(data.answer) : reject(new Error(data.broken));
    };
    worker.onerror = (event) => reject(new Error(event.message || "worker"));
    worker.postMessage({ ...message, id });
  });
}

// A result must never stand beside files, or options, that it is not about.
function forget() {
  shown = null;
  turn += 1;
  $("result").hidden = true;
}

function keep(what, name, blob, key, own) {
  forget();
  given[what] = null;
  $(`${what}-name`).textContent = "";
  reading = reading
    .then(() => read(what, name, blob, key, own))
    .catch((error) => state(say("read.failed", { name, reason: error.message }), "failed"));
  return reading;
}

async function read(what, name, blob, key, own) {
  if (blob.size > MOST[what]) return state(say("too.large", { name, size: MOST[what] / 2 ** 20 }), "failed");
  given[what] = new Uint8Array(await blob.arrayBuffer());
  if (what === "trust") $("trust-own").hidden = !(given.own = own);
  $(`${what}-name`).textContent = say(key, { name, size: Math.ceil(blob.size / 1000) });
  verifier().catch(() => {}); // what failed was said there
}

async function load(what, path, own) {
  const answer = await fetch(path, { credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
  if (!answer.ok) throw new Error(answer.status === 404 ? say(`fetch.none.${what}`) : String(answer.status));
  await keep(what, path.pathname.split("/").slice(-1)[0], await answer.blob(), "loaded", own);
}

// An address of a proof, or the link in a part's code, for which this server may have a proof whoever printed it.
async function loadAddress(text) {
  let url;
  try {
    url = new URL(text.trim(), location.href);
    const code = CODE.test(url.pathname);
    if (!code && url.origin !== location.origin) return state(say("fetch.foreign", { host: url.host }), "failed");
    const path = code ? `/passport/bundle${url.pathname}${url.search}` : url.pathname + url.search;
    await load("bundle", new URL(path, location.origin), true);
  } catch (error) {
    const foreign = url && url.origin !== location.origin;
    state(foreign ? say("fetch.foreign", { host: url.host }) : say("fetch.failed", { reason: error.message }), "failed");
  }
}

async function verify() {
  forget();
  const mine = turn;
  $("go").disabled = true;
  await reading;
  $("go").disabled = false;
  if (mine !== turn) return;
  if (!given.bundle) return state(say("lacks.bundle"), "failed");
  if (!given.trust) return state(say("lacks.trust"), "failed");
  const days = Number($("days").value);
  if (!$("days").value || !Number.isInteger(days) || days < 0 || days > 36500) return state(say("lacks.days"), "failed");
  $("go").disabled = true;
  try {
    await verifier();
    state(say("running"));
    const began = performance.now();
    const own = given.own;
    const message = { bundle: given.bundle, trust: given.trust, now: Math.floor(Date.now() / 1000), language: say.language, days, any: $("any").checked };
    const answer = await ask(message);
    if (mine !== turn) return;
    shown = { answer, own, any: message.any, seconds: (performance.now() - began) / 1000, time: new Date() };
    state("");
    show();
  } catch (error) {
    if (mine !== turn) return;
    shown = { broken: error.message };
    show();
  } finally {
    $("go").disabled = false;
  }
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// As elements, so that local.js shows them in the reader's zone.
function withTimes(made, text) {
  let end = 0;
  for (const { 0: found, index } of text.matchAll(TIME)) {
    const time = element("time", "", found);
    time.dateTime = `${found.slice(0, -4).replace(" ", "T")}Z`;
    made.append(text.slice(end, index), time);
    end = index + found.length;
  }
  made.append(text.slice(end));
  return made;
}

// The verdict is what a reader must see, and hear, first: of what is taller than a screen, browsers show the end.
function show() {
  const result = $("result");
  result.replaceChildren();
  result.hidden = false;
  fill(result);
  document.dispatchEvent(new CustomEvent("millmark-new", { detail: result }));
  result.querySelector(".badge-title").focus({ preventScroll: true });
  result.scrollIntoView({ block: "start" });
}

function fill(result) {
  if (shown.broken) {
    result.append(badge("bad", say("broken"), say("broken.text")), reason(shown.broken));
    return;
  }
  const { answer } = shown;
  const verified = shown.any ? "any.text" : "verified.text";
  const told = answer.outcome === "refused" ? (answer.name === "STATUS" ? "status.text" : "refused.text") : verified;
  // A genuine proof is not a good part: how the part stands comes first, then what was found of the proof.
  const text = answer.outcome === "unusable" ? "" : say(told, { step: answer.step });
  const genuine = answer.outcome === "verified" || answer.name === "STATUS";
  const title = genuine && answer.first.length ? (answer.waits ? `${say("waits")} ` : "") + answer.first.join(" · ") : say(answer.outcome);
  result.append(badge(answer.worth, title, text));
  if (answer.cause) result.append(reason(answer.cause));
  if (shown.own) result.append(element("p", "warn", say("trust.own")));
  for (const section of answer.sections) result.append(said(section));
  if (answer.outcome !== "unusable") result.append(steps(answer.step, answer.outcome === "refused"));
  const time = shown.time.toLocaleString(say.language, { dateStyle: "medium", timeStyle: "long" }); // with its zone
  const values = { seconds: shown.seconds.toFixed(2), time };
  const took = say("took", { ...values, trust: answer.trust_digest, bundle: answer.bundle_digest });
  result.append(element("p", "note", took));
}

function badge(kind, title, text) {
  const made = element("div", `badge ${kind}`);
  const words = element("div");
  const verdict = withTimes(element("h2", "badge-title"), title);
  verdict.tabIndex = -1;
  words.append(verdict, element("p", "", text));
  const mark = element("span", "mark", { good: "✓", open: "!", bad: "✕" }[kind] ?? "?");
  mark.setAttribute("aria-hidden", "true");
  made.append(mark, words);
  return made;
}

function reason(text) {
  const made = element("p", "reason", `${say("reason")} `);
  const cause = element("span", "", text);
  cause.lang = "en";
  cause.translate = false;
  made.append(cause);
  return made;
}

function said({ section, title, lines }) {
  const made = element(OPEN.has(section) ? "section" : "details", `panel said ${section}`);
  const named = title.replace(/[:：]$/, "");
  if (made.localName === "details") made.append(element("summary", "", `${named || section} (${lines.length})`));
  else if (title) made.append(element("h3", "", named));
  const list = element("ul", "plain");
  for (const line of lines) list.append(withTimes(element("li", line.kind), line.text));
  made.append(list);
  return made;
}

function steps(last, refused) {
  const made = element("details", "panel");
  made.append(element("summary", "", say("proof.steps")));
  const list = element("ol", "checks");
  for (let step = 1; step <= 11; step++) {
    const outcome = step < last ? "done" : step === last && refused ? "failed" : "open";
    list.append(element("li", outcome, `${say(`step.${step}`)} – ${say(`step.${outcome}`)}`));
  }
  made.append(list);
  return made;
}

let scanning = false;

async function scan() {
  if (scanning) return; // a second camera would have nobody to switch it off
  scanning = true;
  let stream;
  let decodeQR;
  try {
    ({ default: decodeQR } = await import("./qr/decode.js"));
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    scanning = false;
    return state(say("scan.failed", { reason: error.message }), "failed");
  }
  const [view, canvas] = [$("view"), document.createElement("canvas")];
  view.srcObject = stream;
  await view.play();
  $("camera").hidden = false;
  const look = setInterval(() => {
    [canvas.width, canvas.height] = [view.videoWidth, view.videoHeight];
    const drawing = canvas.getContext("2d", { willReadFrequently: true });
    drawing.drawImage(view, 0, 0);
    try {
      const text = decodeQR(drawing.getImageData(0, 0, canvas.width, canvas.height));
      end();
      $("address").value = text;
      loadAddress(text);
    } catch {
      // No code in this picture: the next one may have it.
    }
  }, 250);
  const end = () => {
    clearInterval(look);
    for (const track of stream.getTracks()) track.stop();
    $("camera").hidden = true;
    scanning = false;
  };
  $("stop").onclick = end;
}

async function begin() {
  translate();
  $("given").reset(); // browsers restore what was entered before, also in what is folded away
  for (const what of ["bundle", "trust"]) {
    $(what).onchange = ({ target }) => {
      const [file] = target.files;
      if (file) keep(what, file.name, file, "chosen", false).then(() => picking && verifyOnce());
      // Browsers report no change when the same name is chosen again, although the file may be another by then.
      target.value = "";
    };
    $(what).disabled = false; // until now a file would have been taken without a word, and not read
  }
  $("days").oninput = $("any").onchange = forget;
  $("fetch").onclick = () => loadAddress($("address").value);
  $("scan").hidden = !navigator.mediaDevices?.getUserMedia;
  $("scan").onclick = scan;
  $("given").onsubmit = (event) => {
    event.preventDefault();
    verify();
  };
  for (const one of document.querySelectorAll("[data-language]"))
    one.onclick = () => {
      say.language = one.dataset.language;
      translate();
      if (shown) verify();
    };
  // From a passport, in the fragment, which is sent to no server: its own proof and trust file; or, from that of another
  // company, only where the trust file of this page's company is, and that the proof was saved.
  const from = new URLSearchParams(location.hash.slice(1));
  picking = from.get("pick") === "bundle";
  if (picking) {
    $("pick").hidden = false;
    $("proof").classList.add("pick");
    $("bundle").focus();
  }
  for (const what of ["bundle", "trust"]) {
    const path = from.get(what);
    if (!path?.startsWith("/passport/") || given[what]) continue;
    try {
      await load(what, new URL(path, location.origin), !picking);
    } catch (error) {
      state(say(what === "trust" ? "fetch.no_trust" : "fetch.failed", { reason: error.message }), "failed");
      break; // a trust file alone verifies nothing, and would begin to load the verifier
    }
  }
  // Disabled until now: a button that does nothing yet would mislead.
  $("go").disabled = $("fetch").disabled = false;
  verifyOnce();
}

// As soon as both files are there, unless that is being done.
function verifyOnce() {
  if (given.bundle && given.trust && !$("go").disabled) verify();
}

begin();
