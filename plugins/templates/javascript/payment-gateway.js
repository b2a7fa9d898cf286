// Payments through the Counter Bank, which does not exist: a plain HTTP interface as small banks have them. A payment
// is created under the id of the host, which is its idempotency key, too: sent again, it pays once. The keys
// of the bank are filled in by the host while it sends, and used by its vault; this code never sees them.

import vault from "altyn:billing/vault@0.1.0";

const BANK = "api.counter-bank.example";

// The interpreter takes and gives whole numbers as Number, exact up to 2^53 only; what it cannot hold is refused.
function exact(number) {
  if (Number.isSafeInteger(number)) return number;
  throw { tag: "unsupported", val: `${number} is too large to be counted exactly` };
}

// Amounts in major units, with all decimals of the currency: "590.00".
function major(minor, exponent) {
  const digits = String(exact(minor)).padStart(exponent + 1, "0");
  return exponent === 0 ? digits : `${digits.slice(0, -exponent)}.${digits.slice(-exponent)}`;
}

// The way back; null for what is no amount, or too large.
function minor(text, exponent) {
  const [, whole, part] = /^(\d{1,15})(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined || /[^0]/.test((part ?? "").slice(exponent))) return null;
  const amount = Number(whole + (part ?? "").slice(0, exponent).padEnd(exponent, "0"));
  return Number.isSafeInteger(amount) ? amount : null;
}

// Text and UTF-8; the interpreter brings neither TextEncoder nor TextDecoder.
const bytes = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (letter) => letter.charCodeAt(0));
const escaped = (byte) => `%${byte.toString(16).padStart(2, "0")}`;
const text = (bytes) => decodeURIComponent(Array.from(bytes, escaped).join(""));

// Whether a digest is the right one. What the vault refuses is a fault, which says which secret is missing.
function matches(order, presented) {
  try {
    return vault.matches(order, presented);
  } catch ({ payload: { tag, val } }) {
    throw { tag: { "unknown-secret": "misconfigured", invalid: "invalid" }[tag] ?? "other", val };
  }
}

// A payment or a refund as the bank tells of it; null for anything else.
function told(body) {
  try {
    const { number, id, state, amount, currency, page = "", reason = "" } = JSON.parse(text(body));
    const all = { number, id, state, amount, currency, page, reason };
    return Object.values(all).every((value) => typeof value === "string") ? all : null;
  } catch {
    return null;
  }
}

const outcome = (verdict, more) => ({
  verdict, externalId: "", amount: null, fee: null, savedMethod: null, details: [], ...more,
});
const done = (verdict, more) => ({ tag: "done", val: outcome(verdict, more) });
const unknown = (why) => done({ tag: "unknown", val: why });
const notAttempted = (why) => done({ tag: "not-attempted", val: why });
const pending = { tag: "pending", val: null };
const header = (name, ...value) => ({ name, value });
const plain = (val) => ({ tag: "text", val });

function unconfigured({ config }) {
  if (["", "{}"].includes(config.replaceAll(/\s/g, ""))) return;
  throw { tag: "misconfigured", val: "this plugin has no settings; bind it with {}" };
}

function send(method, path, body, state) {
  const bearer = { tag: "filled", val: [{ tag: "text", val: "Bearer " }, { tag: "secret", val: "api-key" }] };
  const json = body === null ? [] : [header("content-type", plain("application/json"))];
  return {
    tag: "send",
    val: {
      request: {
        method,
        url: [plain(`https://${BANK}/v1/${path}`)],
        headers: [...json, header("authorization", bearer), header("idempotency-key", plain(state.id))],
        body: body === null ? [] : [plain(JSON.stringify(body))],
      },
      // By our key the bank does it once.
      repetition: "harmless",
      captures: [],
      continuation: bytes(JSON.stringify(state)),
    },
  };
}

// What is remembered while the bank answers.
const asked = (what, id, { minor, currency }, exponent) => ({ what, id, minor: exact(minor), currency, exponent });

