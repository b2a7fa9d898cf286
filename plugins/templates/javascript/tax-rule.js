// A flat tax on every line, at the rate of the configuration. Amounts are minor units, computed as BigInt.

const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  additionalProperties: false,
  properties: {
    rate: { title: "Rate, per cent", type: "integer", minimum: 0, maximum: 100, default: 20 },
  },
};

function configuration(text) {
  const config = text.trim() === "" ? {} : JSON.parse(text);
  if (config === null || typeof config !== "object" || Array.isArray(config)) throw new Error("it is no object");
  const { rate = 20, ...unknown } = config;
  if (Object.keys(unknown).length > 0) throw new Error(`unknown setting ${Object.keys(unknown)[0]}`);
  if (!Number.isInteger(rate) || rate < 0 || rate > 100) throw new Error("rate must be 0 to 100");
  return BigInt(rate);
}

// The interpreter takes and gives whole numbers as Number, which is exact up to 2^53 only: in between they are BigInt, and
// what a Number cannot hold is refused.
function exact(number) {
  if (Number.isSafeInteger(number)) return number;
  throw { tag: "unsupported", val: `${number} is too large to be counted exactly` };
}
const whole = (number) => BigInt(exact(number));

// Half-up away from zero.
function divided(numerator, denominator) {
  const sign = numerator < 0n ? -1n : 1n;
  return (sign * (2n * sign * numerator + denominator)) / (2n * denominator);
}

export const metadata = {
  describe() {
    return {
      id: "{{name}}",
      version: "1.0.0",
      title: "A flat tax on every line",
      configSchema: JSON.stringify(schema),
      secrets: [],
      hosts: [],
    };
  },
};

export const tax = {
  assess(ctx, documents) {
    let rate;
    try {
      rate = configuration(ctx.config);
    } catch (error) {
      throw { tag: "misconfigured", val: `the configuration does not read: ${error.message}` };
    }
    return documents.map(({ id, mode, lines }) => ({
      document: id,
      lines: lines.map(({ id: line, amount }) => {
        const [minor, currency] = [whole(amount.minor), amount.currency];
        const included = mode === "included";
        const tax = included ? divided(minor * rate, 100n + rate) : divided(minor * rate, 100n);
        const money = (minor) => ({ minor: exact(Number(minor)), currency });
        return {
          line,
          net: money(included ? minor - tax : minor),
          tax: money(tax),
          gross: money(included ? minor : minor + tax),
          code: `tax${rate}`,
          rate: String(rate),
        };
      }),
    }));
  },
};
