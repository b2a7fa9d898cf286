// A price shared by days: the days used of the days of the period. Amounts are minor units, computed as BigInt.

// The interpreter takes and gives whole numbers as Number, which is exact up to 2^53 only: in between they are BigInt, and
// what a Number cannot hold is refused.
function exact(number) {
  if (Number.isSafeInteger(number)) return number;
  throw { tag: "unsupported", val: `${number} is too large to be counted exactly` };
}
const whole = (number) => BigInt(exact(number));

// Days are counted by hand: a Date asks for a clock and a time zone, and a plugin has neither.
function dayNumber({ year, month, day }) {
  const [y, m] = month > 2 ? [year, month - 3] : [year - 1, month + 9];
  const years = 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return years + Math.floor((153 * m + 2) / 5) + day - 1;
}

function days({ start, end }) {
  return dayNumber(end) - dayNumber(start);
}

function same(a, b) {
  return a.year === b.year && a.month === b.month && a.day === b.day;
}

// The contract says who pays for the day of a change.
function counted({ period, used, currentDay }) {
  let count = days(used);
  if (!same(used.end, period.end) && (currentDay === "old" || currentDay === "both")) count += 1;
  if (!same(used.start, period.start) && (currentDay === "old" || currentDay === "neither")) count -= 1;
  return Math.min(Math.max(count, 0), days(period));
}

export const metadata = {
  describe() {
    return {
      id: "{{name}}",
      version: "1.0.0",
      title: "Price by days",
      configSchema: '{"type":"object","additionalProperties":false}',
      secrets: [],
      hosts: [],
    };
  },
};

export const proration = {
  prorate(ctx, questions) {
    if (!["", "{}"].includes(ctx.config.replaceAll(/\s/g, ""))) {
      throw { tag: "misconfigured", val: "this plugin has no settings; bind it with {}" };
    }
    return questions.map((question) => {
      const { line, price } = question;
      const billed = whole(question.billed.minor);
      const basis = billed === 0n ? whole(price.minor) : billed - whole(question.credited.minor);
      const [count, total] = [BigInt(counted(question)), BigInt(days(question.period))];
      const share = (2n * basis * count + total) / (2n * total);
      const money = (minor) => ({ minor: exact(Number(minor)), currency: price.currency });
      return {
        line,
        used: money(share),
        credit: money(billed === 0n ? 0n : basis - share),
        explanation: `${count} of ${total} days`,
      };
    });
  },
};
