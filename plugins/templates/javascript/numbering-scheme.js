// Numbers such as INV-2026-000042, counted anew each year.

const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  additionalProperties: false,
  properties: {
    prefix: { title: "What every number begins with", type: "string", minLength: 1, maxLength: 20, default: "INV" },
  },
};

function prefix(text) {
  try {
    const config = text.trim() === "" ? {} : JSON.parse(text);
    if (config === null || typeof config !== "object" || Array.isArray(config)) throw new Error("it is no object");
    const { prefix = "INV", ...unknown } = config;
    if (Object.keys(unknown).length > 0) throw new Error(`unknown setting ${Object.keys(unknown)[0]}`);
    if (typeof prefix !== "string" || prefix === "") throw new Error("prefix must be a text");
    return prefix;
  } catch (error) {
    throw { tag: "misconfigured", val: `the configuration does not read: ${error.message}` };
  }
}

const year = ({ issuedOn }) => String(issuedOn.year).padStart(4, "0");

export const metadata = {
  describe() {
    return {
      id: "{{name}}",
      version: "1.0.0",
      title: "Numbers by year",
      configSchema: JSON.stringify(schema),
      secrets: [],
      hosts: [],
    };
  },
};

export const numbering = {
  sequences(ctx, drafts) {
    prefix(ctx.config);
    return drafts.map((draft) => ({ key: `${draft.kind}/${year(draft)}`, start: 1 }));
  },
  numbers(ctx, drafts, values) {
    const first = prefix(ctx.config);
    return drafts.map((draft, at) => `${first}-${year(draft)}-${String(values[at]).padStart(6, "0")}`);
  },
};
