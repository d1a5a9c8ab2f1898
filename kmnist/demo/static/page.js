// A sheet on which one draws or lays a picture, and what the network says about it. Everything done can be undone.
const find = (selector) => document.querySelector(selector);
const [paper, canvas, photo, undo, clear] = [".paper", "canvas", ".paper img", "#undo", "#clear"].map(find);
const [hint, answer, spoken] = [".hint", ".answer", ".spoken"].map(find);
const mostBytes = Number(find("[data-most-bytes]").dataset.mostBytes);
const pen = canvas.getContext("2d", { alpha: false }); // what is transparent takes twice as long to read
const PAUSE = 50; // milliseconds between answers while one draws
const HINT = "Draw a character, or drop, paste or choose a picture of one.";

const steps = []; // what was done: {stroke: Path2D}, {picture: Blob} or {}, a clearing
let stroke = null; // while the pen is down
let changes = 0; // of the sheet
let asking = null; // the AbortController of a request that is under way

pen.fillStyle = "white";
pen.lineWidth = 44;
pen.lineCap = pen.lineJoin = "round";

// What is on the sheet: the strokes since it was last cleared, or a picture on which nothing was drawn.
function sheet() {
  const since = steps.findLastIndex((step) => !step.stroke);
  const strokes = steps.slice(since + 1).map((step) => step.stroke);
  return { strokes, picture: strokes.length ? undefined : steps[since]?.picture };
}

function paint() {
  const { strokes, picture } = sheet();
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (const path of strokes) pen.stroke(path);
  if (photo.shown !== picture) {
    URL.revokeObjectURL(photo.src);
    photo.shown = picture;
    if (picture) photo.src = URL.createObjectURL(picture);
  }
  photo.hidden = !picture;
  undo.disabled = !steps.length;
  clear.disabled = !strokes.length && !picture;
}

// Whatever is done ends what was asked about the sheet as it was before.
function changed() {
  asking?.abort();
  paint();
  ask();
}

function take(step) {
  steps.push(step);
  changed();
}

// One request at a time, about the newest sheet: answers come as fast as they are given, and never out of order.
async function ask() {
  changes++;
  if (asking) return;
  for (let about; about !== changes; await new Promise((resolve) => setTimeout(resolve, PAUSE))) {
    about = changes;
    asking = new AbortController();
    await look(asking.signal);
  }
  asking = null;
  if (!stroke && !answer.hidden) spoken.textContent = find(".best").innerText;
}

async function look(signal) {
  const { strokes, picture } = sheet();
  if (!strokes.length && !picture) return say(HINT);
  const fail = (words) => say(picture ? `${picture.name}: ${words}` : words);
  if (picture?.size > mostBytes) return fail(`a picture may have ${mostBytes / 1e6} MB at most; shrink it`);
  const content = picture ?? (await new Promise((resolve) => canvas.toBlob(resolve)));
  answer.ariaBusy = "true";
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const body = await content.arrayBuffer();
    const response = await fetch("answer", { method: "POST", headers, body, signal });
    if (response.ok) show(await response.json());
    else fail(await response.text());
  } catch (error) {
    if (error.name === "NotReadableError" || error.name === "NotFoundError") fail("cannot be read");
    else if (error.name !== "AbortError") say("No answer. Is kmnist demo still running?");
  } finally {
    answer.ariaBusy = "false";
  }
}

function say(words) {
  hint.textContent = spoken.textContent = words;
  hint.hidden = false;
  answer.hidden = true;
}

const percent = (probability) => `${(probability * 100).toFixed(1)} %`;

function show({ candidates, unsure, seen }) {
  const [best] = candidates;
  find(".kana").textContent = best.glyph;
  find(".kana").classList.toggle("word", best.text === best.glyph);
  find(".best b").textContent = best.text === best.glyph ? "" : best.text;
  find(".best span").textContent = percent(best.probability) + (unsure ? ", unsure" : "");
  find("figure img").src = seen;
  find("table").replaceChildren(...candidates.map(row));
  hint.hidden = true;
  answer.hidden = false;
}

function row({ glyph, text, probability }) {
  const row = document.createElement("tr");
  const cell = (words) => row.appendChild(document.createElement("td")).append(words);
  cell(glyph);
  row.firstChild.lang = "ja";
  cell(text === glyph ? "" : text);
  const bar = document.createElement("i");
  bar.style.setProperty("--share", probability);
  cell(bar);
  cell(percent(probability));
  return row;
}

function drawTo(event) {
  const frame = canvas.getBoundingClientRect();
  const scale = canvas.width / frame.width;
  stroke.lineTo((event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale);
}

canvas.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || event.button !== 0) return; // a second finger, the right button
  canvas.setPointerCapture(event.pointerId); // the stroke goes on beyond the rim
  stroke = new Path2D();
  drawTo(event);
  drawTo({ clientX: event.clientX + 0.1, clientY: event.clientY }); // a line of no length would leave no dot
  take({ stroke });
});
canvas.addEventListener("pointermove", (event) => {
  if (!stroke || !event.isPrimary) return;
  event.getCoalescedEvents?.().forEach(drawTo); // which browsers have on this computer and over HTTPS only
  drawTo(event);
  paint();
  ask();
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    if (!stroke || !event.isPrimary) return;
    stroke = null;
    ask();
  });
}

function back() {
  stroke = null;
  steps.pop();
  changed();
}

undo.addEventListener("click", back);
clear.addEventListener("click", () => take({}));
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.key.toLowerCase() !== "z" || !steps.length) return;
  event.preventDefault();
  back();
});

photo.addEventListener("error", () => (photo.hidden = true)); // the answer says what is wrong with it

function takeFrom(files) {
  if (files.length) take({ picture: files[0] });
  else say("That is no picture.");
}

for (const input of document.querySelectorAll("input")) {
  input.addEventListener("change", () => {
    if (input.files.length) takeFrom(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("paste", (event) => takeFrom(event.clipboardData.files));
for (const drag of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(drag, (event) => {
    event.preventDefault(); // the browser would open the picture in place of the page
    paper.classList.toggle("over", drag === "dragover");
    if (drag === "drop") takeFrom(event.dataTransfer.files);
  });
}

paint();
say(HINT);
