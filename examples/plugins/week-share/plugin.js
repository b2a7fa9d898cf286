// A price shared by calendar weeks, Monday to Sunday: a week that was begun is paid whole.

// The interpreter takes and gives whole numbers as Number, which is exact up to 2^53 only: in between they are BigInt, and
// what a Number cannot hold is refused.
function exact(number) {
  if (Number.isSafeInteger(number)) return number;
  throw { tag: "unsupported", val: `${number} is too large to be counted exactly` };
}
const whole = (number) => BigInt(exact(number));

// Days since Monday, 3 January of the year 0, counted by hand: a plugin has no Date.
function dayNumber({ year, month, day }) {
  const [y, m] = month > 2 ? [year, month - 3] : [year - 1, month + 9];
  const years = 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return years + Math.floor((153 * m + 2) / 5) + day - 1 + 58;
}

// Weeks that have a day in [start, end).
function weeks(start, end) {
  return end <= start ? 0 : Math.floor((end - 1) / 7) - Math.floor(start / 7) + 1;
}

// The contract says who pays for the day of a change.
function counted({ period, used, currentDay }) {
  let [start, end] = [dayNumber(used.start), dayNumber(used.end)];
  const [first, last] = [dayNumber(period.start), dayNumber(period.end)];
  if (end !== last && (currentDay === "old" || currentDay === "both")) end += 1;
  if (start !== first && (currentDay === "old" || currentDay === "neither")) start += 1;
  return [weeks(start, Math.min(end, last)), weeks(first, last)];
}

export const metadata = {
  describe() {
    return {
      id: "week-share",
      version: "1.0.0",
      title: "Price by begun calendar weeks",
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
      const [count, total] = counted(question);
      const share = (2n * basis * BigInt(count) + BigInt(total)) / (2n * BigInt(total));
      const money = (minor) => ({ minor: exact(Number(minor)), currency: price.currency });
      return {
        line,
        used: money(share),
        credit: money(billed === 0n ? 0n : basis - share),
        explanation: `${count} of ${total} weeks`,
      };
    });
  },
};
