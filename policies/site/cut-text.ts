/** Text for journal and outbox, cut without halving a character: half of one has no canonical JSON, and its event no hash. */

export function beginningOf(text: string, most: number): string {
  const cut = text.slice(0, most);
  return text.length > most && isHigh(cut.charCodeAt(cut.length - 1)) ? cut.slice(0, -1) : cut;
}

export function endOf(text: string, most: number): string {
  const cut = text.slice(-most);
  return text.length > most && isLow(cut.charCodeAt(0)) ? cut.slice(1) : cut;
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
function isLow(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}
