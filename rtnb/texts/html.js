// The player of a recording, and the one voice of a page. Sent with each output that has a player, as an inline handler
// (lines of comment and indentation are taken off, see `html.py`), and in front of each widget's module.
//
// The voice: whatever sounds in the page is an object {hush(), start(), sounds()}.
//   rtnbVoice.take(it)    the user started it, or it is a call: it sounds now, and what sounded before is hushed
//   rtnbVoice.wait(it)    it starts by itself: `it.start()` follows once nothing sounds (at once, where nothing does)
//   rtnbVoice.leave(it)   it is over, or gone: the next that waits is started
// An audio element of the page takes the voice when it plays, whoever made it. Colab shows each output in a frame of its
// own: frames share one voice by a lock of their address, which a frame that is removed gives back. Plain http has none.
const rtnbVoice = (window.__rtnbVoice ??= (() => {
  const locks = window !== top && navigator.locks;
  let holder, free, asked, queue = [];
  const drop = (it) => (queue = queue.filter((other) => other !== it));
  const request = (steal, then) => {
    if (!locks) return then();
    const granted = () => new Promise((end) => {
      free = end;
      then();
    });
    // Another frame stole it; or this one has no address of its own, thus no locks.
    locks.request('rtnb-voice', { steal }, granted).catch(({ name }) => (name === 'AbortError' ? lost() : then()));
  };
  const settle = () => holder || free?.();
  const begin = () => {
    asked = false;
    holder ??= queue.shift();
    holder ? holder.start() : settle();
  };
  const ask = () => {
    if (asked || !queue.length || holder?.sounds()) return;
    asked = true;
    if (!holder) return request(false, begin);
    holder = null;
    begin();
  };
  const end = () => {
    holder = null;
    settle();
    ask();
  };
  const lost = () => {
    const before = holder;
    end();
    before?.hush();
  };
  const voice = {
    take(it) {
      drop(it);
      const before = holder;
      holder = it;
      if (!before) request(true, settle);
      else if (before !== it) before.hush();
    },
    wait(it) {
      queue.push(it);
      ask();
    },
    leave(it) {
      drop(it);
      if (holder === it) end();
    },
  };
  const of = (audio) => {
    const it = { hush: () => audio.pause(), sounds: () => !audio.paused };
    // It pauses at its end, and where it is taken out of the page, too.
    audio.addEventListener('pause', () => voice.leave(it));
    return it;
  };
  // Of the window: by itself, in an inline handler, it would be that of the handler's element.
  window.addEventListener('play', ({ target }) => voice.take((target.rtnbVoice ??= of(target))), true);
  return voice;
})());

// Build the controls of one player. `audio` is an audio element or what is like one; `others` are controls in the place
// of speed and download. Returned is what draws it as it stands, or with another waveform (an svg).
function rtnbPlayer(figure, audio, others) {
  const [play, pause, place, speed, download] = JSON.parse(figure.dataset.say);
  const name = (it, title) => {
    it.title = title;
    it.setAttribute('aria-label', title);
    return it;
  };
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const all = () => (isFinite(audio.duration) && audio.duration) || 0;
  // What is named as 11.0 s is so here, too.
  const clock = (s) => Math.floor((s += 0.05) / 60) + ':' + String(Math.floor(s % 60)).padStart(2, '0');
  const button = make('button', { onclick: () => (audio.paused ? audio.play() : audio.pause()) });
  const wave = name(make('div', { className: 'wave', tabIndex: 0 }), place);
  wave.setAttribute('role', 'slider');
  const time = make('span', { className: 'time' });
  const rate = name(make('select', { onchange: () => (audio.playbackRate = rate.value) }), speed);
  for (const it of [0.75, 1, 1.25, 1.5, 2]) rate.add(new Option(it + '×', it, it == 1, it == 1));
  const link = name(make('a', { href: '#', download: figure.dataset.file, textContent: '↓' }), download);
  link.onclick = () => (link.href = audio.src);
  const draw = (svg) => {
    if (svg) wave.innerHTML = svg + svg;
    const at = Math.min(audio.currentTime, all());
    time.textContent = clock(at) + ' / ' + clock(all());
    wave.style.setProperty('--at', at / all() || 0);
    const values = { max: all(), now: at, text: time.textContent };
    for (const key in values) wave.setAttribute('aria-value' + key, values[key]);
    button.className = audio.paused ? '' : 'on';
    name(button, audio.paused ? play : pause);
  };
  const seek = (to) => {
    audio.currentTime = Math.max(0, Math.min(all(), to));
    draw();
  };
  wave.onpointerdown = wave.onpointermove = (event) => {
    const { left, width } = wave.getBoundingClientRect();
    if (event.buttons) seek((all() * (event.clientX - left)) / width);
  };
  figure.onkeydown = (event) => {
    event.stopPropagation();
    if (event.target !== wave) return;
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -99, End: 99 }[event.key];
    if (step) seek(audio.currentTime + step * Math.min(5, all() / 20));
    else if (event.key === ' ') button.click();
    else return;
    event.preventDefault();
  };
  for (const what of ['play', 'pause', 'timeupdate', 'ended', 'durationchange']) audio.addEventListener(what, () => draw());
  const bar = make('div', { className: 'bar' });
  bar.append(button, wave, time, ...(others ?? [rate, link]));
  figure.append(bar);
  figure.classList.add('on');
  draw(atob(figure.querySelector('img')?.src.split(',')[1] ?? ''));
  return draw;
}

// Build every player of an output whose audio this page can play.
function rtnbPlayers(root) {
  for (const figure of root.querySelectorAll('.rtnb-audio:not(.on)')) {
    const audio = figure.querySelector('audio');
    const build = () => figure.matches('.on') || rtnbPlayer(figure, audio);
    if (audio.readyState) build();
    else audio.onloadedmetadata = build;
  }
}
