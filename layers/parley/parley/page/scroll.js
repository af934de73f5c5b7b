// Keeps the newest text in view until the reader scrolls up, and takes it up again at the end.

const NEAR = 48;

/** Follows the end of `frame`; `button` brings the reader back to it. */
export function followEnd(frame, button) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let following = true;
  let before = 0;
  const gap = () => frame.scrollHeight - frame.scrollTop - frame.clientHeight;

  frame.addEventListener("scroll", () => {
    // Only a reader scrolls up.
    const up = frame.scrollTop < before - 1;
    if (up && gap() > NEAR) following = false;
    else if (!up && gap() <= NEAR) following = true;
    before = frame.scrollTop;
    button.hidden = following || gap() <= NEAR;
  }, { passive: true });
  // Who begins to is not taken back by the next word before having come far.
  frame.addEventListener("wheel", ({ deltaY, ctrlKey }) => {
    if (deltaY < 0 && !ctrlKey && frame.scrollTop > 0) following = false;
  }, { passive: true });
  button.addEventListener("click", () => toEnd(true));

  function toEnd(smooth = false) {
    following = true;
    button.hidden = true;
    frame.scrollTo({ top: frame.scrollHeight, behavior: smooth && !calm.matches ? "smooth" : "instant" });
  }

  return {
    toEnd,
    /** After the content has changed. */
    changed() {
      if (following) toEnd();
      else button.hidden = gap() <= NEAR;
    },
    /** Do something that adds content above, and stay where the reader is. */
    keeping(action) {
      const height = frame.scrollHeight;
      const top = frame.scrollTop;
      action();
      const grown = frame.scrollHeight - height;
      before = top + grown;
      frame.scrollTop = top + grown;
    },
  };
}
