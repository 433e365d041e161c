/** What an engine cannot do, in one line; field: which of the page is wrong, if one is; away: it may work again later. */
export class Problem extends Error {
  constructor({ field = null, line, away = false }) {
    super(line);
    Object.assign(this, { field, away });
  }
}
