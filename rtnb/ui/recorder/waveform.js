/**
 * Draw a recording as bars, as wide as the canvas is shown.
 * @param {HTMLCanvasElement} canvas @param {Float32Array} samples @param {number} played  the share drawn as played, 0 … 1
 */
function drawWaveform(canvas, samples, played) {
  const width = Math.max(120, Math.round(canvas.clientWidth || 480));
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = 44 * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const bars = Math.floor(width / 4);
  const style = getComputedStyle(canvas);
  const peakOf = (from, to) => {
    let peak = 0;
    for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(samples[i]));
    return peak;
  };
  const top = Math.max(0.02, peakOf(0, samples.length));
  for (let bar = 0; bar < bars; bar++) {
    const peak = peakOf(Math.floor((bar * samples.length) / bars), Math.floor(((bar + 1) * samples.length) / bars));
    const height = Math.max(2, (peak / top) * 40);
    pen.fillStyle = style.getPropertyValue(bar / bars < played ? "--rtnb-accent" : "--rtnb-dim");
    pen.globalAlpha = bar / bars < played ? 1 : 0.55;
    pen.fillRect(bar * 4, 22 - height / 2, 2.5, height);
  }
}