function stands({ exponent }, { number, state, amount, currency, page, reason }) {
  const named = (verdict, more) => outcome(verdict, { externalId: number, ...more });
  if (state === "new" && page.startsWith("https://")) {
    return named({ tag: "requires-action", val: { tag: "redirect", val: page } });
  }
  if (state === "new" || state === "processing") return named(pending);
  if (state === "failed") {
    const retryable = reason === "insufficient-funds";
    return named({ tag: "declined", val: { code: "failed", message: reason, retryable } });
  }
  if (state !== "paid") return named({ tag: "unknown", val: `the bank names the state ${state}` });
  const taken = minor(amount, exponent);
  if (taken === null) return named({ tag: "unknown", val: "the bank's amount does not read" });
  return named({ tag: "succeeded" }, { amount: { minor: taken, currency } });
}

export const metadata = {
  describe() {
    return {
      id: "{{name}}",
      version: "1.0.0",
      title: "Counter Bank (made up)",
      configSchema: '{"type":"object","additionalProperties":false}',
      secrets: ["api-key", "notification-key"],
      hosts: [BANK],
    };
  },
};

export const gateway = {
  capabilitiesOf(ctx) {
    unconfigured(ctx);
    return {
      currencies: ["KZT", "RUB"],
      twoStage: false,
      refunds: true,
      partialRefunds: true,
      refundStatus: false,
      status: true,
      notifications: true,
      savedMethods: false,
    };
  },

  begin(ctx, { tag, val }) {
    unconfigured(ctx);
    if (tag === "pay") {
      if (val.savedMethod !== null || val.saveMethod || !val.capture) {
        throw { tag: "unsupported", val: "the bank keeps no methods and holds no money; take payments at once" };
      }
      const { id, amount, exponent, description, returnUrl } = val;
      const { currency } = amount;
      const body = { amount: major(amount.minor, exponent), currency, description, id, return_url: returnUrl };
      return send("post", "payments", body, asked("Pay", id, amount, exponent));
    }
    if (tag === "status") {
      return send("get", `payments/${val.id}`, null, asked("Status", val.id, val.amount, val.exponent));
    }
    if (tag === "refund") {
      const { id, payment, amount } = val;
      const value = major(amount.minor, payment.exponent);
      const body = { amount: value, currency: amount.currency, id, payment: payment.id };
      return send("post", "refunds", body, asked("Refund", id, amount, payment.exponent));
    }
    throw { tag: "unsupported", val: "the bank takes money at once and refunds at once; there is no such step" };
  },

  resume(ctx, continuation, answer) {
    unconfigured(ctx);
    const before = JSON.parse(text(continuation));
    const question = before.what === "Status";
    if (answer.tag !== "response") {
      // A question that was not answered changes nothing: it stands as it stood.
      if (question) return done(pending);
      return answer.tag === "not-sent" ? notAttempted(answer.val) : unknown(answer.val);
    }
    const { status, body } = answer.val;
    if (status === 200 || status === 201) {
      const answered = told(body);
      if (answered === null) return unknown("the bank's answer does not read");
      if (answered.id !== before.id) return unknown("the bank told of another payment");
      return { tag: "done", val: stands(before, answered) };
    }
    if (status === 404 && question) return notAttempted("the bank knows no such payment");
    if ([400, 401, 403, 404, 422].includes(status)) {
      return notAttempted(`the bank refused the request with status ${status}`);
    }
    return unknown(`the bank answered with status ${status}`);
  },

  receive(ctx, { headers, body }) {
    unconfigured(ctx);
    const reply = (status, words) => ({
      status,
      headers: [{ name: "content-type", value: "text/plain; charset=utf-8" }],
      body: bytes(words),
    });
    const received = (tag, val) => ({ tag: "done", val: { tag, val } });
    const rejected = (reason) => received("rejected", { reason, reply: reply(403, "REJECTED") });
    const signature = headers.find(({ name }) => name === "x-counter-signature")?.value;
    if (signature === undefined) return rejected("there is no signature");
    const order = {
      algorithm: "sha256",
      key: [{ tag: "secret", val: "notification-key" }],
      message: [{ tag: "bytes", val: body }],
      encoding: "hex",
    };
    if (!matches(order, signature)) return rejected("the signature is wrong");
    const claimed = told(body);
    if (claimed === null) return rejected("the body does not read");
    // Both currencies of the bank have two digits.
    const claim = { subject: { tag: "intent", val: claimed.id }, outcome: stands({ exponent: 2 }, claimed) };
    return received("authentic", { claims: [claim], taken: reply(200, "OK"), refused: reply(409, "REFUSED") });
  },

  receiveResume() {
    throw { tag: "invalid", val: "this gateway sends nothing while it reads a notification" };
  },
};
