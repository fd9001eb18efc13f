// Shows times in the reader's own zone, named by its distance from UTC, with the time in UTC as their title. Without
// this file a page shows them in UTC. Pages allow it by its digest: it may not write anything but text.
{
  const UTC = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d)(:\d\d)? UTC$/;
  const two = (number) => String(Math.floor(number)).padStart(2, "0");

  // The distance differs between summer and winter, so each time has its own.
  const zoneOf = (minutes) =>
    `UTC${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;

  const local = (text) => {
    const found = UTC.exec(text);
    const at = found && new Date(`${found[1]}T${found[2]}${found[3] ?? ":00"}Z`);
    const minutes = at ? -at.getTimezoneOffset() : 0;
    if (!minutes) return text; // also for a time that there is not: its distance is no number
    const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const seconds = found[3] ? `:${two(at.getSeconds())}` : "";
    return `${day} ${two(at.getHours())}:${two(at.getMinutes())}${seconds} ${zoneOf(minutes)}`;
  };

  const localise = (root) => {
    for (const one of root.querySelectorAll("time")) {
      const text = one.textContent, shown = local(text);
      if (shown === text) continue;
      one.title = text;
      one.textContent = shown;
    }
  };

  localise(document);
  // Scripts that put something new on a page say so before they show it.
  document.addEventListener("millmark-new", (event) => localise(event.detail));
}
