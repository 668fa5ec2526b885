// Replies as video: an idle clip that loops, and over it one clip per reply.

export class ClipStage {
  #stage;
  #idle;
  #clip;
  #objectUrl = null;
  #onPlaying;
  #onBlocked;

  /**
   * `stage`: element that holds both <video>s. `onBlocked()`: the browser wants a gesture first.
   * `onFailed()`: the clip cannot be played.
   */
  constructor({ stage, idle, clip, onPlaying, onBlocked, onFailed }) {
    this.#stage = stage;
    this.#idle = idle;
    this.#clip = clip;
    this.#onPlaying = onPlaying;
    this.#onBlocked = onBlocked;
    clip.addEventListener('ended', () => this.discard());
    clip.addEventListener('error', () => {
      if (!this.playing) return;
      this.discard();
      onFailed();
    });
  }

  get playing() {
    return this.#clip.hasAttribute('src');
  }

  /** Takes a `video_mode` message. */
  setMode({ enabled, idle_clip_url: idleClipUrl }) {
    this.#stage.hidden = !enabled;
    if (enabled && idleClipUrl) {
      this.#idle.src = idleClipUrl;
      this.#idle.play().catch(() => {}); // without a gesture it shows its first frame
    } else {
      this.#idle.removeAttribute('src');
    }
    if (!enabled) this.discard();
  }

  /** Takes a `speaking_clip` message. */
  play({ mime, url, data }) {
    this.discard();
    if (data) this.#objectUrl = URL.createObjectURL(new Blob([bytesFromBase64(data)], { type: mime }));
    this.#stage.hidden = false;
    this.#clip.src = this.#objectUrl ?? url;
    this.#clip.hidden = false;
    this.#onPlaying(true);
    this.resume();
  }

  pause() {
    this.#clip.pause();
  }

  resume() {
    if (!this.playing) return;
    this.#clip.play().catch((error) => {
      if (error.name === 'NotAllowedError') this.#onBlocked();
    });
  }

  /** Drops the clip; the idle one is seen again. */
  discard() {
    if (!this.playing) return;
    this.#clip.pause();
    this.#clip.removeAttribute('src');
    this.#clip.load();
    this.#clip.hidden = true;
    if (this.#objectUrl) URL.revokeObjectURL(this.#objectUrl);
    this.#objectUrl = null;
    this.#onPlaying(false);
  }

  async setSink(deviceId) {
    if (this.#clip.setSinkId) await this.#clip.setSinkId(deviceId);
  }
}

function bytesFromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
