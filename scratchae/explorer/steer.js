// Pointer, touch and keyboard control of the cloud.
//   mouse: moving decodes, dragging turns, a click picks
//   touch: one finger decodes, two fingers turn, a tap picks
//   keys: arrows move, Shift and arrows turn, Page up and down change the depth, Enter picks

const STILL = 6; // pixels: if a pointer moved less, it is a click
const STEP = 8; // pixels per press of an arrow key

/** Steer all clouds by gestures on one of them. Calls look() if the pointer moves, and pick for a click. */
function steer(cloud, all, { look, pick, turned }) {
  const { canvas } = cloud;
  const down = new Map(); // pressed pointers: position and distance moved

  function moveTo(x, y) {
    const cursor = [Math.max(0, Math.min(cloud.w, x)), Math.max(0, Math.min(cloud.h, y))];
    for (const one of all) one.cursor = cursor;
    look();
  }

  function turnBy(dx, dy) {
    turned({ turn: cloud.turn + 0.01 * dx, tilt: Math.max(-1.57, Math.min(1.57, cloud.tilt + 0.01 * dy)) });
  }

  function choose(x, y) {
    const point = cloud.pointAt(x, y);
    pick(point, point < 0 ? null : cloud.codes.label(point));
  }

  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY, way: 0 });
    if (down.size > 1) for (const finger of down.values()) finger.way = STILL; // two fingers are not a tap
  });

  canvas.addEventListener('pointermove', (event) => {
    const [x, y] = [event.offsetX, event.offsetY];
    const own = down.get(event.pointerId);
    if (!own) {
      moveTo(x, y);
      return;
    }
    const [dx, dy] = [x - own.x, y - own.y];
    Object.assign(own, { x, y, way: own.way + Math.hypot(dx, dy) });
    const turning = cloud.solid && (event.pointerType === 'touch' ? down.size > 1 : true);
    if (turning) turnBy(dx / down.size, dy / down.size);
    else if (down.size === 1) moveTo(x, y);
  });

  canvas.addEventListener('pointerup', (event) => {
    const own = down.get(event.pointerId);
    down.delete(event.pointerId);
    if (!own || own.way >= STILL) return;
    moveTo(own.x, own.y);
    choose(own.x, own.y);
  });
  canvas.addEventListener('pointercancel', (event) => down.delete(event.pointerId));

  canvas.addEventListener('keydown', (event) => {
    const [x, y] = cloud.cursor;
    const step = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    }[event.key];
    if (step && event.shiftKey && cloud.solid) turnBy(STEP * step[0], STEP * step[1]);
    else if (step) moveTo(x + STEP * step[0], y + STEP * step[1]);
    else if (event.key === 'Enter' || event.key === ' ') choose(x, y);
    else if (cloud.solid && ['PageUp', 'PageDown'].includes(event.key)) {
      turned({ depth: cloud.depth + (event.key === 'PageUp' ? -0.1 : 0.1) });
    } else return;
    event.preventDefault();
  });
}
