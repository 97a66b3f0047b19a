// The camera of this browser, as JPEGs: one on its way and one being made, the newest wins.

const QUALITY = 0.85;
const WANTED = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
const LONGEST = 960;

export class PageCamera {
  // `root` takes the hidden video; `send` gets each JPEG, `problem` a sentence.
  constructor(root, send, problem) {
    [this.send, this.problem] = [send, problem];
    this.canvas = document.createElement("canvas");
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true, hidden: true });
    root.append(this.video);
    this.busy = 0;
    this.running = false;
  }

  async start() {
    if (this.running) return;
    this.running = true;
    try {
      if (!navigator.mediaDevices) throw new Error("the browser gives a camera to pages of this machine or over TLS alone");
      this.video.srcObject = await navigator.mediaDevices.getUserMedia({ video: WANTED, audio: false });
      this.video.srcObject.getVideoTracks()[0].addEventListener("ended", () => {
        this.stop();
        this.problem("The camera is gone; plug it in and reload the page.");
      });
      await this.video.play();
    } catch (error) {
      this.stop();
      this.problem(REASONS[error.name] || `The camera cannot be used: ${error.message}`);
      return;
    }
    this.busy = 0;
    this.#next();
  }

  stop() {
    this.running = false;
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }

  // A picture has arrived at the other end.
  took() {
    this.busy = Math.max(0, this.busy - 1);
  }

  #next() {
    if (this.running) this.video.requestVideoFrameCallback(() => this.#frame());
  }

  #frame() {
    this.#next();
    if (!this.running || this.busy > 1) return;
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
    const [width, height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    this.canvas.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0, width, height);
    this.busy += 1;
    this.canvas.toBlob((blob) => (blob && this.running ? this.send(blob) : this.took()), "image/jpeg", QUALITY);
  }
}

const REASONS = {
  NotAllowedError: "The browser does not let this page use the camera; allow it beside the address and reload the page.",
  NotFoundError: "This browser sees no camera; plug one in and reload the page.",
  NotReadableError: "Another program uses the camera; close that one and reload the page.",
};
