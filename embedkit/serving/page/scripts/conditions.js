// The filters as a condition in SQL.

const quoted = (text, quote) => quote + text.replaceAll(quote, quote + quote) + quote;
const literal = (value) => (typeof value === "string" ? quoted(value, "'") : String(value));

export function conditionOf(filters) {
  const parts = [];
  for (const [field, { values, least, most, contains }] of filters) {
    const name = quoted(field, '"');
    if (values) parts.push(`${name} IN (${values.map(literal).join(", ")})`);
    if (least !== undefined) parts.push(`${name} >= ${least}`);
    if (most !== undefined) parts.push(`${name} <= ${most}`);
    if (contains) parts.push(`contains(lower(CAST(${name} AS VARCHAR)), ${literal(contains.toLowerCase())})`);
  }
  return parts.join(" AND ");
}
