// Draws where the pointer goes. Asks the network about the newest drawing as soon as it has answered about the last.
const canvas = element.querySelector("canvas");
const answer = element.querySelector(".answer");
const pen = canvas.getContext("2d");
let before = null; // where the pointer was; null while it does not draw
let changed = false;
let asking = false;

pen.lineWidth = 22;
pen.lineCap = pen.lineJoin = "round";

async function ask() {
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    try {
      answer.innerHTML = await server.look(canvas.toDataURL());
    } catch {
      answer.innerHTML = '<p class="hint">No answer. Is kmnist demo still running?</p>';
    }
  }
  asking = false;
}

function lineTo(event) {
  const frame = canvas.getBoundingClientRect();
  const scale = canvas.width / frame.width;
  const here = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
  pen.beginPath();
  pen.moveTo(...(before ?? [here[0] - 0.1, here[1]])); // a line of no length would leave no dot
  pen.lineTo(...here);
  pen.stroke();
  before = here;
  ask();
}

canvas.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || event.button !== 0) return; // a second finger, the right button
  canvas.setPointerCapture(event.pointerId); // the stroke goes on beyond the rim
  lineTo(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (before && event.isPrimary) lineTo(event);
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    if (event.isPrimary) before = null;
  });
}
element.querySelector("button").addEventListener("click", () => {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  ask();
});
