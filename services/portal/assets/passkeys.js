// Asks the browser for a passkey, and puts its answer into the form.
const loaded = Date.now(), LASTS_MS = 240_000;

// What a page asks for lasts five minutes: one that was open for longer has it renewed first.
async function renew(form) {
  if (Date.now() - loaded < LASTS_MS) return;
  const code = form.elements.code?.value, token = form.elements.token.value;
  const given = code ? { method: "POST", body: new URLSearchParams({ code, token }) } : {};
  const answer = await fetch(code ? "/portal/invitation" : location.href, { ...given, cache: "no-store" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = [...page.querySelectorAll("form[data-passkey]")].find((one) => one.action === form.action);
  if (!fresh) return location.reload();
  form.dataset.passkey = fresh.dataset.passkey;
  form.elements.token.value = fresh.elements.token.value;
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button");
  const said = form.querySelector("[role=alert]");
  const able = window.PublicKeyCredential?.parseRequestOptionsFromJSON;
  if (!able) {
    said.textContent = form.dataset.unable;
    said.hidden = false;
    continue;
  }
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    said.hidden = true;
    try {
      await renew(form);
      const options = JSON.parse(form.dataset.passkey);
      const found = form.dataset.create
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.credential.value = JSON.stringify(found.toJSON());
      form.submit();
    } catch (error) {
      said.textContent = `${form.dataset.failed} ${error.name}`;
      said.hidden = false;
    }
  });
}
// An invitation's code stays behind the # of its link, which no server sees, until its holder opens the page.
const invited = document.querySelector("form[data-invited]");
if (invited && location.hash.length > 1) {
  invited.elements.code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  invited.submit();
}
