/** What is loud in a sound: of a microphone or of a file, which is heard again and again. */

const BANDS = { low: [30, 250], middle: [250, 2000], high: [2000, 8000] };
const FALL = 0.85;
/** Of a level, what is left in the next moment at least. */
const BEAT = { over: 1.35, least: 0.25, apart: 250 };
/** How much louder than usual the low sounds of a beat are, how loud at least, and milliseconds to the next. */
const PRESSES = ['pointerup', 'keydown'];

export class Sound {
  levels = { low: 0, middle: 0, high: 0, all: 0 };
  #context = new AudioContext();
  #analyser = this.#context.createAnalyser();
  #bins;
  #usual = 0;
  #last = 0;
  #end = () => {};
  #wake = () => this.#context.resume();

  /** Hear the microphone. */
  static async microphone() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } }).catch((error) => {
      throw new Error(error.name === 'NotAllowedError' ? 'The microphone is not allowed here.' : 'There is no microphone here.', { cause: error });
    });
    const sound = new Sound();
    sound.#hear(sound.#context.createMediaStreamSource(stream), () => stream.getTracks().forEach((each) => each.stop()));
    return sound;
  }

  /** Play a file, again and again. */
  static async file(file) {
    const sound = new Sound();
    try {
      const source = sound.#context.createBufferSource();
      source.buffer = await sound.#context.decodeAudioData(await file.arrayBuffer());
      source.loop = true;
      sound.#hear(source, () => source.stop());
      sound.#analyser.connect(sound.#context.destination);
      source.start();
      return sound;
    } catch (error) {
      sound.#context.close();
      throw new Error(`${file.name} is no sound that this browser plays`, { cause: error });
    }
  }

  #hear(source, end) {
    this.#analyser.fftSize = 2048;
    this.#analyser.smoothingTimeConstant = 0.5;
    this.#bins = new Uint8Array(this.#analyser.frequencyBinCount);
    source.connect(this.#analyser);
    this.#end = end;
    this.#wake();
    for (const each of PRESSES) addEventListener(each, this.#wake);
  }

  /** Whether the browser lets nothing be heard: some wait until the page is pressed. */
  get sleeps() {
    return this.#context.state !== 'running';
  }

  /** Listen now; returns whether a beat begins. */
  listen(now) {
    this.#analyser.getByteFrequencyData(this.#bins);
    const width = this.#context.sampleRate / 2 / this.#bins.length;
    const loud = ([from, to]) => {
      const some = this.#bins.subarray(Math.floor(from / width), Math.ceil(to / width));
      return some.reduce((sum, each) => sum + each, 0) / some.length / 255;
    };
    const found = Object.fromEntries(Object.entries(BANDS).map(([name, band]) => [name, loud(band)]));
    found.all = (found.low + found.middle + found.high) / 3;
    for (const name of Object.keys(found)) this.levels[name] = Math.max(found[name], this.levels[name] * FALL);
    const beat = found.low > BEAT.least && found.low > this.#usual * BEAT.over && now - this.#last > BEAT.apart;
    this.#usual = 0.95 * this.#usual + 0.05 * found.low;
    if (beat) this.#last = now;
    return beat;
  }

  stop() {
    for (const each of PRESSES) removeEventListener(each, this.#wake);
    this.#end();
    this.#context.close();
  }
}
