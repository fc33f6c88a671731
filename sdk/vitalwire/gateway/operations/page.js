// Shows what status.json and waves/DEVICE.json say, once a second. All text goes in as text, never as markup.
"use strict";

let chosen = null;
const $ = (id) => document.getElementById(id);

function ago(seconds) {
  if (seconds < 2) return "now";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  return `${Math.round(seconds)} s ago`;
}

function bytes(count) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])
    if (count >= size) return `${(count / size).toPrecision(3)} ${unit}`;
  return `${count} B`;
}

// Fill a table's body; a cell is a text, or {text, kind: class} or {node}.
function fill(id, rows, none) {
  const body = document.querySelector(`#${id} tbody`);
  const head = [...document.querySelectorAll(`#${id} th`)];
  body.replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, place) => {
      const td = row.insertCell();
      td.className = head[place].className;
      if (cell && cell.node) td.append(cell.node);
      else if (cell && cell.kind !== undefined) { td.textContent = cell.text; if (cell.kind) td.classList.add(cell.kind); }
      else td.textContent = cell ?? "";
    });
    return row;
  }));
  if (!rows.length) {
    const td = body.insertRow().insertCell();
    td.colSpan = head.length;
    td.className = "none";
    td.textContent = none;
  }
}

function chooser(device) {
  const button = document.createElement("button");
  button.textContent = device.name;
  button.title = device.thumbprint;
  button.setAttribute("aria-pressed", String(device.thumbprint === chosen));
  button.addEventListener("click", () => { chosen = device.thumbprint; refresh(); });
  return { node: button };
}

function show(status) {
  $("since").textContent = `running since ${new Date(status.started * 1000).toLocaleString()}`;
  if (chosen === null && status.devices.length) chosen = status.devices[0].thumbprint;
  fill("devices", status.devices.map((d) => [
    chooser(d),
    // in a pause of its sensors a device tells its status only, at least once an hour
    { text: ago(status.now - d.seen) + (d.resting ? ", resting" : ""), kind: status.now - d.seen > (d.resting ? 3660 : 60) ? "bad" : "" },
    d.frames.toLocaleString(),
    { text: d.missing.toLocaleString(), kind: d.missing ? "bad" : "" },
    d.trust,
    d.battery_mv ? `${(d.battery_mv / 1000).toFixed(2)} V` : "",
  ]), "No frame has come yet.");
  fill("sinks", Object.entries(status.sinks).map(([name, s]) => [
    name,
    { text: s.why ? `${s.state}: ${s.why}` : s.state, kind: s.state === "up" ? "good" : ["opening", "ready"].includes(s.state) ? "" : "bad" },
    (s.delivered ?? 0).toLocaleString(),
    (s.waiting ?? 0).toLocaleString(),
    { text: (s.dead ?? 0).toLocaleString(), kind: s.dead ? "bad" : "" },
    s.lag_s === undefined ? "" : s.lag_s < 1 ? `${Math.round(s.lag_s * 1000)} ms` : `${s.lag_s.toFixed(1)} s`,
  ]), "None.");
  fill("sources", Object.entries(status.sources).map(([name, peers]) => [
    name, { text: [peers.join(", ") || "nobody", status.down[name]].filter(Boolean).join("; "), kind: status.down[name] ? "bad" : "" },
  ]), "None yet.");
  fill("troubles", status.troubles.map((t) => [
    new Date(t.time * 1000).toLocaleTimeString(), { text: t.what, kind: "bad" }, t.source, t.device,
  ]), "Nothing.");
  if (status.spool) {
    $("spool").value = status.spool.used / status.spool.size;
    $("spool-text").textContent =
      `${bytes(status.spool.used)} of ${bytes(status.spool.size)}, ${status.spool.entries.toLocaleString()} entries` +
      (status.spool.suspects ? `, ${status.spool.suspects.toLocaleString()} frames in quarantine` : "");
  }
}

function draw(canvas, values) {
  const scale = window.devicePixelRatio || 1;
  const width = (canvas.width = canvas.clientWidth * scale), height = (canvas.height = canvas.clientHeight * scale);
  const real = values.filter((v) => v !== null);
  const least = Math.min(...real), span = Math.max(...real) - least || 1, pen = canvas.getContext("2d");
  pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--wave");
  pen.lineWidth = scale;
  pen.beginPath();
  let drawing = false;
  values.forEach((value, place) => {
    if (value === null) { drawing = false; return; }
    const x = (place / Math.max(1, values.length - 1)) * width, y = height * (0.95 - (0.9 * (value - least)) / span);
    if (drawing) pen.lineTo(x, y); else pen.moveTo(x, y);
    drawing = true;
  });
  pen.stroke();
}

function wave(each) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const canvas = document.createElement("canvas"), name = document.createElement("span"), range = document.createElement("span");
  const real = each.values.filter((v) => v !== null);
  name.textContent = each.name;
  range.textContent = real.length
    ? `${Math.min(...real).toPrecision(4)} to ${Math.max(...real).toPrecision(4)} ${each.unit === "1" ? "" : each.unit}` : "no valid samples";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${each.name}, ${range.textContent}`);
  caption.append(name, range);
  figure.append(caption, canvas);
  return [figure, () => draw(canvas, each.values)];
}

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

async function refresh() {
  try {
    show(await get("status.json"));
    if (chosen !== null) {
      const waves = (await get(`waves/${chosen}.json`)).map(wave);
      if (waves.length) {
        $("waves").replaceChildren(...waves.map(([figure]) => figure));
        waves.forEach(([, paint]) => paint());
      } else {
        const none = document.createElement("p");
        none.className = "none";
        none.textContent = "No waveform of this device can be shown: none came yet, or they are encrypted.";
        $("waves").replaceChildren(none);
      }
    }
    $("lost").hidden = true;
  } catch {
    $("lost").hidden = false;
  }
}

refresh();
setInterval(refresh, 1000);
