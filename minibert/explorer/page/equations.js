// The equations of the stations, in MathML: browsers set it without any library.

const i = (text) => `<mi>${text}</mi>`;
const o = (text) => `<mo>${text}</mo>`;
const n = (text) => `<mn>${text}</mn>`;
const name = (text) => `<mi mathvariant="normal">${text}</mi>`;
const sub = (base, below) => `<msub>${base}<mrow>${below}</mrow></msub>`;
const sup = (base, above) => `<msup>${base}<mrow>${above}</mrow></msup>`;
const both = (base, below, above) => `<msubsup>${base}<mrow>${below}</mrow><mrow>${above}</mrow></msubsup>`;
const over = (top, bottom) => `<mfrac><mrow>${top}</mrow><mrow>${bottom}</mrow></mfrac>`;
const root = (inside) => `<msqrt>${inside}</msqrt>`;
const sum = (below) => `<munder><mo>∑</mo><mrow>${below}</mrow></munder>`;
const call = (f, inside) => `${name(f)}${o("(")}${inside}${o(")")}`;
const line = (...parts) => `<math display="block"><mrow>${parts.join("")}</mrow></math>`;

const times = o("⁢");
const q = sub(i("q"), i("i"));
const k = sub(i("k"), i("j"));
const v = sub(i("v"), i("j"));
const s = sub(i("s"), i("i") + i("j"));
const a = sub(i("a"), i("i") + i("j"));

const linear = (left, matrix, input, index) =>
  left + o("=") + sup(i("W"), i(matrix)) + times + sub(i("x"), i(index)) + o("+") + sup(i("b"), i(matrix));

export const EQUATIONS = {
  pieces: [line(name("word"), o("→"), sub(i("w"), n(1)), o(","), sub(i("w"), n(2)), o(","), o("…"), o("∈"), i("V"))],
  embeddings: [
    line(
      sub(i("e"), i("t")),
      o("="),
      sub(i("W"), sub(i("w"), i("t"))),
      o("+"),
      sub(i("G"), sub(i("s"), i("t"))),
      o("+"),
      sub(i("P"), sub(i("p"), i("t"))),
    ),
    line(sub(i("x"), i("t")), o("="), call("LayerNorm", sub(i("e"), i("t")))),
  ],
  attention: [
    line(
      linear(q, "Q", "x", "i"),
      o(","),
      "<mspace width='1em'/>",
      linear(k, "K", "x", "j"),
      o(","),
      "<mspace width='1em'/>",
      linear(v, "V", "x", "j"),
    ),
    line(
      s,
      o("="),
      over(q + o("·") + k, root(i("K"))),
      "<mspace width='1.5em'/>",
      a,
      o("="),
      over(sup(i("e"), s), sum(i("j′")) + sup(i("e"), sub(i("s"), i("i") + i("j′")))),
    ),
    line(sub(i("c"), i("i")), o("="), sum(i("j")), a, times, v),
  ],
  switches: [line(both(i("c"), i("i"), i("h")), o("←"), n(0))],
  stream: [
    line(i("y"), o("="), call("LayerNorm", i("x") + o("+") + call("Attention", i("x")))),
    line(sup(i("x"), o("′")), o("="), call("LayerNorm", i("y") + o("+") + call("FeedForward", i("y")))),
    line(
      name("moved"),
      o("="),
      over(n(1), n(2)),
      sum(i("w")),
      o("|"),
      both(i("p"), i("w"), name("now")),
      o("−"),
      both(i("p"), i("w"), name("before")),
      o("|"),
    ),
  ],
  answer: [
    line(
      i("z"),
      o("="),
      i("W"),
      times,
      call("LayerNorm", i("ϕ") + o("(") + i("A") + times + i("x") + o("+") + i("a") + o(")")),
      o("+"),
      i("b"),
    ),
    line(
      sub(i("p"), i("w")),
      o("="),
      over(sup(i("e"), sub(i("z"), i("w"))), sum(i("w′")) + sup(i("e"), sub(i("z"), i("w′")))),
    ),
  ],
  pair: [
    line(i("u"), o("="), call("tanh", i("P") + times + sub(i("x"), name("[CLS]")) + o("+") + i("p"))),
    line(
      call("p", name("B follows A")),
      o("="),
      over(sup(i("e"), sub(i("z"), n(0))), sup(i("e"), sub(i("z"), n(0))) + o("+") + sup(i("e"), sub(i("z"), n(1)))),
      o(","),
      "<mspace width='1em'/>",
      i("z"),
      o("="),
      i("N"),
      times,
      i("u"),
      o("+"),
      i("n"),
    ),
  ],
  classes: [
    line(
      i("z"),
      o("="),
      i("C"),
      times,
      i("u"),
      o("+"),
      i("c"),
      o(","),
      "<mspace width='1em'/>",
      sub(i("p"), i("c")),
      o("="),
      over(sup(i("e"), sub(i("z"), i("c"))), sum(i("c′")) + sup(i("e"), sub(i("z"), i("c′")))),
    ),
  ],
};
