// Puts the pieces of a streamed answer in order: (n, seq) counts, a higher n begins again, a gap means that the result must be read.

export const textOf = (result) => (result.message?.parts ?? []).map((part) => (part.type === "text" ? part.content : "")).join("");

export class InOrder {
  n = 0;
  seq = -1;
  text = "";
  gap = false;

  constructor(show) {
    this.show = show;
  }

  take(delta) {
    if (delta.n < this.n) return; // of a call that was given up
    if (delta.n > this.n) this.beginAgain(delta.n);
    if (this.gap || delta.seq <= this.seq) return; // seen before
    if (delta.seq !== this.seq + 1) {
      this.gap = true;
      return;
    }
    this.seq = delta.seq;
    if (delta.type === "text" && delta.content) {
      this.text += delta.content;
      this.show(delta.content);
    }
  }

  beginAgain(n) {
    if (this.text) this.show("\n[another call answers]\n");
    Object.assign(this, { n, seq: -1, text: "", gap: false });
  }

  // Only the result is final: what it says replaces what was shown, where they differ.
  finish(result) {
    const whole = textOf(result);
    if (whole !== this.text) this.show(`${this.text ? "\n[as it was in the end]\n" : ""}${whole}`);
    this.show("\n");
  }
}
