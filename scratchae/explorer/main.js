// The page: it creates a panel for each run and connects the controls with what they show.

let content, panels, clouds, path, pad, digits, unseen;

/** [{ink, label, name}, ...] from bytes. */
function imagesOf({ count, pixels, labels }, labelNames) {
  return Array.from({ length: count }, (_, i) => ({
    label: labels ? labels[i] : null,
    name: labels ? withArticle(labelNames[labels[i]]) : named(null),
    ink: Float32Array.from(pixels.subarray(i * SIDE ** 2, (i + 1) * SIDE ** 2), (v) => v / 255),
  }));
}

/** Encode and decode an image in every run, and show the results. */
function take(ink, words) {
  paintDigit($('seen'), ink);
  const found = panels.map((panel) => panel.take(ink, words));
  $('error').textContent = found.map(({ error, near }, i) => {
    const who = panels.length > 1 ? `${panels[i].name}: mean` : 'Mean';
    return `${who} squared error ${number(error, 4)}${near ? `; the nearest code is of ${near}` : ''}.`;
  }).join(' ');
  drawClouds();
}

function drawNothing() {
  $('error').textContent = 'Draw something.';
  paintDigit($('seen'), new Float32Array(SIDE * SIDE));
  for (const panel of panels) panel.forget();
  drawClouds();
}

function drawClouds() {
  for (const panel of panels) panel.drawCloud(path.ends);
}

/** Decode the codes at the pointer in every run. */
function probeAll() {
  for (const panel of panels) {
    if (!panel.cloud) continue;
    panel.probe();
    panel.cloud.draw();
  }
}

/** Choose an end of the path: a point of the cloud, or the place under the pointer if it is -1. */
function pick(point, label) {
  const codes = panels.map(({ cloud }) => {
    if (!cloud) return null;
    return point < 0 ? cloud.codeAt(...cloud.cursor) : cloud.codes.code(point);
  });
  path.pick(codes, label);
}

/** Create one button for each image. */
function imageButtons(parent, images, what, chosen) {
  for (const image of images) {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-label', `${what} ${image.name}`);
    button.append(digitCanvas(image.ink));
    button.addEventListener('click', () => chosen(image));
    parent.append(button);
  }
}

function legend() {
  for (const [label] of clouds[0].middles) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = names[label];
    button.setAttribute('aria-pressed', 'false');
    button.setAttribute('aria-label', `Show only ${names[label]}`);
    button.style.setProperty('--own', `var(--digit-${label})`);
    button.addEventListener('click', () => {
      for (const { shown } of clouds) if (!shown.delete(label)) shown.add(label);
      button.setAttribute('aria-pressed', clouds[0].shown.has(label));
      drawClouds();
    });
    $('legend').append(button);
  }
}

function setUpClouds() {
  const look = onceAFrame(probeAll);
  const solid = clouds.filter((cloud) => cloud.solid);
  const sliders = solid.length ? ['turn', 'tilt', 'depth'] : [];
  const turned = (change) => {
    for (const cloud of solid) Object.assign(cloud, change);
    if (!solid.length) return;
    const { turn, tilt, depth } = solid[0];
    const angle = ((turn + Math.PI) % (2 * Math.PI) + 2 * Math.PI) % (2 * Math.PI) - Math.PI;
    const now = { turn: (angle * 180) / Math.PI, tilt: (tilt * 180) / Math.PI, depth };
    for (const id of sliders) $(id).value = now[id];
    look();
  };
  for (const cloud of clouds) steer(cloud, clouds, { look, pick, turned });
  for (const id of sliders) {
    $(id).addEventListener('input', () => {
      const value = id === 'depth' ? Number($(id).value) : ($(id).value * Math.PI) / 180;
      for (const cloud of solid) cloud[id] = value;
      look();
    });
  }
  turned({});
  $('sliders').hidden = $('turn-keys').hidden = !solid.length;
  const planes = clouds.filter(({ plane }) => plane);
  $('planes').hidden = !planes.length;
  $('plane').addEventListener('change', () => {
    for (const { plane } of planes) plane.shown = $('plane').checked;
    drawClouds();
  });
  $('how').textContent = clouds.length > 1 ? 'The pointer is at the same place in both.' : '';
  if (solid.length) $('how').textContent += ' Drag, or two fingers, turn the cloud.';
  for (const { codes } of clouds) {
    if (codes.width > 3) {
      $('how').textContent += ` Of ${codes.width} numbers you see the first 3 principal axes, ${Math.round(100 * codes.share)} % of the variance.`;
    } else if (codes.width === 1) $('how').textContent += ' The code lies to the right; each digit has a row.';
  }
  legend();
  for (const cloud of clouds) cloud.resize();
  probeAll();
}

function sizeAll() {
  readTheme();
  for (const panel of panels) panel.resize();
}

/** The title, and one sentence about each run. */
function introduce() {
  const shape = content.runs[0].codeShape.join(' × ');
  const one = `Inside a code of ${shape} number${shape === '1' ? '' : 's'}`;
  $('title').textContent = panels.length > 1 ? panels.map(({ name }) => name).join(' beside ') : one;
  $('about').textContent = content.runs.map((run) => {
    const error = run.error === null ? '' : `, test loss ${run.error}`;
    return `${run.model}, trained on ${run.data} for ${run.epochs} epoch${run.epochs === 1 ? '' : 's'}${error}.`;
  }).join(' ');
  document.body.classList.toggle('pictures', !clouds.length);
  document.body.classList.toggle('two', panels.length > 1);
  $('noise').hidden = !panels.some(({ posterior }) => posterior);
}

function setUpImages() {
  const half = Math.ceil(digits.length / 2);
  const takeOne = (from) => ({ ink, name }) => {
    pad.show(ink);
    take(ink, `${name} ${from}`);
  };
  imageButtons($('samples'), digits.slice(0, half), 'Take', takeOne('from the data'));
  imageButtons($('unseen'), unseen, 'Take', takeOne('never seen in training'));
  $('unseen-title').textContent = `or ${content.unseen.what}, which ${panels.length > 1 ? 'the networks have' : 'the network has'} never seen`;
  imageButtons($('others'), digits.slice(half), 'Walk to or from', ({ ink, label, name }) => {
    path.pick(panels.map((panel) => panel.encode(ink)), label);
    for (const panel of panels) {
      panel.encoderView.draw();
      panel.say('encoder', `${name} from the data`);
    }
  });
  for (const { ink, label } of [digits[half] ?? digits[0], digits.at(-1)]) {
    path.pick(panels.map((panel) => panel.encode(ink)), label);
  }
  const first = digits[Math.min(3, digits.length - 1)];
  if (clouds.length) setUpClouds();
  takeOne('from the data')(first);
}

async function setUp() {
  readTheme();
  content = await unpack(JSON.parse($('content').textContent));
  names = content.names;
  digits = imagesOf(content.digits, names);
  unseen = imagesOf(content.unseen, content.unseen.names);
  panels = content.runs.map((run, i) => new Panel(run, i));
  clouds = panels.map(({ cloud }) => cloud).filter(Boolean);
  path = new Path(panels, (words) => {
    for (const panel of panels) panel.showDecoder(words);
    drawClouds();
  });
  pad = new Pad($('pad'), (ink) => (ink ? take(ink, 'what you drew') : drawNothing()));
  $('clear').addEventListener('click', () => pad.clear(true));
  introduce();
  setUpImages();
  window.addEventListener('resize', onceAFrame(sizeAll));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', sizeAll);
  document.body.dataset.ready = 'yes';
}

setUp();
