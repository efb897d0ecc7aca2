// A picture from the camera: a live view on the stage, and one frame of it as a file.

import { button, make } from "../shared/dom.js";

const CAMERA_ERRORS = {
  NotAllowedError: "The browser did not allow the camera. Allow it in the address bar and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};
const NO_CAMERA = "The browser gives the camera only to pages opened over https or from localhost.";

/** `take(file)` gets the picture, `fail(sentence)` what went wrong; `opened(on)` says it is live. */
export function createCamera({ take, fail, opened }) {
  const video = make("video", { autoplay: true, playsinline: true, "aria-label": "Camera" });
  video.muted = true; // as a property: the attribute only sets the default
  const shutter = button("Take picture", () => shoot(), { class: "wb-button wb-primary" });
  const node = make(
    "div",
    { class: "wb-look-camera" },
    video,
    make("div", { class: "wb-look-shutter" }, shutter, button("Cancel", () => close())),
  );
  let stream = null;
  node.hidden = true;

  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    node.hidden = true;
    opened(false);
  };
  const shoot = () => {
    const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      close();
      take(new File([blob], "camera.png", { type: "image/png" }));
    }, "image/png");
  };
  video.addEventListener("loadeddata", () => {
    shutter.disabled = false;
    shutter.focus();
  });
  return {
    node,
    close,
    async open() {
      if (!navigator.mediaDevices?.getUserMedia) return fail(NO_CAMERA);
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
      } catch (error) {
        return fail(CAMERA_ERRORS[error.name] ?? `The camera did not open: ${error.message}`);
      }
      shutter.disabled = true;
      node.hidden = false;
      opened(true);
      video.srcObject = stream;
    },
    dispose() {
      stream?.getTracks().forEach((track) => track.stop());
    },
  };
}
